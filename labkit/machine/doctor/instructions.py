# SPDX-License-Identifier: Apache-2.0
"""A few BPF programs, instruction by instruction: small enough to need no compiler.

The numbers are those of Documentation/bpf/standardization/instruction-set.rst and of `enum bpf_func_id` in
include/uapi/linux/bpf.h; they are the same on every (little-endian) architecture.
"""

from __future__ import annotations

import struct

__all__ = ["call", "count", "count_own", "give_back", "redirect", "send_record"]


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, constant: int = 0) -> bytes:
    return struct.pack("<BBhi", code, target | source << 4, offset, constant)


def _set(register: int, constant: int) -> bytes:
    return _instruction(0xB7, register, constant=constant)


def _set64(register: int, constant: int) -> bytes:
    low, high = struct.unpack("<ii", struct.pack("<Q", constant))
    return _instruction(0x18, register, constant=low) + _instruction(0, constant=high)


def _map(register: int, descriptor: int) -> bytes:
    return _instruction(0x18, register, source=1, constant=descriptor) + _instruction(0)


def _stack(register: int, offset: int) -> bytes:
    """register = frame pointer + offset"""
    return _instruction(0xBF, register, source=10) + _instruction(0x07, register, constant=offset)


def _call(helper: int) -> bytes:
    """Helper functions have the same numbers on every architecture (enum bpf_func_id)."""
    return _instruction(0x85, constant=helper)


def _store32(offset: int, constant: int) -> bytes:
    """*(u32 *)(frame pointer + offset) = constant"""
    return _instruction(0x62, 10, offset=offset, constant=constant)


_LEAVE = _set(0, 0) + _instruction(0x95)


def give_back(number: int) -> bytes:
    """Return a program that does nothing but return `number`."""
    return _set(0, number) + _instruction(0x95)


def call(helper: int) -> bytes:
    """Return a program that calls a helper with its context, and returns 0."""
    return _call(helper) + _LEAVE


def count(counter: int) -> bytes:
    """Return a program that adds one to the counter each time it runs."""
    return (
        _store32(-4, 0)
        + _stack(2, -4)
        + _map(1, counter)
        + _call(1)  # bpf_map_lookup_elem
        + _instruction(0x15, 0, offset=2)  # if it gave NULL, leave
        + _set(1, 1)
        + _instruction(0xDB, 0, source=1)  # *(u64 *)r0 += r1, atomic
        + _LEAVE
    )


def count_own(counter: int, device: int, inode: int, pid: int) -> bytes:
    """Return a program that counts only when this process runs it, its pid being that of a pid namespace."""
    found = (
        _instruction(0x61, 1, source=10, offset=-4)  # struct bpf_pidns_info { u32 pid, tgid; }
        + _instruction(0x55, 1, offset=len(count(counter)) // 8 - 2, constant=pid)  # if another's, leave
        + count(counter)
    )
    ask = (
        _set64(1, device)
        + _set64(2, inode)
        + _stack(3, -8)
        + _set(4, 8)
        + _call(120)  # bpf_get_ns_current_pid_tgid
        + _instruction(0x55, 0, offset=len(found) // 8 - 2)  # if it failed, leave
    )
    return ask + found


def send_record(ring: int, value: int) -> bytes:
    """Return a program that writes one record, a u32, to a ring buffer."""
    return (
        _store32(-4, value)
        + _map(1, ring)
        + _stack(2, -4)
        + _set(3, 4)
        + _set(4, 0)
        + _call(130)  # bpf_ringbuf_output
        + _LEAVE
    )


def redirect(sockets: int, key: int) -> bytes:
    """Return an sk_msg program that gives every message to the receive queue of the socket at `key`."""
    return (
        _store32(-4, key)
        + _map(2, sockets)
        + _stack(3, -4)
        + _set(4, 1)  # BPF_F_INGRESS
        + _call(71)  # bpf_msg_redirect_hash
        + _instruction(0x95)
    )
