# SPDX-License-Identifier: Apache-2.0
"""What a program sends to a buffer: the C types of its records, and which records are of which.

A record carries no name of its type. Where a program sends several types to one buffer, the size tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.bpf.counted import MARKED
from labkit.bpf.diagnose.records import size_in_buffer
from labkit.bpf.fields import Field, fields_of
from labkit.errors import BadArgument, unknown_name
from labkit.machine.btf import BTF

__all__ = ["Record", "chosen", "records_of"]


@dataclass(frozen=True)
class Record:
    """One C type that is sent to a buffer; `name` is that of its struct or type."""

    name: str
    fields: tuple[Field, ...]
    size: int

    def in_buffer(self, is_ring: bool) -> int:
        """Return the size as the buffer gives it back."""
        return size_in_buffer(self.size, is_ring)


def records_of(types: BTF | None, buffer: str) -> list[Record]:
    """Return the types that are sent to a buffer; none where they are not known."""
    found: dict[tuple[tuple[Field, ...], int], Record] = {}
    for text, number in types.structures.items() if types else ():
        if types and text.startswith(MARKED) and text.removeprefix(MARKED).partition("_")[2] == buffer:
            value = types.type(number).members[1].type  # key, value
            fields, size = tuple(fields_of(types, value, "value")), types.bytes_of(value)
            name = types.type(value).name or types.real(value).name or f"{size} bytes"
            if size > 1 or (size and fields[0].kind != "text"):
                found.setdefault((fields, size), Record(name, fields, size))
    return list(found.values())


def chosen(records: Sequence[Record], of: str, buffer: str, reader: str, *, is_ring: bool) -> Record:
    """Return the type whose records are wanted.

    Raises
    ------
    BadArgument : no such type; several types and none named, or of one size.
    """
    names = [one.name for one in records]
    if of and of not in names:
        raise unknown_name("of", of, names)
    if len(records) > 1:
        sizes = [one.in_buffer(is_ring) for one in records]
        if len({*sizes}) < len(sizes) or len({*names}) < len(names):
            sizes_text = " and ".join(str(one.size) for one in sorted(records, key=lambda one: one.size))
            raise BadArgument(
                f"{buffer} gets records of {len(records)} different C types, of {sizes_text} bytes: nothing tells them "
                "apart.",
                "declare one buffer for each type",
            )
        if not of:
            raise BadArgument(
                f"{buffer} gets records of {len(records)} different C types: {', '.join(names)}.",
                f'say which: {reader}.events("{buffer}", of="{names[0]}")',
            )
    return records[names.index(of) if of else 0]
