# SPDX-License-Identifier: Apache-2.0
"""Events from a BPF ring buffer to a NumPy array, with no Python per event.

A thread drains the ring through libbpf; libbpf calls a few lines of C (`c/lib/ring.c`) that append each record to an
array. The BPF side submits with BPF_RB_NO_WAKEUP: waking the reader for each record would slow the thing measured.
"""

from __future__ import annotations

import ctypes as ct
import re
import subprocess
import threading
import time
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from labkit.bpf import maps
from labkit.bpf.bcc import event_fields, libbcc
from labkit.bpf.program import Program
from labkit.errors import LabkitError, check_int
from labkit.machine.folders import build_folder, repo_folder
from labkit.running import owner

DRAIN_EVERY_S = 0.002
_TOGETHER = 1 << 15
_RECORD_HEADER_BYTES = 8  # struct bpf_ringbuf_hdr in kernel/bpf/ringbuf.c

# NumPy's name of a type, and C's names of it
_NAMES_OF = {
    "S1": ("char",),
    "?": ("bool", "_Bool"),
    "i1": ("s8",),
    "u1": ("u8", "unsigned char"),
    "i2": ("s16", "short"),
    "u2": ("u16", "unsigned short"),
    "i4": ("s32", "int", "enum"),
    "u4": ("u32", "unsigned int"),
    "i8": ("s64", "long", "long long"),
    "u8": ("u64", "unsigned long", "unsigned long long"),
}
_C_TYPES = {name: kind for kind, names in _NAMES_OF.items() for name in names}


class RingReader:
    """Collects the records of one ring-buffer map while its block runs.

    Parameters
    ----------
    program : a loaded program.
    ring : the name of its BPF_RINGBUF_OUTPUT map.
    max_events : room in the array; memory is used only as records arrive.
    keeps_old : keep the records that were in the ring before, instead of throwing them away.

    After `stop()`, or after the block, `records()` returns the array and `lost` says how many records are missing.
    """

    def __init__(
        self,
        program: Program,
        ring: str,
        *,
        max_events: int = 20_000_000,
        keeps_old: bool = False,
    ) -> None:
        capacity = check_int("max_events", max_events, 1, 1_000_000_000, "events")
        self._program, self._keeps_old = program, keeps_old
        self._map_fd = program.map_fd(ring)
        self.dtype = record_dtype(program, ring)
        ring_bytes = maps.shape(self._map_fd).entries
        # more than the ring can hold: once the producer is detached, one such helping empties it
        self._helping = ring_bytes // (self.dtype.itemsize + _RECORD_HEADER_BYTES) + 1
        self._array = np.empty(capacity, dtype=self.dtype)
        self._sink = Sink(self._array.ctypes.data, self.dtype.itemsize, capacity)
        self._ring: int | None = None
        self._held: owner.Held | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._drain_until_stopped, name=f"ring {ring}", daemon=True)

    def __enter__(self) -> RingReader:
        take = sink_function("labkit_ring_take")  # built and loaded before anything is held
        self._held = owner.acquire("a ring buffer's reader", lambda: self._open(take), self._close, by=self)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the draining thread and take what is left in the ring. Detach the program first to miss nothing."""
        if self._held is None or self._ring is None:
            return
        self._held.close()
        if misfits := self._sink.shorter + self._sink.longer:
            what = f"{misfits} records are not of {self.dtype.itemsize} bytes."
            raise LabkitError(what, "send records of one C struct only to this ring")

    def _open(self, take: ct.c_void_p) -> None:
        """Open the ring, throw away what an earlier run left in it unless it is wanted, and start the thread."""
        self._ring = libbcc().bpf_new_ringbuf(self._map_fd, take, ct.byref(self._sink))
        if not self._ring:
            raise LabkitError("The ring buffer could not be opened.", "see `labkit doctor`: the row ring_buffer")
        if not self._keeps_old:
            self._drain()
            self._sink.forget()
        self._thread.start()

    def _close(self) -> None:
        if not self._ring:
            return
        self._stopping.set()
        if self._thread.ident is not None:  # it was started
            self._thread.join()
        self._drain()
        libbcc().bpf_free_ringbuf(self._ring)
        self._ring = None

    @property
    def count(self) -> int:
        """Records collected so far."""
        return int(self._sink.count)

    @property
    def lost(self) -> int:
        """Records lost: the ring was full (counted by the program) or the array was."""
        return self._program.lost_events + int(self._sink.overflow)

    def records(self) -> npt.NDArray[Any]:
        """Return the records collected so far, oldest first on each CPU."""
        return self._array[: self.count]

    def frame(self) -> pd.DataFrame:
        """Return the records as a frame, one column per field; `attrs["lost_events"]` says how many are missing."""
        made = as_frame(self.records())
        made.attrs["lost_events"] = self.lost
        return made

    def _drain_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self._drain()
            time.sleep(DRAIN_EVERY_S)

    def _drain(self) -> None:
        self._sink.budget = self._helping
        libbcc().bpf_consume_ringbuf(self._ring)


def record_dtype(program: Program, ring: str) -> np.dtype[Any]:
    """Return the NumPy type of the C struct that a program submits to a ring buffer, as clang laid it out."""
    fields: list[tuple[str, Any]] = []
    for field, kind in event_fields(program.bcc, ring):
        base, length = re.fullmatch(r"(.*?)\s*(?:\[(\d+)\])?", kind).groups()  # type: ignore[union-attr]
        if base.startswith("enum "):
            base = "enum"
        if base not in _C_TYPES:
            raise LabkitError(f"{ring}: field {field} has the C type {kind!r}, unknown here.", "give it another C type")
        code = _C_TYPES[base]
        if length is None:
            fields.append((field, code))
        else:
            fields.append((field, f"S{length}" if base == "char" else (code, int(length))))
    if not fields:
        raise LabkitError(f"{ring} has no record type.", "submit a struct to it in the C file")
    return np.dtype(fields, align=True)


def as_frame(records: npt.NDArray[Any]) -> pd.DataFrame:
    """Return an array of records as a frame, one column per field."""
    # each column is a copy already: without copy=False pandas would copy them all once more
    return pd.DataFrame({name: column(records[name]) for name in records.dtype.names or ()}, copy=False)


def column(values: npt.NDArray[Any]) -> Any:
    """Return one field as a column; text is decoded once per distinct value."""
    if values.dtype.kind != "S":
        return values.copy()
    known: dict[bytes, int] = {}
    codes = np.empty(len(values), dtype=np.intp)
    for start in range(0, len(values), _TOGETHER):  # this many stay in the processor's cache
        part = values[start : start + _TOGETHER]
        numbers, distinct = _numbered(part)
        places = [known.setdefault(text.split(b"\0")[0], len(known)) for text in distinct]
        codes[start : start + len(part)] = np.array(places, dtype=np.intp)[numbers]
    names = [text.decode(errors="replace") for text in known]
    return pd.Series(pd.array(names, dtype="str").take(codes))


def _numbered(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], list[bytes]]:
    """Return a number for each text, and the texts by number. Numbered eight bytes at a time."""
    width = -(-values.dtype.itemsize // 8) * 8
    words = values.astype(f"S{width}").view(np.uint64).reshape(len(values), -1)
    codes = np.zeros(len(values), dtype=np.int64)
    for word in words.T:
        numbers, distinct = pd.factorize(word)
        if len(distinct) > 1:
            codes = pd.factorize(codes * len(distinct) + numbers)[0] if codes.any() else numbers
    first = np.zeros(codes.max(initial=-1) + 1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]  # where each number appears first: the last that is written stays
    return codes, values[first].tolist()


class Sink(ct.Structure):
    """struct ring_sink of c/lib/ring.c."""

    _fields_ = [
        ("records", ct.c_void_p),
        ("record_bytes", ct.c_uint64),
        ("capacity", ct.c_uint64),
        ("count", ct.c_uint64),
        ("overflow", ct.c_uint64),
        ("budget", ct.c_int64),
        ("shorter", ct.c_uint64),
        ("longer", ct.c_uint64),
        ("sizes", ct.c_void_p),
    ]

    def forget(self) -> None:
        """Start to count anew."""
        self.count = self.overflow = self.shorter = self.longer = 0


@cache
def sink_function(name: str) -> ct.c_void_p:
    """Return the address of a function in the library built from c/lib/ring.c; its context is a `Sink`."""
    library = build_folder() / "lib" / "libring.so"
    made = subprocess.run(
        ["make", "-s", "-C", str(repo_folder() / "c"), "ring"], capture_output=True, text=True, check=False
    )
    if made.returncode != 0 or not library.exists():
        raise LabkitError("c/lib/ring.c could not be built.", "run `make setup`", made.stderr)
    return ct.cast(getattr(ct.CDLL(str(library)), name), ct.c_void_p)
