# SPDX-License-Identifier: Apache-2.0
"""The table of the notes that the lab grew from names lessons and sections that are there, and the five articles."""

from __future__ import annotations

import re

import nbformat
from tree import ROOT

from labkit.course import lesson

TABLE = (ROOT / "CONTRIBUTING.md").read_text().partition("| note | lesson |")[2].partition("\n\n")[0]
ROWS = [row.strip("| ").split(" | ") for row in TABLE.splitlines()[2:]]
ARTICLES = (
    "thenewstack.io/how-io_uring-and-ebpf",
    "blog.csdn.net/Longyu_wlz",
    "zhuanlan.zhihu.com/p/523964499",
    "cloud.tencent.com/developer/article/1810604",
    "arthurchiao.art/blog/socket-acceleration",
)


def text(number: str) -> str:
    cells = nbformat.read(ROOT / "notebooks" / lesson(number).notebook, as_version=4).cells
    return "\n".join(cell.source for cell in cells)


def test_each_section_that_the_table_names_is_in_its_lesson() -> None:
    assert len(ROWS) > 10
    missing = []
    for _, where in ROWS[:-1]:
        for number, sections in re.findall(r"(\d\d)((?:[^;]*?\"[^\"]+\")*)", where):
            titles = re.findall(r"\"([^\"]+)\"", sections)
            missing += [(number, title) for title in titles if f"## {title}\n" not in f"{text(number)}\n"]
    assert missing == []


def test_each_article_is_in_a_lesson_that_the_table_names() -> None:
    named = "".join(text(number) for number in re.findall(r"\d\d", ROWS[-1][1]))
    assert [article for article in ARTICLES if article not in named] == []
