# SPDX-License-Identifier: Apache-2.0
"""Terms are defined before they are used, and each is in the glossary with its lesson."""

from __future__ import annotations

import json
import re

import pytest
from tree import ROOT

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ENTRY = re.compile(
    r"^- \*\*(?P<term>[^*]+)\*\* \((?P<lesson>\d\d)\): (?P<text>.*?)(?=^- |\Z)", re.MULTILINE | re.DOTALL
)
ENTRIES = {found["term"]: found for found in ENTRY.finditer(GLOSSARY)}
# words that are also used in their everyday meaning before a lesson defines them
EVERYDAY = {"kernel", "map", "array", "hook", "interval", "median", "probe", "cold", "warm"}
# what looks ahead: the head of a lesson, headings, code, links, and the two sections at the end
AHEAD = re.compile(r"```.*?```|\]\([^)]*\)|`[^`]*`|^#.*$|^## (?:In practice|Read on).*\Z", re.MULTILINE | re.DOTALL)


def texts() -> list[tuple[str, str]]:
    """Return (lesson, text) of each cell of prose, in the order of reading."""
    found = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found += [(path.name[:2], "".join(cell["source"])) for cell in cells[1:] if cell["cell_type"] == "markdown"]
    return found


TEXTS = texts()


def slug(term: str) -> str:
    """Return the anchor of a term; docs/site/build.py makes them for the site."""
    return re.sub(r"[^a-z0-9_]+", "-", term.lower().replace("'", ""))


def word(term: str) -> str:
    return rf"(?<![\w/.-])`?{re.escape(term)}`?(?:e?s)?(?![\w-])"


def test_the_glossary_is_in_order_and_has_no_term_twice() -> None:
    terms = re.findall(r"^- \*\*([^*]+)\*\*", GLOSSARY, re.MULTILINE)
    assert terms == sorted(set(terms), key=str.casefold)
    assert set(terms) == set(ENTRIES)


@pytest.mark.parametrize("term", ENTRIES)
def test_an_entry_has_two_sentences(term: str) -> None:
    text = " ".join(ENTRIES[term]["text"].split()).partition(" Kernel: ")[0]
    assert len(re.findall(r"\.(?: |$)", text)) == 2, text


@pytest.mark.parametrize("term", ENTRIES)
def test_a_term_is_bold_in_its_lesson_and_not_in_an_earlier_one(term: str) -> None:
    bold = re.compile(rf"\*\*`?{re.escape(term)}(?:e?s)?`?[.:]?\*\*", re.IGNORECASE)
    assert next((lesson for lesson, text in TEXTS if bold.search(text)), None) == ENTRIES[term]["lesson"]


@pytest.mark.parametrize("term", ENTRIES)
def test_a_term_is_bold_once_and_links_to_its_entry(term: str) -> None:
    link = f"](../docs/glossary.md#{slug(term)})"
    first = re.compile(rf"\[\*\*`?{re.escape(term)}(?:e?s)?`?[.:]?\*\*{re.escape(link)}", re.IGNORECASE)
    again = re.compile(
        rf"\*\*`?{re.escape(term)}(?:e?s)?`?\*\*"
    )  # in capitals it is the name of a button or a list's point
    assert [lesson for lesson, text in TEXTS for _ in first.finditer(text)] == [ENTRIES[term]["lesson"]]
    assert sum(len(again.findall(text)) for _, text in TEXTS) <= 1


@pytest.mark.parametrize("term", sorted(set(ENTRIES) - EVERYDAY))
def test_a_term_is_not_used_before_it_is_defined(term: str) -> None:
    used = re.compile(word(term), re.IGNORECASE)
    bold = re.compile(rf"\*\*`?{re.escape(term)}(?:e?s)?`?[.:]?\*\*", re.IGNORECASE)
    for lesson, text in TEXTS:
        early = used.search(AHEAD.sub(lambda skipped: " " * len(skipped[0]), text))
        if defined := bold.search(text):
            assert early is None or early.start() >= defined.start(), text[: early.end() + 20]
            return
        assert early is None, f"lesson {lesson}: {text[max(0, early.start() - 40) : early.end() + 20]!r}"
