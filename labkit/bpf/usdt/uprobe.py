# SPDX-License-Identifier: Apache-2.0
"""Have the kernel run a BPF program when a process reaches an instruction.

Rests on perf_event_open(2) with the event source `uprobe`, and on BPF links with a cookie (since Linux 5.15; before, on
PERF_EVENT_IOC_SET_BPF). The attachment is one file descriptor. Closing it, or the end of this process in any way, takes
the breakpoint out of every process again and lowers the semaphore: the kernel raised it, so the kernel also lowers it
when the tracer is killed.
"""

from __future__ import annotations

import ctypes as ct
import errno
import fcntl
import os
from pathlib import Path

from labkit.bpf.bcc import libbcc
from labkit.errors import AttachError, LabkitError, Missing
from labkit.machine import perf_event, refusals
from labkit.machine.doctor import helpers

__all__ = ["attach", "open_event"]

SOURCE = Path("/sys/bus/event_source/devices/uprobe")
_ATTACH_PERF_EVENT = 41  # BPF_PERF_EVENT in enum bpf_attach_type, include/uapi/linux/bpf.h
_SET_BPF = 0x40042408  # PERF_EVENT_IOC_SET_BPF, include/uapi/linux/perf_event.h
_EVERY_PROCESS, _ANY_CPU = -1, -1


class _LinkOptions(ct.Structure):
    """struct bpf_link_create_opts of libbpf's bpf.h as far as the cookie of a perf event."""

    _fields_ = (
        ("size", ct.c_size_t),
        ("flags", ct.c_uint32),
        ("iterator", ct.c_void_p),
        ("iterator_bytes", ct.c_uint32),
        ("target_btf_id", ct.c_uint32),
        ("cookie", ct.c_uint64),
    )


def attach(
    program: int, binary: Path, offset: int, *, pid: int | None = None, cookie: int = 0, semaphore_offset: int = 0
) -> int:
    """Attach a loaded BPF program of kind KPROBE to an instruction; return the attachment's file descriptor.

    Parameters
    ----------
    program : the program's file descriptor.
    binary : an executable or a shared library.
    offset : where in that file the instruction is, in bytes.
    pid : the process whose memory gets the breakpoint, with all its threads; None: every process that runs the file.
    cookie : a number that the program gets from bpf_get_attach_cookie(), where the kernel has that.
    semaphore_offset : where in the file a 16-bit counter is that the kernel must raise while attached; 0 for none.

    Raises
    ------
    AttachError : no such file, a process that is gone, or a place that is no instruction.
    Missing : this kernel has no uprobes, or refuses them.
    """
    event = open_event(binary, offset, pid=pid, semaphore_offset=semaphore_offset)
    if not helpers.may_call("uprobe", helpers.GET_ATTACH_COOKIE):
        return _set_program(event, program)
    try:
        options = _LinkOptions(size=ct.sizeof(_LinkOptions), cookie=cookie)
        link = int(libbcc().bpf_link_create(program, event, _ATTACH_PERF_EVENT, ct.addressof(options)))
        if link < 0:
            reason = os.strerror(-link if link < -1 else ct.get_errno())
            raise Missing(
                f"This kernel links no BPF program to a uprobe: {reason}.", "boot a kernel with CONFIG_BPF_EVENTS=y"
            )
        return link
    finally:
        os.close(event)  # the link keeps the event


def _set_program(event: int, program: int) -> int:
    """Have an event run a program, without a link; return the event."""
    try:
        fcntl.ioctl(event, _SET_BPF, program)
    except OSError as error:
        os.close(event)
        raise Missing(
            f"This kernel runs no BPF program at a uprobe: {error.strerror}.", "boot a kernel with CONFIG_BPF_EVENTS=y"
        ) from None
    return event


def open_event(binary: Path, offset: int, *, pid: int | None = None, semaphore_offset: int = 0) -> int:
    """Put the breakpoint in without a program; return the event's file descriptor, from which its hits can be read."""
    try:
        kind = int((SOURCE / "type").read_text())
        above = (SOURCE / "format" / "ref_ctr_offset").read_text()  # "config:32-63"
    except FileNotFoundError:
        raise Missing(
            "This kernel has no uprobes.", "boot a kernel with CONFIG_UPROBE_EVENTS=y, 4.20 or newer"
        ) from None
    shift = int(above.partition(":")[2].partition("-")[0])
    attributes = perf_event.Attributes(
        type=kind, config=semaphore_offset << shift, path=os.fsencode(binary), offset=offset
    )
    whose = (_EVERY_PROCESS, 0) if pid is None else (pid, _ANY_CPU)
    try:
        return perf_event.open_event(attributes, *whose)
    except OSError as error:
        raise _refusal(error.errno or 0, f"{binary} at {offset:#x}", pid) from None


def _refusal(error: int, place: str, pid: int | None) -> LabkitError:
    what = f"No probe can be put on {place}: {os.strerror(error)}."
    if refused := refusals.refusal(f"No probe can be put on {place}", "perf_event_open", os.strerror(error)):
        return refused
    match error:
        case errno.ESRCH:
            return AttachError(f"No probe can be put on {place}: process {pid} is gone.", "start it again")
        case errno.EINVAL:
            fix = "end other tracers of this probe (the kernel wants one semaphore for all), or build the program again"
            return AttachError(what, fix)
        case _:
            return AttachError(what, "check that the file is there and is the one that the process runs")
