# SPDX-License-Identifier: Apache-2.0
"""Each option of a C workload is passed by a lesson, the bench or a notebook: what only a test sets is not there."""

from __future__ import annotations

import ast
import functools
import re

import pytest
from tree import named, short

OPTION = re.compile(r'\bOPTION_[A-Z]+\(\s*"([a-z0-9-]+)"')
OPTIONS = [
    (path, option) for path in named(".c", ".cc", under="c/workloads") for option in OPTION.findall(path.read_text())
]


@functools.cache
def said() -> tuple[str, frozenset[str], tuple[str, ...]]:
    """Return the product's text; its strings, names and keywords; patterns of f-strings such as f"--{end}-cpu"."""
    text, words, patterns = "", set(), []
    for path in [*named(".py", under="labkit"), *named(".py", under="bench")]:
        text += path.read_text()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            elif isinstance(node, ast.arg | ast.keyword) and node.arg:
                words.add(node.arg)
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "*" for part in node.values]
                pattern = "".join(map(str, parts)).removeprefix("--")
                if re.search("[a-z]", pattern) and "*" in pattern and " " not in pattern:
                    patterns.append(re.escape(pattern).replace(r"\*", "[a-z]+"))
    text += "".join(path.read_text() for path in named(".ipynb"))
    return text, frozenset(words), tuple(patterns)


def is_passed(option: str) -> bool:
    """Return whether the product writes an option whole, or makes it of a name that it has."""
    text, words, patterns = said()
    whole = re.search(rf"--{option}(?![\w-])", text) is not None
    named_so = option in words or option.replace("-", "_") in words
    return whole or named_so or any(re.fullmatch(pattern, option) for pattern in patterns)


@pytest.mark.parametrize(("path", "option"), OPTIONS, ids=[f"{short(path)}--{option}" for path, option in OPTIONS])
def test_an_option_is_passed_by_more_than_tests(path: object, option: str) -> None:
    assert is_passed(option)


def test_an_option_that_nobody_passes_is_found() -> None:
    assert not is_passed("sqpoll-idle-" + "ms") and len(OPTIONS) > 80
