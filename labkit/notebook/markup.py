# SPDX-License-Identifier: Apache-2.0
"""The HTML that is written in one place: the tags of a table, and a page that loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Cell", "bare_table", "whole_page"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its HTML, the attributes of its tag, and whether it is the head of its row."""

    html: str
    attributes: str = ""
    of_row: bool = False


def _tag(cell: Cell | str, *, scope: str = "") -> str:
    cell = cell if isinstance(cell, Cell) else Cell(cell)
    scope = "row" if cell.of_row else scope
    name, how = ("th", f'scope="{scope}" {cell.attributes}') if scope else ("td", cell.attributes)
    return f"<{name} {how}".rstrip() + f">{cell.html}</{name}>"


def bare_table(
    heads: Iterable[Cell | str], rows: Iterable[Iterable[Cell | str]], *, attributes: str = "", caption: str = ""
) -> str:
    """Return a table of these heads and cells, each given as HTML; it looks as the page's CSS and the cells' say."""
    head = "".join(_tag(cell, scope="col") for cell in heads)
    body = "\n".join(f"<tr>{''.join(map(_tag, row))}</tr>" for row in rows)
    return (
        f"<table {attributes}".rstrip() + f">{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )


def whole_page(title: str, body: str, *, width_em: int = 60, css: Sequence[str] = ()) -> str:
    """Return a page that loads nothing and follows the reader's theme; `title`, plain text, is its first line, too."""
    rules = [
        ":root { color-scheme: light dark; }",
        f"body {{ font: 16px/1.5 system-ui, sans-serif; max-width: {width_em}em; margin: 2em auto; padding: 0 1em; }}",
        *css,
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{chr(10).join(rules)}
</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""
