# SPDX-License-Identifier: Apache-2.0
"""Rows on what a program can be attached to: tracepoints, kprobes, fentry, uprobes, a timer.

Each is tried with a program that counts a call which this process then makes a known number of times.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from labkit.machine import proc
from labkit.machine.doctor import host
from labkit.machine.doctor.instructions import count
from labkit.machine.doctor.programs import Counter, Program
from labkit.machine.doctor.rows import Finding, as_root, from_error, missing, ok, other_kernel, refused
from labkit.machine.perf_event import Attributes, open_event

__all__ = [
    "block_tracepoints",
    "fentry",
    "io_uring_tracepoints",
    "kprobes",
    "perf_events",
    "raw_tracepoints",
    "sched_tracepoints",
    "syscall_tracepoints",
    "tracefs",
    "uprobes",
]

TIMES = 23
_MOUNT = "mount -t tracefs tracefs /sys/kernel/tracing"
_FOLDERS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))  # the two where BCC and libbpf look
_HZ = 997  # as lesson 04 samples
_MOST_HZ = Path("/proc/sys/kernel/perf_event_max_sample_rate")
_ENOTSUPP = 524  # the kernel's own, in include/linux/errno.h; user space has no name for it


def tracefs() -> Finding:
    """Read tracefs, where the kernel lists its tracepoints and their fields."""
    for folder in _FOLDERS:
        try:
            groups = os.listdir(folder / "events")
        except FileNotFoundError:
            continue
        except PermissionError as error:
            return from_error(PermissionError(error.errno, error.strerror, f"reading {folder}"))
        return ok(f"{folder} lists {len(groups)} groups of events")
    if "tracefs" not in Path("/proc/filesystems").read_text():
        return missing("this kernel has no tracefs", other_kernel("CONFIG_FTRACE=y"))
    return missing("not mounted", as_root(_MOUNT))


def syscall_tracepoints() -> Finding:
    """Count getppid(2) at the tracepoint of its entry."""
    return _tracepoint("syscalls", "sys_enter_getppid", "CONFIG_FTRACE_SYSCALLS=y", _call_getppid)


def block_tracepoints() -> Finding:
    """Attach where a request goes to the disk."""
    return _tracepoint("block", "block_rq_issue", "CONFIG_BLOCK=y")


def sched_tracepoints() -> Finding:
    """Attach where a CPU goes from one thread to another."""
    return _tracepoint("sched", "sched_switch", "CONFIG_SCHED_TRACER=y")


def io_uring_tracepoints() -> Finding:
    """Attach where io_uring completes a request."""
    return _tracepoint("io_uring", "io_uring_complete", "CONFIG_IO_URING=y")


def _tracepoint(group: str, name: str, option: str, calls: Callable[[], None] | None = None) -> Finding:
    try:
        with Counter() as hits, Program(f"tp/{group}/{name}", count(hits.descriptor)) as program:
            program.attach()
            if calls is None:
                return ok(f"attached to {group}:{name}")
            calls()
            return _counted(hits, f"{group}:{name}")
    except FileNotFoundError:
        mounted = tracefs()
        if mounted.state != "ok":
            return missing(f"tracefs: {mounted.reason}", mounted.fix)
        return missing(f"tracefs has no {group}:{name}", other_kernel(option))


def raw_tracepoints() -> Finding:
    """Count system calls at the raw tracepoint of every entry."""
    with Counter() as hits, Program("raw_tp/sys_enter", count(hits.descriptor)) as program:
        program.attach()
        _call_getppid()
        return _counted(hits, "sys_enter")


def kprobes() -> Finding:
    """Count getppid(2) with a breakpoint on the kernel function that serves it."""
    try:
        with Counter() as hits, Program("ksyscall/getppid", count(hits.descriptor)) as program:
            program.attach()
            _call_getppid()
            return _counted(hits, "the kernel's getppid")
    except OSError as error:
        # since Linux 4.17 a kernel that has kprobes has this event source
        if Path("/sys/bus/event_source/devices/kprobe").exists():
            return from_error(error)
    return missing("this kernel has no kprobe event source: it is built without", other_kernel("CONFIG_KPROBES=y"))


def fentry() -> Finding:
    """Count calls of bpf_fentry_test1, which the kernel has for this purpose, at its entry."""
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return missing("needs BTF, and there is no /sys/kernel/btf/vmlinux", other_kernel("CONFIG_DEBUG_INFO_BTF=y"))
    try:
        with Counter() as hits, Program("fentry/bpf_fentry_test1", count(hits.descriptor)) as program:
            program.attach()
            for _ in range(TIMES):
                program.trigger_fentry()
            return _counted(hits, "bpf_fentry_test1")
    except OSError as error:
        if error.errno == _ENOTSUPP:
            return missing("this kernel has no BPF trampolines on this architecture", other_kernel())
        found = from_error(error)
        mode = host.lockdown_mode()
        if found.state == "refused" and mode not in ("", "none"):
            said = f"{error.filename}: {error.strerror} (lockdown is in {mode} mode)"
            return refused(said, other_kernel("no lockdown"))
        return found


def uprobes() -> Finding:
    """Count this process's calls of getppid at the entry of the C library's function."""
    library = _libc()
    with Counter() as hits, Program("uprobe", count(hits.descriptor)) as program:
        program.attach_uprobe(library, symbol="getppid")
        _call_getppid()
        return _counted(hits, f"getppid in {library.name}")


def perf_events() -> Finding:
    """Run a program from a timer, as stack sampling does."""
    paranoid = Path("/proc/sys/kernel/perf_event_paranoid")
    level = f"perf_event_paranoid is {paranoid.read_text().strip()}" if paranoid.exists() else "no perf_event_paranoid"
    with Counter() as hits, Program("perf_event", count(hits.descriptor)) as program:
        try:
            program.attach_perf_event(_open_timer(frequency_hz=_HZ))
        except OSError as error:
            if error.errno == errno.EINVAL and int(_MOST_HZ.read_text()) < _HZ:
                return _rate_refused()
            found = from_error(error)
            return Finding(found.state, f"{found.reason}; {level}", found.fix)
        end = time.thread_time() + 0.2
        while hits.value == 0 and time.thread_time() < end:
            pass
        if hits.value == 0:
            return missing(f"a timer was attached and never ran; {level}", other_kernel("CONFIG_PERF_EVENTS=y"))
        return ok(f"a timer ran a program; {level}")


def _rate_refused() -> Finding:
    """The kernel lowers its limit by itself when it finds that sampling takes too much time."""
    reason = f"the sysctl kernel.{_MOST_HZ.name} is {_MOST_HZ.read_text().strip()}, and a timer takes {_HZ} Hz"
    return refused(reason, as_root(f"sysctl -w kernel.{_MOST_HZ.name}=100000"))


def _call_getppid() -> None:
    for _ in range(TIMES):
        os.getppid()


def _counted(hits: Counter, where: str) -> Finding:
    """Say whether the calls were counted; other processes may have added theirs."""
    if hits.value < TIMES:
        return missing(f"attached to {where}, but {TIMES} calls were counted as {hits.value}", other_kernel())
    return ok(f"attached to {where} and counted {TIMES} calls")


def _libc() -> Path:
    """Return the C library that this process has mapped."""
    found = re.search(r"(/\S*/libc[.-]\S*)$", proc.text(Path("/proc/self/maps")), re.MULTILINE)
    if found is None:
        raise OSError(errno.ENOENT, "this Python has no C library mapped", "looking for getppid")
    return Path(found[1])


def _open_timer(frequency_hz: int) -> int:
    """Open a timer of the calling thread's CPU time (perf_event_open(2))."""
    software, cpu_clock, by_frequency = 1, 0, 1 << 10
    attributes = Attributes(type=software, config=cpu_clock, sample_period=frequency_hz, flags=by_frequency)
    try:
        return open_event(attributes, pid=0, cpu=-1)
    except OSError as error:
        raise OSError(error.errno, error.strerror, "opening a timer event") from None
