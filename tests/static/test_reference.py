# SPDX-License-Identifier: Apache-2.0
"""The site's reference: the lab's docstrings become fields that Sphinx understands."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from tree import ROOT


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs/site" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rewritten(text: str) -> str:
    lines = text.splitlines()
    load("docstrings").as_fields(None, "function", "f", None, None, lines)
    return "\n".join(lines).strip()


def test_parameters_and_errors_become_fields() -> None:
    docstring = """Read.

Parameters
----------
low, high : in bytes,
    1 to 9.

Raises
------
Missing : no ring."""
    fields = ":param low: in bytes,\n:param high: in bytes,\n    1 to 9.\n\n\n:raises Missing: no ring."
    assert rewritten(docstring) == f"Read.\n\n\n{fields}"


def test_another_section_keeps_its_text_under_its_name() -> None:
    assert rewritten("Read.\n\nReturns\n-------\nOne row per slice.") == "Read.\n\n\n**Returns**\n\nOne row per slice."


def test_an_indented_block_is_code_and_a_star_means_itself() -> None:
    assert rewritten("Do:\n\n    x * y_\n\nThe *_at columns, `a*b`.") == (
        "Do:\n\n::\n\n    x * y_\n\nThe \\*_at columns, `a*b`."
    )
