# SPDX-License-Identifier: Apache-2.0
"""A statement that a fix puts before a line: in one block with it, unless the line declares what later lines use."""

from __future__ import annotations

import pytest

from labkit.bpf.diagnose.code import preceded


@pytest.mark.parametrize("line", ["total = *found;", "n += *found;", "event->n = 1;", "*found += 1; // one more"])
def test_a_statement_and_what_is_put_before_it_are_one_block(line: str) -> None:
    """It may be the body of an if without braces."""
    code, _, comment = preceded(f"    {line}", "check();").partition(" //")
    assert code == f"    {{ check(); {line.partition(' //')[0]} }}"
    assert comment == line.partition(" //")[2]


@pytest.mark.parametrize("line", ["u64 n = *found;", "u64 *n = found;", "struct key k = {};", "unsigned int n = 1;"])
def test_a_declaration_stays_outside_of_a_block(line: str) -> None:
    assert preceded(f"    {line}", "check();") == f"    check(); {line}"
