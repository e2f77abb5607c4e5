# SPDX-License-Identifier: Apache-2.0
"""A verdict of the verifier next to the line that it is about: for the gallery of lesson 03 and for `%%bpf`."""

from __future__ import annotations

from labkit.bpf.verifier.explain import ACCEPTED, Verdict
from labkit.errors import VerifierError, advice
from labkit.notebook.render import CODE, TEXT, Rendered, box, escape

__all__ = ["verdict_box"]

_MOST_LOG_LINES = 400


def verdict_box(told: Verdict | VerifierError, *, show_log: bool = False, hint: str = "") -> Rendered:
    """Return a verdict to look at: what and where, the fix, the plain reading, and the raw log in a fold.

    Parameters
    ----------
    told : of `verifier.judge`, or the error of a program that was refused.
    show_log : open the fold.
    hint : what else to look at, one line.
    """
    if isinstance(told, VerifierError):
        state, headline, fix, detail, log = "warning", told.what, told.fix, told.detail, told.log
        word = told.advice
    else:
        headline, fix, detail, log = told.headline, told.fix, told.detail, told.log
        state = "ok" if told.kind == ACCEPTED else "warning"
        word = advice(told.verified)
    if state == "ok":
        return Rendered(headline, box("ok", f"<strong>{escape(headline)}</strong>") + _fold(log, show_log))
    head = f"Rejected: {headline}"
    text = "\n".join([head, f"{word}: {fix}", "", detail, *filter(None, [hint]), *(["", log] if show_log else [])])
    pre = f'<pre tabindex="0" style="overflow-x: auto; margin: 8px 0; {TEXT} {CODE}">{escape(detail)}</pre>'
    html = box(state, f"<strong>{escape(head)}</strong><br>{word}: {escape(fix)}{pre}{escape(hint)}")
    html += _fold(log, show_log)
    return Rendered(text, html)


def _fold(log: str, is_open: bool) -> str:
    lines = log.strip().splitlines()
    if not lines:
        return ""
    left_out = [f"… {len(lines) - _MOST_LOG_LINES} lines before this one"] if len(lines) > _MOST_LOG_LINES else []
    shown = escape("\n".join(left_out + lines[-_MOST_LOG_LINES:]))
    return (
        f'<details{" open" if is_open else ""}><summary style="{TEXT}">The raw log</summary>'
        f'<pre tabindex="0" style="overflow-x: auto; {TEXT} {CODE}">{shown}</pre></details>'
    )
