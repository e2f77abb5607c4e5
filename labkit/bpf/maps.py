# SPDX-License-Identifier: Apache-2.0
"""Read, write and empty BPF maps in bulk: one system call for a whole array, straight into NumPy.

Rests on bpf(2): BPF_OBJ_GET_INFO_BY_FD, BPF_MAP_LOOKUP_BATCH, BPF_MAP_UPDATE_BATCH (Linux 5.6; 5.13 for per-CPU
arrays), with the single-element commands where a kernel lacks those.
"""

from __future__ import annotations

import ctypes as ct
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.bpf.bcc import libbcc, map_fd, map_names
from labkit.errors import LabkitError

# enum bpf_map_type in include/uapi/linux/bpf.h
HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY, LRU_HASH, LRU_PERCPU_HASH = 1, 2, 5, 6, 9, 10
MOST_ROWS = 1_000_000  # of one reading
_BATCH = 8192
_ARRAYS = (ARRAY, PERCPU_ARRAY)
STACK_TRACE, LPM_TRIE = 7, 11
_HASHES = (HASH, PERCPU_HASH, LRU_HASH, LRU_PERCPU_HASH, STACK_TRACE, LPM_TRIE)  # what deletes by key


class _MapInfo(ct.Structure):
    """The head of struct bpf_map_info; the kernel fills as much as it is given room for."""

    _fields_ = [
        ("type", ct.c_uint32),
        ("id", ct.c_uint32),
        ("key_size", ct.c_uint32),
        ("value_size", ct.c_uint32),
        ("max_entries", ct.c_uint32),
        ("map_flags", ct.c_uint32),
        ("name", ct.c_char * 16),
        ("ifindex", ct.c_uint32),
        ("btf_vmlinux_value_type_id", ct.c_uint32),
        ("netns_dev", ct.c_uint64),
        ("netns_ino", ct.c_uint64),
        ("btf_id", ct.c_uint32),
        ("btf_key_type_id", ct.c_uint32),
        ("btf_value_type_id", ct.c_uint32),
    ]


@dataclass(frozen=True)
class MapShape:
    """What the kernel says of a map: its kind, id, sizes in bytes, and the numbers of its types in the BTF."""

    kind: int
    id: int
    key_bytes: int
    value_bytes: int
    entries: int
    btf: int = 0  # the id of its program's types; 0: none
    key_type: int = 0
    value_type: int = 0

    @property
    def per_cpu(self) -> bool:
        return self.kind in (PERCPU_ARRAY, PERCPU_HASH, LRU_PERCPU_HASH)

    @property
    def slot_bytes(self) -> int:
        """Bytes that one entry takes in user space: a per-CPU value is padded to 8 for each possible CPU."""
        return (self.value_bytes + 7) // 8 * 8 * possible_cpus() if self.per_cpu else self.value_bytes


def possible() -> list[int]:
    """Return the numbers of the CPUs that the kernel may ever have, which may have gaps."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    ranges = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return [cpu for ends in ranges for cpu in range(ends[0], ends[-1] + 1)]


def possible_cpus() -> int:
    """Return how many CPUs the kernel may ever have: a per-CPU value has one part for each, without gaps."""
    return len(possible())


def shape(fd: int) -> MapShape:
    """Return what the kernel says of the map behind a file descriptor."""
    info = _MapInfo()
    size = ct.c_uint32(ct.sizeof(info))
    if libbcc().bpf_obj_get_info(fd, ct.byref(info), ct.byref(size)) != 0:
        raise _failed("read the description of", fd)
    sizes = info.key_size, info.value_size, info.max_entries
    return MapShape(info.type, info.id, *sizes, info.btf_id, info.btf_key_type_id, info.btf_value_type_id)


def read_array(fd: int, dtype: npt.DTypeLike = np.uint64) -> npt.NDArray[Any]:
    """Return a whole array map: shape (entries,), or (entries, CPUs) for a per-CPU array."""
    what, kind = shape(fd), np.dtype(dtype)
    slots = read_raw(fd)[1]
    if len(slots) != what.entries:
        raise _failed("read", fd)
    if not what.per_cpu:
        return slots.view(kind)[:, 0]
    each = slots.reshape(what.entries, possible_cpus(), -1)[:, :, : what.value_bytes]
    return np.ascontiguousarray(each).view(kind)[:, :, 0]


def write_array(fd: int, values: npt.NDArray[Any], first: int = 0) -> None:
    """Write consecutive entries of a (not per-CPU) array map, from index `first`."""
    for index, value in enumerate(values, start=first):
        key = np.array([index], dtype=np.uint32)
        if libbcc().bpf_update_elem(fd, _pointer(key), _pointer(np.array([value], dtype=values.dtype)), 0) != 0:
            raise _failed("write", fd)


def read_raw(fd: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the keys and the values of a map as bytes, one entry per row, at most `MOST_ROWS`.

    A per-CPU value is as long as `MapShape.slot_bytes`.
    """
    what = shape(fd)
    if what.kind in (*_ARRAYS, *_HASHES[:4]) and (found := _read_batches(fd, what)):
        return found
    key, following = np.zeros(what.key_bytes, np.uint8), np.zeros(what.key_bytes, np.uint8)
    value = np.zeros(what.slot_bytes, np.uint8)
    entries = dict[bytes, bytes]()
    missing = libbcc().bpf_get_next_key(fd, None, _pointer(key))
    # bounded: a program that still inserts, or deletes the key we are at, cannot keep us here forever
    for _ in range(min(2 * what.entries, MOST_ROWS) if missing == 0 else 0):
        if libbcc().bpf_lookup_elem(fd, _pointer(key), _pointer(value)) == 0:
            entries[key.tobytes()] = value.tobytes()
        if libbcc().bpf_get_next_key(fd, _pointer(key), _pointer(following)) != 0:
            break
        key, following = following, key
    return _rows(list(entries), what.key_bytes), _rows(list(entries.values()), what.slot_bytes)


def _read_batches(fd: int, what: MapShape) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """Return the same with one system call for thousands of entries; None where the kernel cannot."""
    room, cursor, is_first = min(_BATCH, what.entries), ct.create_string_buffer(max(what.key_bytes, 8)), True
    parts, rows = list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]](), 0
    while rows < MOST_ROWS:
        keys = np.zeros((room, what.key_bytes), np.uint8)
        values = np.zeros((room, what.slot_bytes), np.uint8)
        got = ct.c_uint32(room)
        before = None if is_first else cursor.raw
        done = libbcc().bpf_lookup_batch(fd, before, cursor, _pointer(keys), _pointer(values), ct.byref(got))
        error = 0 if done == 0 else ct.get_errno()
        if error == errno.ENOSPC and room < what.entries:  # many entries in one bucket of the hash
            room = min(2 * room, what.entries)
            continue
        if error not in (0, errno.ENOENT):
            return None
        parts.append((keys[: got.value], values[: got.value]))
        rows, is_first = rows + got.value, False
        if error == errno.ENOENT:  # that was the last
            break
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def write_raw(fd: int, key: bytes, value: bytes) -> None:
    """Write one entry as bytes. Raises OSError where the kernel refuses."""
    if libbcc().bpf_update_elem(fd, key, value, 0) != 0:
        raise OSError(ct.get_errno(), os.strerror(ct.get_errno()))


def _rows(values: list[bytes], size: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(values), size)


def clear(module: Any, *names: str) -> None:
    """Set array maps to zeros and empty hash maps of a `bcc.BPF`: those named, or all."""
    for name in names or map_names(module):
        fd = map_fd(module, name)
        what = shape(fd)
        if what.kind in _ARRAYS:
            _zero(fd, what)
        elif what.kind in _HASHES:
            _empty(fd, what)


def _zero(fd: int, what: MapShape) -> None:
    keys = np.arange(what.entries, dtype=np.uint32)
    zeros = np.zeros((what.entries, what.slot_bytes), dtype=np.uint8)
    count = ct.c_uint32(what.entries)
    if libbcc().bpf_update_batch(fd, _pointer(keys), _pointer(zeros), ct.byref(count)) == 0:
        return
    for key in range(what.entries):
        if libbcc().bpf_update_elem(fd, _pointer(keys[key:]), _pointer(zeros[key]), 0) != 0:
            raise _failed("empty", fd)


def _empty(fd: int, what: MapShape) -> None:
    key = np.zeros(what.key_bytes, dtype=np.uint8)
    # bounded: a program that still inserts cannot keep us here forever
    for _ in range(2 * what.entries + 1):
        if libbcc().bpf_get_first_key(fd, _pointer(key), what.key_bytes) != 0:
            return
        libbcc().bpf_delete_elem(fd, _pointer(key))


def _pointer(array: npt.NDArray[Any]) -> ct.c_void_p:
    return array.ctypes.data_as(ct.c_void_p)  # which keeps the array alive as long as the pointer


def _failed(verb: str, fd: int) -> LabkitError:
    return LabkitError(f"Could not {verb} BPF map {fd}: {os.strerror(ct.get_errno())}.", "run the cell again, as root")
