# SPDX-License-Identifier: Apache-2.0
"""Load programs as someone whom the kernel trusts less than root.

With CAP_PERFMON (root has it) a program may read what was never written and keep addresses of the kernel: whoever may
trace the kernel sees all that anyhow. A loader with CAP_BPF alone gets the stricter verifier. Tracing programs are
refused to it altogether; socket filters are not.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import os
from collections.abc import Iterator

from labkit.errors import Missing

__all__ = ["less_trusted"]

_VERSION_3 = 0x20080522  # <linux/capability.h>
_CAP_SYS_ADMIN, _CAP_PERFMON = 21, 38


class _Header(ct.Structure):
    _fields_ = [("version", ct.c_uint32), ("pid", ct.c_int)]


class _Sets(ct.Structure):
    _fields_ = [("effective", ct.c_uint32), ("permitted", ct.c_uint32), ("inheritable", ct.c_uint32)]


@contextlib.contextmanager
def less_trusted() -> Iterator[None]:
    """Do without CAP_SYS_ADMIN and CAP_PERFMON in this thread while the block runs (capset(2))."""
    libc = ct.CDLL(None, use_errno=True)
    header, before = _Header(_VERSION_3, 0), (_Sets * 2)()
    if libc.capget(ct.byref(header), before) != 0:
        raise Missing(f"The capabilities cannot be read: {os.strerror(ct.get_errno())}.", "run as root: sudo make lab")
    fewer = (_Sets * 2).from_buffer_copy(before)
    for capability in (_CAP_SYS_ADMIN, _CAP_PERFMON):
        fewer[capability // 32].effective &= ~(1 << capability % 32)
    if libc.capset(ct.byref(header), fewer) != 0:
        raise Missing(f"Capabilities cannot be dropped: {os.strerror(ct.get_errno())}.", "run as root: sudo make lab")
    try:
        yield
    finally:
        libc.capset(ct.byref(header), before)
