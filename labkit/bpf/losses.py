# SPDX-License-Identifier: Apache-2.0
"""What a learner's program lost, by map and cause, in plain words: the counts of `c/bpf/labkit_counted.h`."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.bpf import bcc, maps
from labkit.bpf.collect import PERF_BUFFER, RING_BUFFER
from labkit.bpf.maps import MapShape

__all__ = ["COUNTS", "Loss", "forget", "losses"]

COUNTS = "labkit_refused"
_KINDS = 4  # LABKIT_KINDS
_NO_RECORD, _NO_ENTRY, _RACE, _NO_SLOT = range(_KINDS)  # enum labkit_refusal
_ARRAYS = (maps.ARRAY, maps.PERCPU_ARRAY)


@dataclass(frozen=True)
class Loss:
    """How often one thing failed. `map` is empty where it is not known which map it was."""

    map: str
    cause: str
    count: int
    fix: str

    def __str__(self) -> str:
        return f"{self.count} {self.cause}. {self.fix[:1].upper()}{self.fix[1:]}."


def losses(module: Any) -> list[Loss]:
    """Return what was lost since the maps were cleared; nothing where the program does not count it."""
    if COUNTS not in bcc.map_names(module):
        return []
    names, found = _numbered(module), []
    counts = maps.read_array(bcc.map_fd(module, COUNTS), np.uint64).sum(axis=1).reshape(-1, _KINDS)
    for number, row in enumerate(counts):
        name = names.get(number, "")
        told = maps.shape(bcc.map_fd(module, name)) if name else None
        for kind, count in enumerate(row):
            fits = told is not None and (kind == _NO_RECORD) == (told.kind in (RING_BUFFER, PERF_BUFFER))
            if count:
                cause, fix = _words(kind, name if fits else "", told if fits else None)
                found.append(Loss(name if fits else "", cause, int(count), fix))
    return found


def forget(module: Any, name: str) -> None:
    """Set the counts of one map to zero."""
    if COUNTS not in bcc.map_names(module):
        return
    fd = bcc.map_fd(module, COUNTS)
    zeros = bytes(maps.shape(fd).slot_bytes)
    for number in (number for number, one in _numbered(module).items() if one == name):
        for kind in range(_KINDS):
            maps.write_raw(fd, np.uint32(number * _KINDS + kind).tobytes(), zeros)


def _numbered(module: Any) -> dict[int, str]:
    """Return the maps by the number that BCC gives them while it compiles: as they are declared, from 1.

    BCC makes them from the last to the first, and the kernel numbers them as they are made.
    """
    names = bcc.map_names(module)
    ids = {name: maps.shape(bcc.map_fd(module, name)).id for name in names}
    return dict(enumerate(sorted(names, key=lambda name: -ids[name]), start=1))


def _words(kind: int, name: str, told: MapShape | None) -> tuple[str, str]:
    where = name or "a map"
    if kind == _NO_RECORD:
        if told is not None and told.kind == PERF_BUFFER:
            return f"records are missing: the buffer of a CPU in {where} was full", "send less, or smaller records"
        size = f" ({told.entries} bytes)" if told is not None else ""
        twice = 2 * told.entries // mmap.PAGESIZE if told is not None else 0
        larger = f"BPF_RINGBUF_OUTPUT({where}, {twice})" if twice else "more pages"
        return f"records are missing: the ring buffer {where}{size} was full", f"make it larger: {larger}"
    if kind == _RACE:
        return f"counts are missing in {where}: two CPUs made the same entry at once", (
            "use lookup_or_try_init() and __sync_fetch_and_add(), or BPF_PERCPU_HASH"
        )
    if kind == _NO_SLOT and (told is None or told.kind not in _ARRAYS):
        return f"counts are missing in {where}: BCC's increment() makes no new entry in this kind of map", (
            "make it first: lookup_or_try_init(&key, &zero)"
        )
    if told is not None and told.kind in _ARRAYS:
        return f"updates of {where} were refused: the index was not below {told.entries}", (
            f"declare more entries, or keep the index below {told.entries}"
        )
    if told is None:
        return f"updates of {where} were refused", "check the result of each update"
    return f"updates of {where} were refused: it has room for {told.entries} entries", (
        f'declare more entries, or BPF_TABLE("lru_hash", …, {where}, {told.entries}), which forgets old ones'
    )
