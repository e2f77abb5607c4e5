# SPDX-License-Identifier: Apache-2.0
"""The words of a USDT note become the places of the arguments."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from labkit.bpf.usdt.operands import ARGUMENTS, CONSTANT, MEMORY, REGISTER, packed, parse

RAX, RBX, RBP, RSP, RDI = 80, 40, 32, 152, 112  # offsetof(struct pt_regs, …) on x86-64


@pytest.mark.parametrize(
    ("text", "kind", "constant", "register_at", "index_at", "scale", "size", "signed"),
    [
        ("8@%rax", REGISTER, 0, RAX, 0, 0, 8, False),
        ("-4@%edi", REGISTER, 0, RDI, 0, 0, 4, True),
        ("-1@%al", REGISTER, 0, RAX, 0, 0, 1, True),
        ("2@%bx", REGISTER, 0, RBX, 0, 0, 2, False),
        ("8@$5", CONSTANT, 5, 0, 0, 0, 8, False),
        ("-4@$-1", CONSTANT, -1, 0, 0, 0, 4, True),
        ("-4@112(%rsp)", MEMORY, 112, RSP, 0, 0, 4, True),
        ("8@-80(%rbx)", MEMORY, -80, RBX, 0, 0, 8, False),
        ("8@(%rdi)", MEMORY, 0, RDI, 0, 0, 8, False),
        ("8@16(%rax,%rbp,4)", MEMORY, 16, RAX, RBP, 4, 8, False),
        ("8@(%rax,%rbp)", MEMORY, 0, RAX, RBP, 1, 8, False),
    ],
)
def test_x86_64(
    text: str, kind: int, constant: int, register_at: int, index_at: int, scale: int, size: int, signed: bool
) -> None:
    [found] = parse(text, "x86_64")
    assert (found.kind, found.constant, found.register_at) == (kind, constant, register_at)
    assert (found.index_at, found.scale, found.bytes, found.is_signed) == (index_at, scale, size, signed)
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "kind", "constant", "register_at", "index_at", "scale"),
    [
        ("-4@w0", REGISTER, 0, 0, 0, 0),
        ("8@x29", REGISTER, 0, 232, 0, 0),
        ("8@sp", REGISTER, 0, 248, 0, 0),
        ("8@[sp, 16]", MEMORY, 16, 248, 0, 0),
        ("-4@[x29,#-20]", MEMORY, -20, 232, 0, 0),
        ("8@[x1]", MEMORY, 0, 8, 0, 0),
        ("8@[x0, x2, lsl 3]", MEMORY, 0, 0, 16, 8),
        ("8@[x0, x2]", MEMORY, 0, 0, 16, 1),
        ("8@5", CONSTANT, 5, 0, 0, 0),
        ("-4@#-1", CONSTANT, -1, 0, 0, 0),
        ("8@xzr", CONSTANT, 0, 0, 0, 0),
    ],
)
def test_aarch64(text: str, kind: int, constant: int, register_at: int, index_at: int, scale: int) -> None:
    [found] = parse(text, "aarch64")
    assert (found.kind, found.constant, found.register_at) == (kind, constant, register_at)
    assert (found.index_at, found.scale) == (index_at, scale)


def test_several_arguments_keep_their_order() -> None:
    texts = ["8@-30464(%rbp)", "-4@$-2", "8@(%rax,%rbx,8)", "-1@%al"]
    assert [operand.text for operand in parse(" ".join(texts), "x86_64")] == texts
    assert [operand.bytes for operand in parse("8@[sp, 16] -4@w1 2@5", "aarch64")] == [8, 4, 2]


def test_no_arguments_are_no_operands() -> None:
    assert parse("", "x86_64") == []


@pytest.mark.parametrize("text", ["8f@%xmm0", "8@counter(%rip)", "8@%ah", "8@%nonsense", "8@what is this"])
def test_what_cannot_be_followed_is_marked_and_keeps_its_text(text: str) -> None:
    [found] = parse(text, "x86_64")
    assert not found.is_readable
    assert found.text == text


def test_packed_fills_the_unused_slots_with_zeros() -> None:
    slots = packed(parse("-4@112(%rsp)", "x86_64"))
    assert len(slots) == ARGUMENTS
    assert slots[0].tolist() == (112, RSP, 0, MEMORY, 0, 4, 1)
    assert not np.frombuffer(slots[1:].tobytes(), "u1").any()


def test_the_record_is_as_long_as_the_c_struct(tmp_path: Path) -> None:
    header = Path(__file__).parents[3] / "c" / "bpf" / "labkit_usdt.h"
    struct = header.read_text().partition("struct usdt_operand {")[2].partition("};")[0]
    source = tmp_path / "size.c"
    source.write_text(
        "typedef long long s64; typedef unsigned short u16; typedef unsigned char u8;\n"
        f"struct usdt_operand {{{struct}}};\nint main(void) {{ return sizeof(struct usdt_operand); }}\n"
    )
    subprocess.run(["cc", "-o", tmp_path / "size", source], check=True)
    size = subprocess.run([tmp_path / "size"], check=False).returncode
    assert packed([]).itemsize == size
