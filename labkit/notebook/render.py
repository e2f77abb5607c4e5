# SPDX-License-Identifier: Apache-2.0
"""What every thing shown to a learner shares: a plain text, an HTML text, colours that suit both themes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from labkit.notebook.markup import Cell, bare_table

__all__ = ["Rendered", "box", "escape", "html_table", "note"]

# A state has a word next to its colour, so nothing hangs on the colour. Each has contrast on white and on black.
EDGES = {"ok": "#2a9d4a", "warning": "#c77700", "error": "#d64545", "note": "#4a86c5"}

TEXT = "color: var(--jp-ui-font-color1, inherit);"
CODE = "font-family: var(--jp-code-font-family, monospace);"  # columns line up: a caret is below what it points at
_CELL = "padding: 2px 12px; vertical-align: top; border-bottom: 1px solid var(--jp-border-color2, #8888);"


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
    """Return `html` next to a coloured edge; `state` is one of ok, warning, error, note."""
    return (
        f'<div class="labkit-{state}" style="border-left: 4px solid {EDGES[state]}; padding: 4px 12px; '
        f'margin: 4px 0; line-height: 1.5; {TEXT}">{html}</div>'
    )


def note(state: str, lines: Iterable[str]) -> Rendered:
    """Return lines of plain text in a box, the first of them bold."""
    shown = [line for line in lines if line]
    head, *rest = (escape(line) for line in shown)
    return Rendered("\n".join(shown), box(state, "<br>".join([f"<strong>{head}</strong>", *rest])))


def html_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    styles: Sequence[str] = (),
    *,
    caption: str = "",
    below: str = "",
) -> str:
    """Return a table that scrolls sideways where it is too wide, and is read well by a screen reader.

    Parameters
    ----------
    heads : the head of each column, plain text.
    rows : the cells, as HTML.
    styles : CSS of each column's cells, such as "text-align: right;"; none if empty.
    caption, below : one line above and one below the table, plain text.
    """
    how = [f"{_CELL} {style or 'text-align: left;'}" for style in (styles or [""] * len(heads))]
    tops = [
        Cell(escape(name), f'style="{one} white-space: normal; vertical-align: bottom;"')
        for name, one in zip(heads, how, strict=True)
    ]
    table = bare_table(
        tops,
        ([Cell(html, f'style="{one}"') for html, one in zip(row, how, strict=True)] for row in rows),
        attributes='class="labkit-table" style="border-collapse: collapse; font-variant-numeric: tabular-nums; '
        'line-height: 1.4; margin: 4px 0;"',
        caption=f'<caption style="text-align: left; {TEXT}">{escape(caption)}</caption>' if caption else "",
    )
    under = f"<small>{escape(below)}</small>" if below else ""
    return f'<div tabindex="0" style="overflow-x: auto; {TEXT}">{table}{under}</div>'
