"""What every thing shown to a learner shares: a plain text, an HTML text, colours that suit both themes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

__all__ = ["Rendered", "box", "escape", "note"]

# A state has a word beside its colour, so nothing hangs on the colour. Each has contrast on white and on black.
EDGES = {"ok": "#2a9d4a", "warning": "#c77700", "error": "#d64545", "note": "#4a86c5"}

TEXT = "color: var(--jp-ui-font-color1, inherit);"


@dataclass(frozen=True, repr=False)
class Rendered:
    """Something to look at: `text` on a terminal, `html` in a notebook."""

    text: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def box(state: str, html: str) -> str:
    """Return `html` beside a coloured edge; `state` is one of ok, warning, error, note."""
    return (
        f'<div class="labkit-{state}" style="border-left: 4px solid {EDGES[state]}; padding: 4px 12px; '
        f'margin: 4px 0; line-height: 1.5; {TEXT}">{html}</div>'
    )


def note(state: str, lines: Iterable[str]) -> Rendered:
    """Return lines of plain text in a box, the first of them bold."""
    shown = [line for line in lines if line]
    head, *rest = (escape(line) for line in shown)
    return Rendered("\n".join(shown), box(state, "<br>".join([f"<strong>{head}</strong>", *rest])))
