# SPDX-License-Identifier: Apache-2.0
"""The walk has a moment per instruction, with what it changed, the line it came from, and where a value came from."""

from __future__ import annotations

from labkit.bpf.verifier.walk import in_words, walk

LOG = """0: R1=ctx() R10=fp0
; u32 k = 1;
0: (b7) r1 = 1                         ; R1_w=1
1: (63) *(u32 *)(r10 -4) = r1          ; R1_w=1 R10=fp0 fp-8=1???????
2: (18) r1 = 0xffff88810a8ea400        ; R1_w=map_ptr(map=calls,ks=4,vs=8)
4: (bf) r2 = r10                       ; R2_w=fp0 R10=fp0
5: (07) r2 += -4                       ; R2_w=fp-4
6: (85) call bpf_map_lookup_elem#1     ; R0_w=map_value_or_null(id=1,map=calls,ks=4,vs=8)
7: (15) if r0 == 0x0 goto pc+2         ; R0=map_value(map=calls,ks=4,vs=8)
8: (79) r1 = *(u64 *)(r0 +8)
invalid access to map value, value_size=8 off=8 size=8
R0 min value is outside of the allowed memory range
processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
LINES = {0: 5, 6: 6, 8: 8}


def test_each_instruction_is_a_moment_with_its_line() -> None:
    found = walk(LOG, LINES)
    assert [each.number for each in found.moments] == [0, 1, 2, 4, 5, 6, 7, 8]
    assert [each.line for each in found.moments] == [5, 5, 5, 5, 5, 6, 6, 8]
    assert found.said[0] == "invalid access to map value, value_size=8 off=8 size=8"
    assert found.left_out == 0


def test_a_moment_has_what_changed_and_what_was_known() -> None:
    call, test = walk(LOG, LINES).moments[5:7]
    assert [(one.name, one.after) for one in call.changes] == [
        ("R0", "map_value_or_null(id=1,map=calls,ks=4,vs=8)"),
        ("R1", ""),
        ("R2", ""),
    ]
    assert str(call.changes[1]) == "R1 is not known any more"
    assert test.does == "compares, and goes on"
    assert str(test.changes[0]) == "R0 becomes a pointer to a value of 8 bytes in the map `calls`"
    assert test.state["fp-8"] == "1???????"


def test_the_origin_of_a_register_is_the_step_that_changed_it_last() -> None:
    found = walk(LOG, LINES)
    assert found.origin(7, "R0") == 6  # the branch told that it is not NULL
    assert found.origin(6, "R0") == 5
    assert found.origin(5, "R0") is None
    assert found.before(0) == {"R1": "ctx()", "R10": "fp0"}


def test_a_slot_of_the_stack_is_said_in_bytes() -> None:
    assert in_words("fp-8", "mmmm????") == "4 of 8 bytes written"
    assert in_words("fp-8", "00000000") == "8 bytes of zeros"
    assert in_words("fp-8", "0") == "the number 0"
    assert in_words("fp-8", "ctx()").startswith("the context")


def test_a_long_path_keeps_its_end() -> None:
    many = "".join(f"{at}: (07) r1 += 1 ; R1_w={at}\n" for at in range(3000))
    found = walk(many, {})
    assert (len(found.moments), found.left_out) == (2000, 1000)
    assert found.moments[-1].state["R1"] == "2999"
