# SPDX-License-Identifier: Apache-2.0
"""The two bars have one scale, and what reaches further than can be drawn has an arrow."""

from __future__ import annotations

from labkit.bpf.diagnose.code import Code
from labkit.bpf.verifier import notation
from labkit.bpf.verifier.numberline import numberline
from labkit.bpf.verifier.repair import Repair


def bars(lines: list[str]) -> list[tuple[int, int]]:
    return [(line.index("|"), line.rindex("|")) for line in lines]


def test_a_range_that_is_one_step_too_long_ends_later() -> None:
    allowed, known = bars(numberline((0, 56), (0, 64)))
    assert allowed[0] == known[0] and allowed[1] < known[1]


def test_a_range_that_begins_too_early_begins_before() -> None:
    allowed, known = bars(numberline((0, 120), (-8, 112)))
    assert known[0] < allowed[0] and known[1] < allowed[1]


def test_what_is_far_away_has_an_arrow_and_its_number() -> None:
    allowed, known = numberline((0, 56), (0, 34359738360))
    assert known.rstrip().endswith(">  0 to 34359738360") and ">" not in allowed
    assert "<" in numberline((0, 56), (-17179869184, 17179869176))[1]


def test_the_reach_of_a_pointer_is_read_from_the_log() -> None:
    raw = "map_value(map=rows,ks=4,vs=64,smin=smin32=0,smax=umax=smax32=umax32=64,var_off=(0x0; 0x78))"
    assert notation.reach(raw) == (0, 64, 64)
    assert notation.reach("map_value(off=8,ks=4,vs=64,umax=16,var_off=(0x0; 0x10))") == (8, 24, 64)
    assert notation.reach("scalar(umax=16,var_off=(0x0; 0x10))") is None
    assert notation.reach("map_value(off=8,ks=4,vs=64)") is None


def test_a_weak_test_is_underlined() -> None:
    code = Code("int f(void)\n{\n    if (i > 8) return 0;\n}\n")
    shown, mark = Repair("", "", {}, (3, 8, 13)).underlined(code)
    assert shown[mark.index("~") : mark.rindex("~") + 1] == "i > 8"
