# SPDX-License-Identifier: Apache-2.0
"""From Python values to the bytes of a C type: the way back of `labkit.bpf.fields`."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from labkit.errors import BadArgument, bad_argument, unknown_name
from labkit.machine import btf
from labkit.machine.btf import BTF, Type

__all__ = ["packed"]


def packed(types: BTF, number: int, value: Any, name: str) -> bytes:
    """Return a value as the bytes of a C type.

    Parameters
    ----------
    value : a number, text, bytes, True or False; for a struct a dict of its fields (those left out are zeros), or a
        tuple of all of them; for an array a list; for an enum a name or a number.
    name : what messages call it.

    Raises
    ------
    BadArgument : a value that does not fit the type; says what does.
    """
    made, size = types.real(number), types.bytes_of(number)
    if made.kind == btf.STRUCT or made.kind == btf.UNION:
        return _struct(types, made, value, name)
    if made.kind == btf.ARRAY:
        return _array(types, made, value, name)
    if made.kind in (btf.ENUM, btf.ENUM64) and isinstance(value, str):
        numbers = {text: each for each, text in made.names.items()}
        if value not in numbers:
            raise unknown_name(name, value, numbers)
        value = numbers[value]
    if made.kind == btf.INT and made.name == "char" and isinstance(value, str) and len(value.encode()) == 1:
        return value.encode()
    if made.kind not in (btf.INT, btf.PTR, btf.ENUM, btf.ENUM64):
        return _bytes(value, size, name)
    return _number(value, size, made.kind != btf.PTR and made.signed, 8 * size, name).to_bytes(size, "little")


def _number(value: Any, size: int, signed: bool, bits: int, name: str) -> int:
    """Return a whole number within its bits, as the pattern of an unsigned one."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    try:
        made = operator.index(value)
    except TypeError:
        made = low - 1
    if not low <= made <= high:
        raise bad_argument(name, value, f"a whole number from {low} to {high}: the C type has {bits} bits")
    return made & ((1 << 8 * size) - 1)


def _bytes(value: Any, size: int, name: str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    if not isinstance(raw, (bytes, bytearray)) or len(raw) > size:
        raise bad_argument(name, value, f"text or bytes of at most {size} bytes")
    return bytes(raw).ljust(size, b"\0")


def _array(types: BTF, made: Type, value: Any, name: str) -> bytes:
    each = types.bytes_of(made.target)
    if isinstance(value, (str, bytes, bytearray)) or each * made.count == 0:
        return _bytes(value, each * made.count, name)
    if not isinstance(value, (list, tuple)) or len(value) != made.count:
        raise bad_argument(name, value, f"a list of {made.count} values")
    return b"".join(packed(types, made.target, one, f"{name}[{at}]") for at, one in enumerate(value))


def _struct(types: BTF, made: Type, value: Any, name: str) -> bytes:
    room = int.from_bytes(bytes(made.size), "little")
    members = [one for one in made.members if types.bytes_of(one.type)]
    if isinstance(value, (tuple, list)) and len(value) == len(members) and made.kind == btf.STRUCT:
        value = {one.name: each for one, each in zip(members, value, strict=True)}
    if not isinstance(value, Mapping):
        fields = ", ".join(repr(one.name) for one in members)
        raise bad_argument(name, value, f"a dict of its fields: {fields}")
    given = dict(value)
    for one in members:
        inner = types.real(one.type)
        if not one.name and inner.kind in (btf.STRUCT, btf.UNION):  # its fields are written as if they were ours
            own = {each.name for each in inner.members} & given.keys()
            if own:
                part = _struct(types, inner, {each: given.pop(each) for each in own}, name)
                room |= int.from_bytes(part, "little") << one.bit_offset
        elif one.name in given:
            given_one, size = given.pop(one.name), types.bytes_of(one.type)
            if one.bits:
                number = _number(given_one, size, inner.signed, one.bits, f"{name}.{one.name}")
                room |= (number & ((1 << one.bits) - 1)) << one.bit_offset
            else:
                part = packed(types, one.type, given_one, f"{name}.{one.name}")
                room |= int.from_bytes(part, "little") << one.bit_offset
    if given:
        wrong = next(iter(given))
        if not isinstance(wrong, str):
            raise BadArgument(f"{name} has a field {wrong!r}.", "name the fields by text, as the struct does")
        raise unknown_name(f"the field of {name}", wrong, [one.name for one in members if one.name])
    return room.to_bytes(made.size, "little")
