# SPDX-License-Identifier: Apache-2.0
"""Where a USDT probe's arguments are, as its note says it in the assembler's own words.

    "-4@%eax 8@16(%rbp) 8@$5"      x86-64: a signed int in eax, eight bytes at rbp + 16, the constant 5
    "-4@w0 8@[sp, 16] 8@5"         aarch64

The BPF side, `c/bpf/labkit_usdt.h`, follows what `parse` returns.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = ["ARGUMENTS", "OPERAND", "Operand", "packed", "parse"]

ARGUMENTS = 12  # USDT_ARGUMENTS in labkit_usdt.h
_MOST_DIGITS = 22  # of 64 bits in the octal digits that the assembler knows too
UNREADABLE, CONSTANT, REGISTER, MEMORY = range(4)  # enum usdt_kind

OPERAND = np.dtype(
    [
        ("constant", "i8"),
        ("register_at", "u2"),
        ("index_at", "u2"),
        ("kind", "u1"),
        ("scale", "u1"),
        ("bytes", "u1"),
        ("is_signed", "u1"),
    ]
)

# struct pt_regs of x86-64 in its order (arch/x86/include/uapi/asm/ptrace.h), eight bytes each: a register's names for
# eight, four, two bytes and one
_X86_64 = """
    r15 r15d r15w r15b; r14 r14d r14w r14b; r13 r13d r13w r13b; r12 r12d r12w r12b; rbp ebp bp bpl; rbx ebx bx bl;
    r11 r11d r11w r11b; r10 r10d r10w r10b; r9 r9d r9w r9b; r8 r8d r8w r8b; rax eax ax al; rcx ecx cx cl;
    rdx edx dx dl; rsi esi si sil; rdi edi di dil; (orig_rax); (rip); (cs); (eflags); rsp esp sp spl; (ss)
"""
_HEAD = re.compile(r"(-?)([1248])(f?)@")  # sign, size in bytes; f for a floating-point number
_HEX = r"-?(?:0x[0-9a-f]+|[0-9]+)"
_X86_OPERAND = re.compile(
    rf"\$(?P<constant>{_HEX})"
    rf"|%(?P<register>\w+)"
    rf"|(?P<offset>{_HEX})?\(%(?P<base>\w+)(?:,%(?P<index>\w+)(?:,(?P<scale>[1248]))?)?\)"
)
_ARM_OPERAND = re.compile(
    rf"#?(?P<constant>{_HEX})(?=\s|$)"
    rf"|(?P<register>[xw]\d+|[xw]zr|w?sp)\b"
    rf"|\[\s*(?P<base>\w+)(?:\s*,\s*(?:#?(?P<offset>{_HEX})|(?P<index>x\d+)(?:\s*,\s*lsl\s*#?(?P<shift>[0-3]))?))?\s*\]"
)


@dataclass(frozen=True)
class Operand:
    """One argument: its text in the note, its size, and how to get at it."""

    text: str
    bytes: int
    is_signed: bool
    kind: int = UNREADABLE
    constant: int = 0
    register_at: int = 0
    index_at: int = 0
    scale: int = 0

    @property
    def is_readable(self) -> bool:
        """False for what this reader does not follow: vector registers and addresses given by a symbol's name."""
        return self.kind != UNREADABLE


def parse(arguments: str, machine: str = platform.machine()) -> list[Operand]:
    """Return the operands of a note's argument text.

    Parameters
    ----------
    arguments : such as "-4@%eax 8@16(%rbp)".
    machine : "x86_64" or "aarch64", as `uname -m` says.
    """
    heads = list(_HEAD.finditer(arguments))
    ends = [head.start() for head in heads[1:]] + [len(arguments)]
    return [
        _operand(head, arguments[head.end() : end].strip(), machine) for head, end in zip(heads, ends, strict=False)
    ]


def packed(operands: Sequence[Operand]) -> npt.NDArray[np.void]:
    """Return the operands as the map `labkit_operands` holds them: ARGUMENTS slots, the unused ones zero."""
    slots = np.zeros(ARGUMENTS, dtype=OPERAND)
    for slot, operand in zip(slots, operands, strict=False):
        for name in OPERAND.names or ():
            slot[name] = getattr(operand, name)
    return slots


def _operand(head: re.Match[str], text: str, machine: str) -> Operand:
    operand = Operand(head[0] + text, bytes=int(head[2]), is_signed=head[1] == "-")
    syntax, registers = (_X86_OPERAND, _x86_registers()) if machine == "x86_64" else (_ARM_OPERAND, _arm_registers())
    found = syntax.fullmatch(text)
    if found is None or head[3]:
        return operand
    part = found.groupdict()
    constant, offset = _number(part["constant"]), _number(part["offset"])
    if constant is None or offset is None or not -(1 << 31) <= offset < 1 << 31:
        return operand
    if part["constant"] is not None:
        return replace(operand, kind=CONSTANT, constant=constant)
    if part["register"] in ("xzr", "wzr"):  # aarch64's register that is always zero
        return replace(operand, kind=CONSTANT)
    if any(name is not None and name not in registers for name in (part["register"], part["base"], part["index"])):
        return operand
    if part["register"] is not None:
        return replace(operand, kind=REGISTER, register_at=registers[part["register"]])
    if part["index"] is not None:
        scale = 1 << int(part["shift"] or 0) if "shift" in part else int(part["scale"] or 1)
        operand = replace(operand, index_at=registers[part["index"]], scale=scale)
    return replace(operand, kind=MEMORY, constant=offset, register_at=registers[part["base"] or ""])


def _number(text: str | None) -> int | None:
    """Return a number as the 64 bits of a register have it, with a sign; None where it does not fit, 0 for no text."""
    digits = (text or "0").lstrip("-").removeprefix("0x")
    if len(digits) > _MOST_DIGITS:
        return None
    number = int(
        digits, 16 if "0x" in (text or "") else 8 if digits.startswith("0") and set(digits) <= set("01234567") else 10
    )
    number = -number if (text or "").startswith("-") else number
    if not -(1 << 63) <= number < 1 << 64:
        return None
    return number - (1 << 64) if number >= 1 << 63 else number


@cache
def _x86_registers() -> dict[str, int]:
    """Return register name -> its place in struct pt_regs, in bytes."""
    return {name: 8 * n for n, names in enumerate(_X86_64.split(";")) for name in names.split()}


@cache
def _arm_registers() -> dict[str, int]:
    """The same for aarch64 (arch/arm64/include/uapi/asm/ptrace.h): 31 general registers, then sp."""
    general = {f"{letter}{n}": 8 * n for n in range(31) for letter in "xw"}
    return {**general, "sp": 8 * 31, "wsp": 8 * 31}
