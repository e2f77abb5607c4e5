# SPDX-License-Identifier: Apache-2.0
"""What only tests use is not there: each function, class and method of labkit is named by the product, too."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping

from tree import named, short

PRODUCT = [
    *named(".py", under="labkit"),
    *(
        path
        for folder in ("bench", "scripts", "classroom", "vm", "docs")
        for path in named(".py", ".sh", ".in", under=folder)
    ),
    *named(".ipynb", under="notebooks"),
]
OFFERED = re.compile(r"^__all__ = \[[^\]]*\]", re.MULTILINE)  # to be offered is not to be used
# called by IPython, pandas, nbclient and BCC; by authors of lessons; by the tests of interrupts and of other kernels
CALLED_BY_OTHERS = {"_constructor", "_render_traceback_", "kernel_spec", "_trace_autoload"}
CALLED_BY_OTHERS |= {"save_recording", "held_now", "fetch_arm64"}


def defined(text: str) -> Counter[str]:
    """Return how often each name is defined by a def or a class."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return Counter(node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))


def unused(texts: Mapping[str, str]) -> list[str]:
    """Return the names that are defined in labkit and used nowhere."""
    words = Counter(word for text in texts.values() for word in re.findall(r"\w+", OFFERED.sub("", text)))
    names = sum((defined(text) for name, text in texts.items() if name.startswith("labkit/")), Counter[str]())
    return sorted(name for name, times in names.items() if words[name] <= times and not name.startswith("__"))


def test_nothing_of_labkit_is_used_by_tests_alone() -> None:
    texts = {short(path): path.read_text(encoding="utf-8") for path in PRODUCT}
    assert [name for name in unused(texts) if name not in CALLED_BY_OTHERS] == []


def test_a_function_that_nobody_uses_is_seen() -> None:
    text = '__all__ = ["one", "two"]\n\n\ndef one() -> int:\n    return 1\n\n\ndef two() -> int:\n    return one()\n'
    assert unused({"labkit/new.py": text}) == ["two"]
