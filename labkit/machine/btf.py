# SPDX-License-Identifier: Apache-2.0
"""Read the running kernel's own description of its C types: BTF (Documentation/bpf/btf.rst).

btf = kernel_btf()
btf.member_offset("task_struct", "pid")     # bytes
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

__all__ = ["BTF", "KERNEL_BTF", "Member", "Type", "kernel_btf"]

KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")

# enum of <linux/btf.h>
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = 1, 2, 3, 4, 5, 6, 7, 8
VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(9, 20)
_MODIFIERS = (VOLATILE, CONST, RESTRICT, TYPE_TAG)
_MORE = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}  # bytes after the common ones, by kind
_EACH = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}  # and for each element
_COMMON, _MAGIC = 12, 0xEB9F


@dataclass(frozen=True)
class Member:
    """A member of a struct or a union; `bits` is the width of a bit field, 0 for any other."""

    name: str
    type: int
    bit_offset: int
    bits: int


@dataclass(frozen=True)
class Type:
    """One type.

    Attributes
    ----------
    kind : a number of <linux/btf.h>.
    name : empty for an anonymous one.
    target : the type pointed to, renamed, modified, or the element's; 0 is void.
    size : bytes, of what has a size.
    count : elements of an array.
    signed : of an integer or an enum.
    is_bool : of an integer: it is true or false.
    bits : of an integer: how many of its bits are used.
    names : of an enum: value -> name.
    """

    kind: int
    name: str
    target: int = 0
    size: int = 0
    count: int = 0
    signed: bool = False
    members: tuple[Member, ...] = ()
    is_bool: bool = False
    bits: int = 0
    names: Mapping[int, str] = field(default_factory=dict)


class BTF:
    """The types of one BTF blob; the number of a type is its place, and 0 is void."""

    def __init__(self, blob: bytes) -> None:
        magic, _, _, head, at, length, strings, _ = struct.unpack_from("=HBBIIIII", blob)
        if magic != _MAGIC:
            raise ValueError("this is not BTF in this machine's byte order")
        self._blob, self._strings = blob, head + strings
        self._starts = [0]
        position, end = head + at, head + at + length
        while position < end:
            self._starts.append(position)
            _, info, _ = struct.unpack_from("=III", blob, position)
            kind = info >> 24 & 0x1F
            position += _COMMON + _MORE.get(kind, 0) + _EACH.get(kind, 0) * (info & 0xFFFF)

    def type(self, number: int) -> Type:
        """Return a type by its number."""
        if number == 0:
            return Type(0, "void")
        start, blob = self._starts[number], self._blob
        name, info, third = struct.unpack_from("=III", blob, start)
        kind, length, flag = info >> 24 & 0x1F, info & 0xFFFF, info >> 31
        after, named = start + _COMMON, self.text(name)
        if kind == INT:
            (encoding,) = struct.unpack_from("=I", blob, after)
            signed, is_bool = bool(encoding >> 24 & 1), bool(encoding >> 24 & 4)
            return Type(kind, named, size=third, signed=signed, is_bool=is_bool, bits=encoding & 0xFF)
        if kind == ARRAY:
            element, _, count = struct.unpack_from("=III", blob, after)
            return Type(kind, named, target=element, count=count)
        if kind in (STRUCT, UNION):
            rows = (struct.unpack_from("=III", blob, after + 12 * each) for each in range(length))
            members = tuple(
                Member(self.text(text), of, at & 0xFFFFFF if flag else at, at >> 24 if flag else 0)
                for text, of, at in rows
            )
            return Type(kind, named, size=third, members=members)
        if kind in (ENUM, ENUM64):
            form = {(ENUM, 0): "=II", (ENUM, 1): "=Ii", (ENUM64, 0): "=IQ", (ENUM64, 1): "=Iq"}[kind, flag]
            each = struct.calcsize(form)
            pairs = (struct.unpack_from(form, blob, after + each * at) for at in range(length))
            names = {value: self.text(text) for text, value in pairs}
            return Type(kind, named, size=third, signed=bool(flag), names=names)
        if kind == FLOAT:
            return Type(kind, named, size=third)
        return Type(kind, named, target=third)

    def real(self, number: int) -> Type:
        """Return a type without its qualifiers and its other names."""
        return self.type(self.resolve(number))

    def bytes_of(self, number: int) -> int:
        """Return the size of a type in bytes; 0 for one that has none."""
        made = self.real(number)
        if made.kind == PTR:
            return 8
        return made.count * self.bytes_of(made.target) if made.kind == ARRAY else made.size

    def resolve(self, number: int) -> int:
        """Return what a type is without its qualifiers and its other names."""
        while (this := self.type(number)).kind in (*_MODIFIERS, TYPEDEF):
            number = this.target
        return number

    def unqualified(self, number: int) -> int:
        """Return a type without const and the like; a typedef stays."""
        while (this := self.type(number)).kind in _MODIFIERS:
            number = this.target
        return number

    @cached_property
    def structures(self) -> dict[str, int]:
        """The structs that have a name."""
        found: dict[str, int] = {}
        for number, start in enumerate(self._starts[1:], start=1):
            name, info, _ = struct.unpack_from("=III", self._blob, start)
            if info >> 24 & 0x1F == STRUCT and name:
                found.setdefault(self.text(name), number)
        return found

    def names_in(self, number: int) -> list[str]:
        """Return the names of a struct's members, those of its anonymous parts among them."""
        found = []
        for member in self.type(number).members:
            found += [member.name] if member.name else self.names_in(self.resolve(member.type))
        return found

    def member_offset(self, structure: str, name: str) -> int | None:
        """Return the byte at which a member begins; None where the kernel has no such member."""
        return self._offset(self.structures[structure], name) if structure in self.structures else None

    def _offset(self, number: int, name: str) -> int | None:
        for member in self.type(number).members:
            if member.name == name:
                return member.bit_offset // 8
            inner = None if member.name else self._offset(self.resolve(member.type), name)
            if inner is not None:
                return member.bit_offset // 8 + inner
        return None

    def text(self, offset: int) -> str:
        """Return the string at an offset of the string section."""
        start = self._strings + offset
        return self._blob[start : self._blob.index(b"\0", start)].decode(errors="replace")


@cache
def kernel_btf() -> BTF | None:
    """Return the running kernel's types, None where it does not describe them (CONFIG_DEBUG_INFO_BTF)."""
    try:
        return BTF(KERNEL_BTF.read_bytes())
    except (OSError, ValueError, struct.error):
        return None
