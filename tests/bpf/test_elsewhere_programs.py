# SPDX-License-Identifier: Apache-2.0
"""What `labkit elsewhere` answers on the kernel that runs is what the first lines of each program in elsewhere/ say.

`make test-kernels TESTS=tests/bpf/test_elsewhere_programs.py` asks each other kernel. The releases in which something
came are those of the kernel's own history.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
from running_kernel import since

from labkit.bpf.elsewhere.guest import VERDICTS, judge
from labkit.machine import doctor

PROGRAMS = sorted(Path(__file__).with_name("elsewhere").glob("*.c"))
_ANY = "|".join(VERDICTS)
HEAD = re.compile(
    rf"/\* (?P<verdict>{_ANY})(?: since (?P<release>\d+\.\d+), before: (?P<before>{_ANY})\.)?"
    r"[^*]*?(?:\| needs: (?P<needs>\w+))?(?:\| kind: (?P<kind>\w+))? ?\*/"
)


@functools.cache
def missing(name: str) -> str:
    """Return why this machine lacks a capability, as the doctor says; empty if it has it."""
    (row,) = [row for row in doctor.examine("04") if row.name == name]
    return "" if row.state == "ok" else row.reason


def head(path: Path) -> dict[str, str]:
    found = HEAD.match(path.read_text().splitlines()[1])
    assert found, f"{path.name} does not say what must become of it"
    return {name: value or "" for name, value in found.groupdict().items()}


def test_the_programs_are_of_many_kinds() -> None:
    heads = {path.stem: head(path) for path in PROGRAMS}
    assert {told["kind"] for told in heads.values()} == {"", "KPROBE", "SOCK_OPS", "SK_MSG"}
    assert {told["verdict"] for told in heads.values()} == {"accepted", "refused", "no hook", "does not compile"}
    assert {told["release"] for told in heads.values()} >= {"5.15", "6.1", "6.4"}


@pytest.mark.bpf
@pytest.mark.kernel
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_verdict_is_what_it_must_be_on_this_kernel(path: Path) -> None:
    told = head(path)
    if told["needs"] and (why := missing(told["needs"])):
        pytest.skip(f"{told['needs']}: {why}")
    wanted = told["verdict"] if not told["release"] or since(told["release"]) else told["before"]
    found = judge(path, {}, told["kind"])
    assert found["verdict"] == wanted, found
    assert bool(found["headline"]) == (wanted != "accepted")
