# SPDX-License-Identifier: Apache-2.0
"""Collect the records of a learner's ring buffer or perf buffer from the moment it is loaded.

A thread waits until the kernel has records, takes them without Python code per record (c/lib/ring.c), and keeps them
until they are cleared. A ring buffer is one for all CPUs; of a perf buffer each CPU has its own, of `PERF_PAGES`.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import mmap
import os
import select
import threading
import time

import numpy as np
import numpy.typing as npt

from labkit.bpf import maps
from labkit.bpf.bcc import libbcc, online_cpus
from labkit.bpf.ring import Sink, sink_function
from labkit.errors import LabkitError
from labkit.running import owner

__all__ = ["PERF_BUFFER", "PERF_PAGES", "RING_BUFFER", "Collector"]

PERF_BUFFER, RING_BUFFER = 4, 27  # BPF_MAP_TYPE_PERF_EVENT_ARRAY and _RINGBUF of enum bpf_map_type
PERF_PAGES = 64
KEPT_BYTES, KEPT_RECORDS = 1 << 28, 4_000_000  # the lab keeps no more records of one buffer than fit in both
_WAIT_MS = 50
_PAUSE_S = 0.001  # after records: the next ones are taken together
_AT_ONCE = 1 << 20


class Collector:
    """Keeps the records of one buffer; `close()` ends it, and what it has kept can still be read.

    Parameters
    ----------
    name, map_fd : of the buffer.
    record_bytes : the size of the C type that is sent, of the largest one where there are several.

    Attributes
    ----------
    sink : counts the records kept so far (`count`), those that arrived when `capacity` of them were kept already
        (`overflow`), and those that were `shorter` or `longer` than the C type.
    """

    def __init__(self, name: str, map_fd: int, record_bytes: int) -> None:
        told = maps.shape(map_fd)
        self.name, self.record_bytes = name, record_bytes
        self.is_ring = told.kind == RING_BUFFER
        self.buffer_bytes = told.entries if self.is_ring else PERF_PAGES * mmap.PAGESIZE
        self.capacity = min(KEPT_BYTES // record_bytes, KEPT_RECORDS)
        self._map_fd = map_fd
        self._array = np.empty((self.capacity, record_bytes), dtype=np.uint8)  # memory is used as records arrive
        self._sizes = np.empty(self.capacity, dtype=np.uint32)
        self.sink = Sink(self._array.ctypes.data, record_bytes, self.capacity, sizes=self._sizes.ctypes.data)
        self._ring: int | None = None
        self._readers: dict[int, int] = {}
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"records of {name}", daemon=True)
        take = sink_function("labkit_ring_take" if self.is_ring else "labkit_perf_take")
        self._held = owner.acquire(f"the records of {name}", lambda: self._open(take), self._close)

    def close(self) -> None:
        """Take what is left in the buffer and stop collecting. Detach the program first to miss nothing."""
        self._held.close()

    def rows(self, last: int | None = None, size: int | None = None) -> npt.NDArray[np.uint8]:
        """Return the bytes of the records so far, one record per row, those that wait in the buffer included.

        Parameters
        ----------
        last : only the newest this many.
        size : only those that came with this many bytes.
        """
        with self._lock:
            self._drain()
            count = self.sink.count
            if size is None:
                return self._array[0 if last is None else max(count - last, 0) : count].copy()
            found = np.flatnonzero(self._sizes[:count] == size)
            return self._array[found if last is None else found[-last:]]

    def clear(self) -> None:
        """Forget the records so far."""
        with self._lock:
            self._drain()
            self.sink.forget()

    def _open(self, take: ct.c_void_p) -> None:
        if self.is_ring:
            self._ring = libbcc().bpf_new_ringbuf(self._map_fd, take, ct.byref(self.sink))
            if not self._ring:
                raise LabkitError(f"The ring buffer {self.name} could not be opened.", "see `labkit doctor`")
        else:
            for cpu in online_cpus():
                self._open_cpu(cpu, take)
        self._drain()  # what an earlier run of the same cell left
        self.sink.forget()
        self._thread.start()

    def _open_cpu(self, cpu: int, take: ct.c_void_p) -> None:
        lib, lost = libbcc(), sink_function("labkit_perf_lost")
        reader = lib.bpf_open_perf_buffer(take, lost, ct.addressof(self.sink), -1, cpu, PERF_PAGES)
        if not reader:
            raise LabkitError(
                f"The perf buffer {self.name} could not be opened on CPU {cpu}: {os.strerror(ct.get_errno())}.",
                "see `labkit doctor`, and the limit of locked memory: ulimit -l",
            )
        self._readers[cpu] = reader
        key, fd = ct.c_int(cpu), ct.c_int(lib.perf_reader_fd(reader))
        if lib.bpf_update_elem(self._map_fd, ct.byref(key), ct.byref(fd), 0) != 0:
            raise LabkitError(f"The perf buffer {self.name} refused CPU {cpu}.", "run the cell again, as root")

    def _close(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:  # it was started
            self._thread.join()
        with self._lock:
            self._drain()
            if self._ring:
                libbcc().bpf_free_ringbuf(self._ring)
                self._ring = None
            for cpu, reader in self._readers.items():
                libbcc().bpf_delete_elem(self._map_fd, ct.byref(ct.c_int(cpu)))
                libbcc().perf_reader_free(reader)
            self._readers.clear()

    def _run(self) -> None:
        waiting = select.poll()
        fds = [self._map_fd] if self.is_ring else [libbcc().perf_reader_fd(one) for one in self._readers.values()]
        for fd in fds:
            waiting.register(fd, select.POLLIN)
        while not self._stopping.is_set():
            with contextlib.suppress(InterruptedError):
                waiting.poll(_WAIT_MS)
            before = self.sink.count
            with self._lock:
                self._drain()
            if self.sink.count != before:
                time.sleep(_PAUSE_S)

    def _drain(self) -> None:
        self.sink.budget = _AT_ONCE
        if self._ring:
            libbcc().bpf_consume_ringbuf(self._ring)
        elif self._readers:
            readers = (ct.c_void_p * len(self._readers))(*self._readers.values())
            libbcc().perf_reader_consume(len(readers), readers)
