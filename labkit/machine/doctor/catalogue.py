# SPDX-License-Identifier: Apache-2.0
"""The table: every capability, how it is probed; the course says which lessons use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labkit.course import LESSONS
from labkit.machine.doctor import bpf, events, files, host, sockets, software, usdt
from labkit.machine.doctor.rows import Finding

__all__ = ["CATALOGUE", "Entry"]


@dataclass(frozen=True)
class Entry:
    """One capability. `vital` are the lessons which, without it, have nothing live to show."""

    name: str
    probe: Callable[[], Finding]
    lessons: tuple[str, ...]
    vital: tuple[str, ...] = ()


_PROBES: dict[str, Callable[[], Finding]] = {
    # the machine
    "kernel": host.kernel,
    "root": host.root,
    "cpus": host.cpus,
    "pid_namespace": host.pid_namespace,
    "lockdown": host.lockdown,
    "memlock": host.memlock,
    # software
    "python": software.python,
    "libbpf": software.libbpf,
    "headers": software.headers,
    "bcc": software.bcc,
    "compiler": software.compiler,
    # BPF
    "bpf": bpf.bpf,
    "jit": bpf.jit,
    "btf": bpf.btf,
    "run_statistics": bpf.run_statistics,
    "maps": bpf.maps,
    "ring_buffer": bpf.ring_buffer,
    # events
    "tracefs": events.tracefs,
    "syscall_tracepoints": events.syscall_tracepoints,
    "raw_tracepoints": events.raw_tracepoints,
    "block_tracepoints": events.block_tracepoints,
    "sched_tracepoints": events.sched_tracepoints,
    "io_uring_tracepoints": events.io_uring_tracepoints,
    "kprobes": events.kprobes,
    "fentry": events.fentry,
    "uprobes": events.uprobes,
    "usdt": usdt.usdt,
    "python_usdt": usdt.python_usdt,
    "perf_events": events.perf_events,
    # sockets
    "cgroup_v2": sockets.cgroup_v2,
    "sockmap": sockets.sockmap,
    # files
    "io_uring": files.io_uring,
    "io_uring_sqpoll": files.io_uring_sqpoll,
    "libaio": files.libaio,
    "data_folder": files.data_folder,
    "o_direct": files.o_direct,
    # tools to compare with
    "bpftool": software.tool("bpftool", ["version"], ubuntu="linux-tools-generic"),
    "strace": software.strace,
    "bpftrace": software.tool("bpftrace", ["--version"]),
    "fio": software.tool("fio", ["--version"]),
    "readelf": software.tool("readelf", ["--version"], package_name="binutils"),
    "redis": software.tool("redis-server", ["--version"], package_name="redis-tools", then="make setup"),
    "redis_benchmark": software.tool("redis-benchmark", ["--version"], package_name="redis-tools"),
    "sqlite": software.tool("sqlite3", ["--version"]),
}

CATALOGUE: Sequence[Entry] = tuple(
    Entry(
        name,
        probe,
        tuple(lesson.number for lesson in LESSONS if lesson.needs(name)),
        tuple(lesson.number for lesson in LESSONS if lesson.hangs_on(name)),
    )
    for name, probe in _PROBES.items()
)
