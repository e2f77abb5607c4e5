# SPDX-License-Identifier: Apache-2.0
"""The shortcut itself, for every experiment of lesson 09: two BPF programs, one map, one cgroup.

    with Shortcut() as cut:
        cut.cgroup.add(run.pid)            # its TCP connections from now on take the shortcut
        before = cut.counts()
        ...
        print(cut.counts() - before)

Rests on c/bpf/sockmap.c, and on the kernel's Documentation/bpf/map_sockmap.rst.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from labkit.bpf import maps
from labkit.bpf.attach import CGROUP_SOCK_OPS, SK_MSG_VERDICT, attached_to_cgroup, attached_to_map
from labkit.bpf.program import Program
from labkit.machine import proc
from labkit.machine.doctor import helpers
from labkit.running.cgroup import Cgroup

__all__ = ["LoTraffic", "Shortcut", "ShortcutCounts", "lo_traffic"]

MAX_SOCKETS = 65536


@dataclass(frozen=True)
class ShortcutCounts:
    """What the BPF side counted; the fields of `struct sockmap_counts` in c/bpf/sockmap.c, in its order."""

    redirects: int  # messages by the shortcut
    redirect_bytes: int
    misses: int  # messages by TCP, because the other end is not in the map
    miss_bytes: int
    inserts: int  # sockets put in the map
    insert_failures: int  # sockets that found it full
    skips: int  # sockets whose other end is not on this machine

    def __sub__(self, before: ShortcutCounts) -> ShortcutCounts:
        return ShortcutCounts(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(self)))


_STRUCT = np.dtype([(one.name, np.uint64) for one in fields(ShortcutCounts)])


class Shortcut:
    """Both programs loaded and attached, to a new cgroup of the lab's own; nothing of it remains afterwards.

    Parameters
    ----------
    max_sockets : room in the map, two sockets for each connection. A connection that finds no room stays plain TCP.

    Notes
    -----
    A socket's name in the map includes its network namespace. Linux 5.10 does not tell sockops programs which it is:
    there, let only processes of one network namespace into the cgroup.

    Raises
    ------
    Missing, VerifierError, AttachError : no cgroup v2 to write to, or a kernel without sockmap.
    """

    def __init__(self, max_sockets: int = MAX_SOCKETS) -> None:
        flags = {"MAX_SOCKETS": max_sockets}
        if not helpers.may_call("sockops", helpers.GET_NETNS_COOKIE):
            flags["NO_NETNS_COOKIE"] = 1
        self._program = Program("sockmap", flags=flags)
        self._stack = contextlib.ExitStack()
        self._noting = contextlib.ExitStack()
        self.cgroup = Cgroup()

    def __enter__(self) -> Shortcut:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._program)
            send = self._program.load_function("send_message", "SK_MSG")
            # before any socket is put in: a socket takes over the program that the map has at that moment
            stack.enter_context(attached_to_map(send, self._program.map_fd("sockets"), SK_MSG_VERDICT))
            # the cgroup's processes end before the map lets go: unread messages in a socket would be lost with it
            stack.enter_context(self.cgroup)
            stack.callback(self.off)
            self.on()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def on(self) -> None:
        """Let connections of the cgroup that are made from now on take the shortcut."""
        self.off()
        note = self._program.load_function("note_connection", "SOCK_OPS")
        self._noting.enter_context(attached_to_cgroup(note, self.cgroup.path, CGROUP_SOCK_OPS))

    def off(self) -> None:
        """Leave connections made from now on to TCP. Those that take the shortcut keep it: bytes may be on the way."""
        self._noting.close()

    def counts(self) -> ShortcutCounts:
        """Return what was counted since the block was entered, over all CPUs."""
        rows = maps.read_array(self._program.map_fd("counts"), _STRUCT)
        return ShortcutCounts(*(int(rows[name].sum()) for name in _STRUCT.names or ()))


@dataclass(frozen=True)
class LoTraffic:
    """What the loopback device carried, everybody's together."""

    packets: int
    bytes: int

    def __sub__(self, before: LoTraffic) -> LoTraffic:
        return LoTraffic(self.packets - before.packets, self.bytes - before.bytes)


def lo_traffic() -> LoTraffic:
    """Return the counters of the device `lo` (proc_net(5), /proc/net/dev), a witness that is not the lab's."""
    for line in proc.lines(Path("/proc/net/dev")):
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            received_bytes, received_packets = map(int, numbers.split()[:2])
            return LoTraffic(received_packets, received_bytes)
    return LoTraffic(0, 0)
