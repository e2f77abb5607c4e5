# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: sockets in words: protocol, and the other end (struct socket_name in c/bpf/your_program_calls.c)."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from pathlib import Path

from labkit.machine.proc import lines, shown

__all__ = ["name_of", "open_before"]

CUT = "…"  # after a name that is longer than NAME_BYTES of the C file
_MARK = 1
_HEAD = struct.Struct("4B2s")
_MADE, _TO, _AT, _FROM = 1, 2, 3, 4
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_PROTOCOLS: dict[int, str] = {socket.SOCK_STREAM: "TCP", socket.SOCK_DGRAM: "UDP", socket.SOCK_RAW: "raw"}
_FAMILIES = {int(socket.AF_UNIX): "Unix", int(socket.AF_NETLINK): "netlink", int(socket.AF_PACKET): "packet"}


def name_of(raw: bytes) -> str:
    """Return the name that the kernel's side gave to a file: its path, or in words what socket it is."""
    if raw[:1] != bytes([_MARK]):
        name, end, _ = raw.partition(b"\0")
        return shown(name) + ("" if end else CUT)
    _, how, family, kind, port = _HEAD.unpack_from(raw)
    address = raw[_HEAD.size :]
    protocol = _protocol(family, kind)
    if how == _MADE:
        return f"({protocol} socket)"
    if family in _INTERNET:
        size = 4 if family == socket.AF_INET else 16
        where = _where(address[:size], int.from_bytes(port, "big"))
    elif family == socket.AF_UNIX:
        where = shown(address.partition(b"\0")[0])
    else:
        where = ""
    if not where:
        return "(accepted socket)" if how == _FROM and not family else f"({protocol} socket)"
    return f"{protocol} {'to' if how == _TO else 'at' if how == _AT else 'from'} {where}"


def open_before(pid: int, link: str) -> str:
    """Return in words a socket that was open before; `link` is "socket:[NUMBER]", from /proc/PID/fd."""
    inode = link.partition("[")[2].rstrip("]")
    for protocol, file in (("TCP", "tcp"), ("TCP", "tcp6"), ("UDP", "udp"), ("UDP", "udp6")):
        for row in _rows(pid, file):
            if len(row) > 9 and row[9] == inode:
                there = _address(row[2])
                return f"{protocol} to {there}" if there else f"{protocol} at {_address(row[1], any_port=True)}"
    for row in _rows(pid, "unix"):
        if len(row) > 6 and row[6] == inode:
            return f"Unix at {shown(row[7])}" if len(row) > 7 else "(Unix socket)"
    return f"({link})"


def _protocol(family: int, kind: int) -> str:
    if family in _INTERNET:
        return _PROTOCOLS.get(kind, "internet")
    return _FAMILIES.get(family, f"family {family}")


def _where(packed: bytes, port: int) -> str:
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None) or address
    name = f"[{mapped}]" if mapped.version == 6 and port else str(mapped)
    return f"{name}:{port}" if port else name


def _rows(pid: int, file: str) -> list[list[str]]:
    with contextlib.suppress(OSError):
        return [line.split(maxsplit=7 if file == "unix" else -1) for line in lines(Path(f"/proc/{pid}/net/{file}"))[1:]]
    return []


def _address(text: str, *, any_port: bool = False) -> str:
    """Return an address of /proc/net/tcp, whose words are in the machine's order; empty: there is no other end."""
    words, _, port = text.partition(":")
    raw = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
    return _where(raw, int(port, 16)) if any_port or int(port, 16) else ""
