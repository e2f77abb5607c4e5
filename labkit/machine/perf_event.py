# SPDX-License-Identifier: Apache-2.0
"""perf_event_open(2), for which the C library has no function."""

from __future__ import annotations

import ctypes as ct
import os
from functools import cache

from labkit.errors import Missing

__all__ = ["Attributes", "open_event"]

_CLOSE_ON_EXEC = 8  # PERF_FLAG_FD_CLOEXEC
_NO_GROUP = -1


class Attributes(ct.Structure):
    """struct perf_event_attr of linux/perf_event.h as far as config2: PERF_ATTR_SIZE_VER1."""

    _fields_ = (
        ("type", ct.c_uint32),
        ("size", ct.c_uint32),
        ("config", ct.c_uint64),
        ("sample_period", ct.c_uint64),  # or, with the flag `freq`, ticks per second
        ("sample_type", ct.c_uint64),
        ("read_format", ct.c_uint64),
        ("flags", ct.c_uint64),
        ("wakeup_events", ct.c_uint32),
        ("breakpoint_type", ct.c_uint32),
        ("path", ct.c_char_p),  # config1
        ("offset", ct.c_uint64),  # config2
    )


def open_event(attributes: Attributes, pid: int, cpu: int) -> int:
    """Return the descriptor of a new event.

    Parameters
    ----------
    attributes : of the event; its size is filled in.
    pid : the process; 0 is the calling thread, -1 every process.
    cpu : -1 is any.

    Raises
    ------
    OSError : the kernel refused.
    Missing : no libseccomp, which knows the number of the call on each architecture; apt itself needs it.
    """
    attributes.size = ct.sizeof(attributes)
    libc, arguments = ct.CDLL(None, use_errno=True), map(ct.c_int, (pid, cpu, _NO_GROUP))
    event = int(libc.syscall(_number(), ct.byref(attributes), *arguments, ct.c_ulong(_CLOSE_ON_EXEC)))
    if event < 0:
        raise OSError(ct.get_errno(), os.strerror(ct.get_errno()))
    return event


@cache
def _number() -> ct.c_long:
    try:
        library = ct.CDLL("libseccomp.so.2")
    except OSError as error:
        raise Missing(f"libseccomp does not load: {error}", "sudo apt-get install libseccomp2") from None
    return ct.c_long(library.seccomp_syscall_resolve_name(b"perf_event_open"))
