# SPDX-License-Identifier: Apache-2.0
"""From the bytes of C values to columns: one per field, named and typed as the struct says.

| in C | in the frame |
|---|---|
| integers, bit fields, pointers | numbers of the same size and sign; 128 bits: Python's |
| `bool`, `enum` | True and False; the name, or the number where it has none |
| `char`, `char[n]` | text, up to the first NUL |
| `u8[n]` | bytes |
| other arrays | `a[0]`, `a[1]`, … up to 16 elements, else one column of lists |
| struct in a struct | `outer.inner`; without a name of its own: `inner` |
| union | a column per member: the same bytes, read in each way |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from labkit.bpf.ring import column
from labkit.machine import btf
from labkit.machine.btf import BTF, Type

__all__ = ["Field", "fields_of", "frame_of"]

MOST_ELEMENTS = 16


@dataclass(frozen=True)
class Field:
    """One column: where it is in the value, in bytes, and how it is read.

    `kind` is a NumPy code, or text, bytes, big (128 bits), list, enum. `shift` and `bits` are of a bit field.
    """

    name: str
    offset: int
    size: int
    kind: str
    signed: bool = False
    shift: int = 0
    bits: int = 0
    names: tuple[tuple[int, str], ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether values of several CPUs can be added."""
        return self.kind[0] in "iu"


def fields_of(types: BTF, number: int, name: str) -> list[Field]:
    """Return the fields of a type; `name` is the column's where the type is not a struct."""
    made = types.real(number)
    if made.kind in (btf.STRUCT, btf.UNION):
        return _distinct(list(_members(types, made, "", 0)))
    return _distinct(list(_flat(types, number, name, 0)))


def frame_of(rows: npt.NDArray[np.uint8], fields: list[Field]) -> dict[str, Any]:
    """Return the columns of values: `rows` has one value per row, a byte per column."""
    return {one.name: _column(rows, one) for one in fields}


def _members(types: BTF, made: Type, prefix: str, base: int) -> Iterator[Field]:
    for member in made.members:
        name = f"{prefix}{member.name}" if member.name else prefix.removesuffix(".")
        at, size = base + member.bit_offset // 8, types.bytes_of(member.type)
        inner = types.real(member.type)
        bits = member.bits or (inner.bits if inner.kind == btf.INT and inner.bits < 8 * inner.size else 0)
        if bits and inner.kind in (btf.INT, btf.ENUM) and not inner.is_bool:
            signed = inner.signed
            shift = member.bit_offset % 8
            names = tuple(inner.names.items())
            yield Field(
                name,
                at,
                -(-(shift + bits) // 8),
                "enum" if names else "i8" if signed else "u8",
                signed,
                shift,
                bits,
                names,
            )
        elif inner.kind in (btf.STRUCT, btf.UNION):
            yield from _members(types, inner, f"{name}." if member.name else prefix, at)
        elif size:
            yield from _flat(types, member.type, name, at)


def _flat(types: BTF, number: int, name: str, at: int) -> Iterator[Field]:
    made, size = types.real(number), types.bytes_of(number)
    if made.kind in (btf.STRUCT, btf.UNION):
        yield from _members(types, made, f"{name}.", at)
    elif made.kind == btf.ARRAY:
        yield from _array(types, made, name, at, size)
    elif made.kind in (btf.ENUM, btf.ENUM64):
        yield Field(name, at, size, "enum", made.signed, names=tuple(made.names.items()))
    elif made.kind == btf.INT and size <= 8:
        code = "?" if made.is_bool else f"{'i' if made.signed else 'u'}{size}"
        yield Field(name, at, size, "text" if made.name == "char" else code, made.signed)
    elif made.kind == btf.INT:
        yield Field(name, at, size, "big", made.signed)
    elif made.kind == btf.PTR:
        yield Field(name, at, size, "u8")
    elif made.kind == btf.FLOAT and size in (4, 8):
        yield Field(name, at, size, f"f{size}")
    elif size:
        yield Field(name, at, size, "bytes")


def _array(types: BTF, made: Type, name: str, at: int, size: int) -> Iterator[Field]:
    inner, each = types.real(made.target), types.bytes_of(made.target)
    if inner.kind == btf.INT and each == 1 and not inner.is_bool:
        yield Field(name, at, size, "text" if inner.name == "char" else "bytes")
    elif made.count <= MOST_ELEMENTS:
        for index in range(made.count):
            yield from _flat(types, made.target, f"{name}[{index}]", at + index * each)
    elif inner.kind == btf.INT and each <= 8:
        yield Field(name, at, size, "list", inner.signed, bits=each)
    elif size:
        yield Field(name, at, size, "bytes")


def _distinct(fields: list[Field]) -> list[Field]:
    """Return the fields with names that differ: a struct without a name may repeat one."""
    seen: dict[str, int] = {}
    made = []
    for one in fields:
        seen[one.name] = seen.get(one.name, 0) + 1
        made.append(one if seen[one.name] == 1 else replace(one, name=f"{one.name} ({seen[one.name]})"))
    return made


def _column(rows: npt.NDArray[np.uint8], one: Field) -> Any:
    part = np.ascontiguousarray(rows[:, one.offset : one.offset + one.size])
    if one.bits and one.kind != "list":
        return _bit_field(part, one)
    if one.kind == "text":
        return column(part.view(f"S{one.size}")[:, 0] if len(part) else np.empty(0, f"S{one.size}"))
    if one.kind == "bytes":
        return pd.Series([row.tobytes() for row in part], dtype=object)
    if one.kind == "big":
        return pd.Series([int.from_bytes(row.tobytes(), "little", signed=one.signed) for row in part], dtype=object)
    if one.kind == "list":
        code = f"{'i' if one.signed else 'u'}{one.bits}"
        return pd.Series([row.view(code).tolist() for row in part], dtype=object)
    if one.kind == "enum":
        return _named(part.view(f"{'i' if one.signed else 'u'}{one.size}")[:, 0], one)
    if one.kind == "?":
        return part[:, 0] != 0
    return part.view(one.kind)[:, 0].copy()


def _bit_field(part: npt.NDArray[np.uint8], one: Field) -> Any:
    wide = [int.from_bytes(row.tobytes(), "little") >> one.shift & (1 << one.bits) - 1 for row in part]
    if one.signed and one.kind != "enum":
        wide = [value - (value >> one.bits - 1 << one.bits) for value in wide]
    values = np.array(wide, dtype="i8" if one.signed else "u8")
    return _named(values, one) if one.kind == "enum" else values


def _named(values: npt.NDArray[Any], one: Field) -> Any:
    names = dict(one.names)
    return pd.Series([names.get(int(value), str(int(value))) for value in values], dtype="str")
