# SPDX-License-Identifier: Apache-2.0
"""Rows on BPF itself: programs, maps, the JIT compiler, type information, run statistics, the ring buffer."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from labkit.machine.doctor.instructions import count, give_back, send_record
from labkit.machine.doctor.programs import RINGBUF, Counter, Program, bpf_map, checked, libbpf
from labkit.machine.doctor.rows import Finding, as_root, missing, ok, other_kernel, refused

__all__ = ["bpf", "btf", "jit", "maps", "ring_buffer", "run_statistics"]

TIMES = 23

# include/uapi/linux/bpf.h: name -> (type, bytes of a key, bytes of a value)
_MAPS = {
    "hash": (1, 4, 8),
    "array": (2, 4, 8),
    "perf event array": (4, 4, 4),
    "per-CPU hash": (5, 4, 8),
    "per-CPU array": (6, 4, 8),
    "stack trace": (7, 4, 8),
    "LRU hash": (9, 4, 8),
    "LRU per-CPU hash": (10, 4, 8),
}
_KIND_FUNC = 12  # BTF_KIND_FUNC
_RECORD_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def bpf() -> Finding:
    """bpf(2): load a program that counts in a map, and have the kernel run it."""
    with Counter() as hits, Program("socket", count(hits.descriptor)) as program:
        program.run(TIMES)
        return ok(f"a program was loaded and run {TIMES} times; it counted {hits.value} in a map")


def jit() -> Finding:
    """Look at what the kernel made of a program: machine code, or bytecode for its interpreter."""
    with Program("socket", give_back(0)) as program:
        if program.told("prog_jited"):
            return ok("the kernel compiled a program to machine code")
    return missing("programs are interpreted, not compiled", as_root("sysctl -w net.core.bpf_jit_enable=1"))


def btf() -> Finding:
    """BTF, the kernel's own type information: read it and look a function up in it."""
    file = Path("/sys/kernel/btf/vmlinux")
    if not file.exists():
        return missing(f"no {file}", other_kernel("CONFIG_DEBUG_INFO_BTF=y"))
    types = ctypes.c_void_p(checked(libbpf().btf__load_vmlinux_btf(), f"reading {file}"))
    number = libbpf().btf__find_by_name_kind(types, b"bpf_fentry_test1", _KIND_FUNC)
    total = libbpf().btf__type_cnt(types)
    libbpf().btf__free(types)
    known = f"; bpf_fentry_test1 is number {number}" if number > 0 else ""
    return ok(f"{file} has {total} types{known}")


def run_statistics() -> Finding:
    """Ask the kernel to count runs (BPF_ENABLE_STATS), run a program, read the count."""
    descriptor = checked(libbpf().bpf_enable_stats(0), "switching run statistics on")  # BPF_STATS_RUN_TIME
    try:
        with Program("socket", give_back(0)) as program:
            program.run(TIMES)
            counted = program.told("run_cnt")
    finally:
        os.close(descriptor)
    if counted != TIMES:
        return missing(f"{TIMES} runs were counted as {counted}", other_kernel())
    return ok(f"{TIMES} runs were counted as {counted}")


def maps() -> Finding:
    """Make one map of each kind that the lessons use."""
    lacking = []
    for name, (kind, key_bytes, value_bytes) in _MAPS.items():
        try:
            with bpf_map(kind, key_bytes, value_bytes, 2):
                pass
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                raise
            lacking.append(f"{name} ({error.strerror})")
    if lacking:
        return missing(f"cannot be made: {', '.join(lacking)}", other_kernel())
    return ok(f"made one each: {', '.join(_MAPS)}")


def ring_buffer() -> Finding:
    """Send records through a ring buffer and read them back."""
    received: list[int] = []

    def receive(_context: int, record: int, _size: int) -> int:
        received.append(ctypes.c_uint32.from_address(record).value)
        return 0

    callback = _RECORD_CALLBACK(receive)
    page = os.sysconf("SC_PAGE_SIZE")
    with bpf_map(RINGBUF, 0, 0, page) as ring, Program("socket", send_record(ring, TIMES)) as sender:
        opened = libbpf().ring_buffer__new(ring, callback, None, None)
        reader = ctypes.c_void_p(checked(opened, "opening a ring buffer"))
        sender.run(TIMES)
        libbpf().ring_buffer__consume(reader)
        libbpf().ring_buffer__free(reader)
    if received != [TIMES] * TIMES:
        return refused(f"{TIMES} records were sent and {len(received)} came", other_kernel())
    return ok(f"{TIMES} records were sent and {len(received)} came")
