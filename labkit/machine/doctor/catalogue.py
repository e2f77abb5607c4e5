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


def _entry(name: str, probe: Callable[[], Finding]) -> Entry:
    """Return an entry; the table of the course says which lessons use it."""
    using = tuple(lesson.number for lesson in LESSONS if lesson.needs(name))
    return Entry(name, probe, using, tuple(lesson.number for lesson in LESSONS if lesson.hangs_on(name)))


CATALOGUE: Sequence[Entry] = (
    # the machine
    _entry("kernel", host.kernel),
    _entry("root", host.root),
    _entry("cpus", host.cpus),
    _entry("pid_namespace", host.pid_namespace),
    _entry("lockdown", host.lockdown),
    _entry("memlock", host.memlock),
    # software
    _entry("python", software.python),
    _entry("libbpf", software.libbpf),
    _entry("headers", software.headers),
    _entry("bcc", software.bcc),
    _entry("compiler", software.compiler),
    # BPF
    _entry("bpf", bpf.bpf),
    _entry("jit", bpf.jit),
    _entry("btf", bpf.btf),
    _entry("run_statistics", bpf.run_statistics),
    _entry("maps", bpf.maps),
    _entry("ring_buffer", bpf.ring_buffer),
    # events
    _entry("tracefs", events.tracefs),
    _entry("syscall_tracepoints", events.syscall_tracepoints),
    _entry("raw_tracepoints", events.raw_tracepoints),
    _entry("block_tracepoints", events.block_tracepoints),
    _entry("sched_tracepoints", events.sched_tracepoints),
    _entry("io_uring_tracepoints", events.io_uring_tracepoints),
    _entry("kprobes", events.kprobes),
    _entry("fentry", events.fentry),
    _entry("uprobes", events.uprobes),
    _entry("usdt", usdt.usdt),
    _entry("python_usdt", usdt.python_usdt),
    _entry("perf_events", events.perf_events),
    # sockets
    _entry("cgroup_v2", sockets.cgroup_v2),
    _entry("sockmap", sockets.sockmap),
    # files
    _entry("io_uring", files.io_uring),
    _entry("io_uring_sqpoll", files.io_uring_sqpoll),
    _entry("libaio", files.libaio),
    _entry("data_folder", files.data_folder),
    _entry("o_direct", files.o_direct),
    # tools to compare with
    _entry("bpftool", software.tool("bpftool", ["version"], ubuntu="linux-tools-generic")),
    _entry("strace", software.strace),
    _entry("bpftrace", software.tool("bpftrace", ["--version"])),
    _entry("fio", software.tool("fio", ["--version"])),
    _entry("readelf", software.tool("readelf", ["--version"], package_name="binutils")),
    _entry("redis", software.tool("redis-server", ["--version"], package_name="redis-tools", then="make setup")),
    _entry("redis_benchmark", software.tool("redis-benchmark", ["--version"], package_name="redis-tools")),
    _entry("sqlite", software.tool("sqlite3", ["--version"])),
)
