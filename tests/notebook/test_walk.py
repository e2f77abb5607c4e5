# SPDX-License-Identifier: Apache-2.0
"""The walk of a cell: it begins where the verifier stopped, and leads back to where a value came from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from labkit.errors import BadArgument, LabkitError
from labkit.notebook.magic import BpfMagics
from labkit.notebook.walk import Steps

BEGIN = "BPF_HASH(calls, u32, u64);\nTRACEPOINT_PROBE(syscalls, sys_enter_getppid)\n{\n    u32 k = 1;\n"
WRONG = BEGIN + "    u64 *n = calls.lookup(&k);\n    *n += 1;\n    return 0;\n}\n"
RIGHT = BEGIN + "    calls.increment(k);\n    return 0;\n}\n"


@pytest.fixture
def magics() -> Iterator[BpfMagics]:
    made = BpfMagics(InteractiveShell())
    yield made
    made.close_all()


def walk(magics: BpfMagics, text: str) -> Steps:
    shown = magics.bpf("cell --no-attach", text)
    found = magics.shell.user_ns["cell"].walk()
    assert isinstance(found, Steps)
    assert text is RIGHT or "cell.walk()" in str(shown)
    return found


@pytest.mark.bpf
def test_the_walk_begins_where_the_verifier_stopped(magics: BpfMagics) -> None:
    found = walk(magics, WRONG)
    assert found.at == len(found.walk.moments) - 1
    assert "line 7" in found.said
    assert "Here the verifier stopped: R0 invalid mem access 'map_value_or_null'" in found.said


@pytest.mark.bpf
def test_the_origin_of_the_pointer_is_the_lookup(magics: BpfMagics) -> None:
    found = walk(magics, WRONG)
    found.name.value = "R0"
    found.origin.click()
    assert "line 6" in found.said
    assert "calls bpf_map_lookup_elem" in found.said
    found.origin.click()
    assert "before the first step" in found._said.value


@pytest.mark.bpf
def test_the_buttons_stop_at_both_ends(magics: BpfMagics) -> None:
    found = walk(magics, WRONG)
    assert found.forward.disabled
    found.first.click()
    assert (found.at, found.back.disabled, found.forward.disabled) == (0, True, False)
    found.forward.click()
    assert found.at == 1


@pytest.mark.bpf
def test_without_a_browser_it_is_a_table(magics: BpfMagics) -> None:
    found = walk(magics, WRONG)
    shown = found._repr_mimebundle_()
    assert "*n += 1;" in shown["text/plain"]
    assert "refused: R0 invalid mem access" in shown["text/plain"]
    assert '<th scope="col"' in shown["text/html"]


@pytest.mark.bpf
def test_an_accepted_cell_can_be_walked_too(magics: BpfMagics) -> None:
    found = walk(magics, RIGHT)
    assert found.walk.said == ()
    assert {each.line for each in found.walk.moments} >= {6, 7}
    with pytest.raises(BadArgument, match="nothing"):
        magics.shell.user_ns["cell"].walk("nothing")


@pytest.mark.bpf
def test_what_clang_refused_has_no_walk(magics: BpfMagics) -> None:
    magics.bpf("cell --no-attach", "BPF_HASH(calls, u32, u64, 0);\n" + RIGHT.partition("\n")[2])
    with pytest.raises(LabkitError, match="no walk"):
        magics.shell.user_ns["cell"].walk()
