# SPDX-License-Identifier: Apache-2.0
"""What a learner's program keeps: the map that an exercise asks for, checked and read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from labkit.bpf import maps
from labkit.bpf.cell import Cell
from labkit.errors import BadArgument, LabkitError

__all__ = ["Kept", "Key", "Unfit"]

Key = int | str | tuple[int, ...]
_TYPES = {"u32": (4, False), "s32": (4, True), "u64": (8, False), "s64": (8, True)}
_ARRAYS = (maps.ARRAY, maps.PERCPU_ARRAY)
_HASHES = (maps.HASH, maps.PERCPU_HASH, maps.LRU_HASH, maps.LRU_PERCPU_HASH)


class Unfit(LabkitError):
    """The program cannot be tried: what it lacks, and how to add it."""


@dataclass(frozen=True)
class Kept:
    """A map that an exercise asks for.

    Parameters
    ----------
    name : of the map.
    declaration : how the exercise declares it, for the hint.
    key : the C type of its keys: u32, s32, u64, s64, or textN for a text of N bytes. Empty for an array.
    columns : for a buffer of records instead, the fields to compare.
    label : what a key is, for the message: "process", "descriptor".
    """

    name: str
    declaration: str
    key: str = ""
    columns: tuple[str, ...] = ()
    label: str = "key"

    def check(self, program: Cell) -> None:
        """Raise Unfit where the program has no such map, or one of another shape."""
        fix = f"declare it as the exercise does: {self.declaration}"
        try:
            shape = program.shape(self.name)
        except BadArgument:
            raise Unfit(f"{program.name} has no map named {self.name}.", fix) from None
        is_buffer = program.is_buffer(self.name)
        if is_buffer != bool(self.columns) or (not is_buffer and shape.kind not in (*_ARRAYS, *_HASHES)):
            raise Unfit(f"The map {self.name} of {program.name} is of another kind than the exercise asks for.", fix)
        if self.columns:
            missing = [name for name in self.columns if name not in program.events(self.name)]
            if missing:
                raise Unfit(f"The records of {self.name} have no field named {missing[0]}.", fix)
            return
        wanted = self._key_bytes if self.key else 4
        if shape.key_bytes != wanted or (not self.key and shape.kind not in _ARRAYS):
            raise Unfit(
                f"The keys of {self.name} have {shape.key_bytes} bytes, and the exercise asks for "
                f"{self.key or 'an array'} ({wanted} bytes).",
                fix,
            )
        if shape.value_bytes not in (4, 8):
            raise Unfit(f"The values of {self.name} have {shape.value_bytes} bytes; a number has 8.", fix)

    def read(self, program: Cell) -> dict[Key, int]:
        """Return the counts by key, without zeros; of records, how many there are of each kind."""
        if self.columns:
            frame = program.events(self.name)
            rows = zip(*(frame[name].tolist() for name in self.columns), strict=True)
            return dict(Counter(row if len(row) > 1 else row[0] for row in rows))
        fd, shape = program.map_fd(self.name), program.shape(self.name)
        keys, values = maps.read_raw(fd)
        slot = shape.slot_bytes // maps.possible_cpus() if shape.per_cpu else shape.slot_bytes
        found: dict[Key, int] = {}
        for key, value in zip(keys, values, strict=True):
            parts = [value[at : at + shape.value_bytes] for at in range(0, len(value), slot)]
            total = sum(int.from_bytes(part.tobytes(), "little") for part in parts)
            if total:
                found[self._key_of(key.tobytes())] = total
        return found

    @property
    def _key_bytes(self) -> int:
        return _TYPES[self.key][0] if self.key in _TYPES else int(self.key.removeprefix("text"))

    def _key_of(self, raw: bytes) -> Key:
        if not self.key:
            return int.from_bytes(raw, "little")
        if self.key in _TYPES:
            return int.from_bytes(raw, "little", signed=_TYPES[self.key][1])
        # as it is, but for the zeros at its end: bytes behind the end of a text make another key
        return raw.rstrip(b"\0").decode("ascii", errors="backslashreplace").replace("\0", "\\0")
