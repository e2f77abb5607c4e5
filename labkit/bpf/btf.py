# SPDX-License-Identifier: Apache-2.0
"""The types of a loaded program, as the kernel keeps them: clang writes them, BCC hands them to the kernel.

`bpftool btf dump` shows the same.
"""

from __future__ import annotations

import ctypes as ct
import os

from labkit.bpf.bcc import libbcc
from labkit.machine.btf import BTF

__all__ = ["fetch"]


class _BtfInfo(ct.Structure):
    """The head of struct bpf_btf_info."""

    _fields_ = [("btf", ct.c_uint64), ("btf_size", ct.c_uint32), ("id", ct.c_uint32)]


def fetch(number: int) -> BTF | None:
    """Return the BTF object of an id; None where there is none (0), or the kernel or libbpf cannot give it."""
    try:
        fd = ct.CDLL("libbpf.so.1", use_errno=True).bpf_btf_get_fd_by_id(ct.c_uint32(number)) if number else -1
    except (OSError, AttributeError):
        return None
    if fd < 0:
        return None
    try:
        told = _BtfInfo()
        size = ct.c_uint32(ct.sizeof(told))
        if libbcc().bpf_obj_get_info(fd, ct.byref(told), ct.byref(size)) != 0:
            return None
        raw = ct.create_string_buffer(told.btf_size)
        told.btf = ct.addressof(raw)
        size = ct.c_uint32(ct.sizeof(told))
        if libbcc().bpf_obj_get_info(fd, ct.byref(told), ct.byref(size)) != 0:
            return None
        return BTF(raw.raw)
    finally:
        os.close(fd)
