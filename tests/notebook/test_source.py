# SPDX-License-Identifier: Apache-2.0
"""Parts of real files are found and shown whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labkit.errors import BadArgument
from labkit.machine.folders import repo_folder
from labkit.notebook.source import source

C = """\
#include <stdio.h>	/* count( */
static int count(void);

/* Two lines
 * above count. */
static int count(void)
{
	const char *brace = "}";	/* } */

	return brace[0] == '}';
}

struct event {
	int pid;
};	/* the end */
static int before; /* not a comment of the next */
int after;
static const struct event table[] = {
	{ .pid = 23 },
};
TRACEPOINT_PROBE(syscalls, sys_enter_read)
{
	/* show: body */
	return 0;
	/* show: end */
}
BPF_HASH(started, u32, u64);
"""

PYTHON = """\
import functools

@functools.cache
def first():
    return 1

class Thing:
    def second(self):
        # show: middle
        return 2
        # show: end
"""


@pytest.fixture
def c_file(tmp_path: Path) -> Path:
    (tmp_path / "a.c").write_text(C)
    return tmp_path / "a.c"


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("count", "/* Two lines", "}"),
        ("event", "struct event {", "};      /* the end */"),
        ("after", "int after;", "int after;"),
        ("table", "static const struct event table[] = {", "};"),
        ("sys_enter_read", "TRACEPOINT_PROBE(syscalls, sys_enter_read)", "}"),
        ("started", "BPF_HASH(started, u32, u64);", "BPF_HASH(started, u32, u64);"),
        ("body", "        return 0;", "        return 0;"),
    ],
)
def test_a_part_of_a_c_file_is_shown_from_its_first_to_its_last_line(
    c_file: Path, part: str, first: str, last: str
) -> None:
    _, *lines = source(c_file, part).text.splitlines()
    assert lines[0].endswith(f"  {first}")
    assert lines[-1].endswith(f"  {last}")


def test_a_body_wins_over_a_declaration_and_braces_in_strings_do_not_count(c_file: Path) -> None:
    assert [line.split()[0] for line in source(c_file, "count").text.splitlines()[1:]] == [str(n) for n in range(4, 12)]


def test_a_part_has_no_empty_lines_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    path.write_text("def one() -> int:\n    return 1\n\n\ndef two() -> int:\n    return 2\n")
    assert repr(source(path, "one")).splitlines()[-1].endswith("return 1")


def test_marks_of_sections_are_not_shown(c_file: Path) -> None:
    assert "show:" not in source(c_file).text


def test_parts_of_a_python_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(PYTHON)
    assert source(tmp_path / "a.py", "first").text.splitlines()[1].endswith("@functools.cache")
    assert source(tmp_path / "a.py", "second").text.splitlines()[-1].endswith("return 2")
    assert source(tmp_path / "a.py", "middle").text.splitlines()[1:] == ["10          return 2"]


def test_every_line_of_a_file_of_the_lab_is_shown_with_its_number() -> None:
    path = "labkit/errors.py"
    shown = source(path).text.splitlines()
    assert shown[0] == path
    assert len(shown) == 1 + len((repo_folder() / path).read_text().splitlines())


def test_html_holds_the_same_lines_escaped(c_file: Path) -> None:
    html = source(c_file)._repr_html_()
    assert html.count('aria-hidden="true"') == len(C.splitlines()) - 2
    assert "&lt;stdio.h&gt;" in html and "<stdio.h>" not in html


def test_a_misspelt_part_gets_the_nearest(c_file: Path) -> None:
    with pytest.raises(BadArgument, match="did you mean 'sys_enter_read'"):
        source(c_file, "sys_enter_reed")


def test_a_missing_file_is_told() -> None:
    with pytest.raises(BadArgument, match="No such file"):
        source("c/bpf/nothing.c")


def test_a_file_of_an_unknown_kind_is_plain_text(tmp_path: Path) -> None:
    (tmp_path / "notes.unknown").write_text("one\ntwo\n")
    assert source(tmp_path / "notes.unknown").text.splitlines()[1:] == ["1  one", "2  two"]


def test_a_listing_has_one_width_for_every_letter() -> None:
    """Also in a page without JupyterLab's own styles, which `labkit lessons` writes."""
    html = source("c/bpf/hello.c")._repr_html_()
    assert re.search(r"<pre [^>]*font-family: [^;]*monospace", html)
