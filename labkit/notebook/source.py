# SPDX-License-Identifier: Apache-2.0
"""Show a real file of the lab, or a part of it, in the notebook: `labkit.source("c/bpf/hello.c", "count_calls")`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from jupyterlab_pygments import JupyterStyle
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_for_filename
from pygments.token import Comment, Punctuation
from pygments.util import ClassNotFound

from labkit.errors import BadArgument, unknown_name
from labkit.machine.folders import repo_folder
from labkit.notebook.render import CODE, TEXT, Rendered

__all__ = ["source"]

_MARK = re.compile(r"^\s*(?:/\*|//|#)\s*show:\s*([\w.-]+)\s*(?:\*/)?\s*$")


def source(path: str | Path, part: str | None = None) -> Rendered:
    """Return a file of the tree, or one part of it, with line numbers and colours.

    Parameters
    ----------
    path : relative to the tree ("c/bpf/hello.c"), or absolute.
    part : a name that the file defines (function, struct, table, class, BPF probe or map), or a section
        between the comments `/* show: NAME */` and `/* show: end */` (`# show: NAME` in Python). All of it if None.

    Raises
    ------
    BadArgument : the file or the part does not exist; the nearest name is suggested.
    """
    file = repo_folder() / path
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadArgument(f"path={str(path)!r} cannot be read: {error.strerror}.", "pass a file of the tree") from error
    first, last = (1, len(lines)) if part is None else _find(file, lines, part)
    while last > first and not lines[last - 1].strip():
        last -= 1
    # tabs become spaces: behind a line number they would reach to the wrong column
    shown = enumerate((line.expandtabs(8) for line in lines[first - 1 : last]), first)
    numbered = [(number, line) for number, line in shown if not _MARK.match(line)]
    name = file.relative_to(repo_folder()) if file.is_relative_to(repo_folder()) else file
    place = f"line {first}" if first == last else f"lines {first} to {last}"
    return _render(f"{name}, {place}" if part else str(name), numbered, _lexer(file))


def _lexer(file: Path) -> Lexer:
    try:
        return get_lexer_for_filename(file.name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return get_lexer_for_filename("plain.txt", stripnl=False, ensurenl=False)


def _find(file: Path, lines: list[str], part: str) -> tuple[int, int]:
    """Return the first and last line of a part, counted from 1."""
    parts = {**_definitions(file, lines), **_sections(lines)}
    if part not in parts:
        raise unknown_name("part", part, parts)
    return parts[part]


def _sections(lines: list[str]) -> dict[str, tuple[int, int]]:
    """Return the sections between `show: NAME` and `show: end` comments; they may nest."""
    found: dict[str, tuple[int, int]] = {}
    opened: list[tuple[str, int]] = []
    for number, line in enumerate(lines, 1):
        mark = _MARK.match(line)
        if mark and mark[1] != "end":
            opened.append((mark[1], number))
        elif mark and opened:
            name, start = opened.pop()
            found[name] = (start + 1, number - 1)
    return found


def _definitions(file: Path, lines: list[str]) -> dict[str, tuple[int, int]]:
    return _python_definitions(lines) if file.suffix == ".py" else _c_definitions(file, lines)


def _python_definitions(lines: list[str]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found.setdefault(node.name, (start, node.end_lineno or node.lineno))
    return found


def _c_definitions(file: Path, lines: list[str]) -> dict[str, tuple[int, int]]:
    """Return what is at the top level of a C file by name, the comments that touch it from above included.

    A definition ends with its closing brace or its semicolon. A body wins over a mere declaration of the same name.
    """
    found: dict[str, tuple[int, int]] = {}
    bodies: set[str] = set()
    head, number, start, depth, body = "", 1, 0, 0, False
    for kind, text in _lexer(file).get_tokens("\n".join(lines)):
        if kind not in Comment:
            if start == 0 and text.strip():
                start = number
            for sign in text if kind in Punctuation else "":
                depth += {"{": 1, "}": -1}.get(sign, 0)
                body = body or sign == "{"
            head += "" if body else text
        number += text.count("\n")
        closed = ";" in text or ("}" in text and not _continues(lines[number - 1]))
        if start and depth == 0 and kind in Punctuation and closed:
            for name in _defined_by(head):
                if body or name not in bodies:
                    found[name] = (_with_comment(lines, start), number)
                bodies.update([name] if body else [])
            head, start, body = "", 0, False
    return found


def _defined_by(head: str) -> list[str]:
    """Return the names that a definition gives, from its text before the body.

    `static int count(void)` gives count, `struct event` gives event, `static const struct engine engines[] =` gives
    engines; a macro such as `TRACEPOINT_PROBE(syscalls, sys_enter_read)` gives all its arguments.
    """
    head = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head).partition("=")[0]
    macro = re.match(r"\s*[A-Z][A-Z0-9_]+\s*\((.*)\)", head, re.DOTALL)
    if macro:
        return re.findall(r"[A-Za-z_]\w*", macro[1])
    function = re.search(r"(\w+)\s*\(", head)
    return [function[1]] if function else re.findall(r"[A-Za-z_]\w*", head.partition("[")[0])[-1:]


def _continues(line: str) -> bool:
    """Return True where a closing brace does not end the definition: `} name;` and `};`."""
    return bool(re.search(r"}\s*[\w\s()]*;\s*(?:/\*.*\*/\s*)?$", line))


def _with_comment(lines: list[str], start: int) -> int:
    """Return the line at which the comment that touches a definition from above starts."""
    above = start - 1
    if above >= 1 and lines[above - 1].rstrip().endswith("*/") and not _MARK.match(lines[above - 1]):
        while above > 1 and "/*" not in lines[above - 1]:
            above -= 1
        return above if lines[above - 1].startswith("/*") else start
    while above >= 1 and lines[above - 1].startswith("//"):
        above -= 1
    return above + 1


def _render(title: str, numbered: Iterable[tuple[int, str]], lexer: Lexer) -> Rendered:
    rows = list(numbered)
    width = len(str(rows[-1][0])) if rows else 1
    text = "\n".join([title, *(f"{number:>{width}}  {line}" for number, line in rows)])
    formatter = HtmlFormatter(nowrap=True, noclasses=True, style=JupyterStyle)
    coloured = highlight("\n".join(line for _, line in rows), lexer, formatter).split("\n")
    gutter = "display: inline-block; min-width: 2.5em; padding-right: 1em; text-align: right; user-select: none;"
    body = "\n".join(
        f'<span style="{gutter} color: var(--jp-ui-font-color2, #666);" aria-hidden="true">{number}</span>{line}'
        for (number, _), line in zip(rows, coloured, strict=False)
    )
    html = (
        f'<figure class="labkit-source" style="margin: 4px 0; {TEXT}">'
        f'<figcaption style="padding: 2px 8px;"><code>{escape(title)}</code></figcaption>'
        f'<pre tabindex="0" style="overflow-x: auto; padding: 8px 4px; {TEXT} {CODE} '
        f"background: var(--jp-cell-editor-background, transparent); "
        f'border: 1px solid var(--jp-cell-editor-border-color, #ccc);">{body}</pre></figure>'
    )
    return Rendered(text, html)
