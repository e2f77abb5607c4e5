"""The table: every capability, how it is probed, which lessons use it, and which cannot run without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labkit.course import NUMBERS
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


def _entry(name: str, probe: Callable[[], Finding], lessons: str, vital: str = "") -> Entry:
    return Entry(name, probe, _numbers(lessons), _numbers(vital))


def _numbers(text: str) -> tuple[str, ...]:
    """Return lesson numbers: "01 03-05" -> ("01", "03", "04", "05")."""
    numbers: list[str] = []
    for part in text.split():
        first, _, last = part.partition("-")
        numbers += NUMBERS[int(first) : int(last or first) + 1]
    return tuple(numbers)


_ALL = f"{NUMBERS[0]}-{NUMBERS[-1]}"
_BPF = "01-06 09-10"  # 00's table needs no BPF; the programs of 07 and 08 measure themselves too

CATALOGUE: Sequence[Entry] = (
    # the machine
    _entry("kernel", host.kernel, _ALL),
    _entry("root", host.root, _ALL),
    _entry("cpus", host.cpus, "02 04 07-09"),
    _entry("pid_namespace", host.pid_namespace, "00-02 04-10", "01 02 06"),
    _entry("lockdown", host.lockdown, "03 04"),
    _entry("memlock", host.memlock, "01-10"),
    # software
    _entry("python", software.python, _ALL),
    _entry("libbpf", software.libbpf, "00-02 04 06 08"),
    _entry("headers", software.headers, _ALL),
    _entry("bcc", software.bcc, _ALL, _BPF),
    _entry("compiler", software.compiler, _ALL, "01 02 04-10"),
    # BPF
    _entry("bpf", bpf.bpf, _ALL, _BPF),
    _entry("jit", bpf.jit, "01"),
    _entry("btf", bpf.btf, "04"),
    _entry("run_statistics", bpf.run_statistics, "01 04"),
    _entry("maps", bpf.maps, "02 04", "02"),
    _entry("ring_buffer", bpf.ring_buffer, "00-03 06-08 10"),
    # events
    _entry("tracefs", events.tracefs, "00-02 04 06-08 10", "01 02 06 10"),
    _entry("syscall_tracepoints", events.syscall_tracepoints, "00-02 04 06-08 10", "01 02 06 10"),
    _entry("raw_tracepoints", events.raw_tracepoints, "04"),
    _entry("block_tracepoints", events.block_tracepoints, "06 07"),
    _entry("sched_tracepoints", events.sched_tracepoints, "06 08"),
    _entry("io_uring_tracepoints", events.io_uring_tracepoints, "08"),
    _entry("kprobes", events.kprobes, "04"),
    _entry("fentry", events.fentry, "04"),
    _entry("uprobes", events.uprobes, "04 05", "05"),
    _entry("usdt", usdt.usdt, "05", "05"),
    _entry("python_usdt", usdt.python_usdt, "05"),
    _entry("perf_events", events.perf_events, "04"),
    # sockets
    _entry("cgroup_v2", sockets.cgroup_v2, "09 10", "09"),
    _entry("sockmap", sockets.sockmap, "09", "09"),
    # files
    _entry("io_uring", files.io_uring, "07 08", "08"),
    _entry("io_uring_sqpoll", files.io_uring_sqpoll, "08"),
    _entry("libaio", files.libaio, "07"),
    _entry("data_folder", files.data_folder, "00 01 06-08 10", "06-08 10"),
    _entry("o_direct", files.o_direct, "06-08"),
    # tools to compare with
    _entry("bpftool", software.tool("bpftool", ["version"], ubuntu="linux-tools-generic"), "01"),
    _entry("strace", software.strace, "04 06 10"),
    _entry("bpftrace", software.tool("bpftrace", ["--version"]), "06"),
    _entry("fio", software.tool("fio", ["--version"]), "06 07"),
    _entry("readelf", software.tool("readelf", ["--version"], package_name="binutils"), "05"),
    _entry("redis", software.tool("redis-server", ["--version"]), "09 10"),
    _entry("redis_benchmark", software.tool("redis-benchmark", ["--version"], package_name="redis-tools"), "09 10"),
    _entry("sqlite", software.tool("sqlite3", ["--version"]), "10"),
)
