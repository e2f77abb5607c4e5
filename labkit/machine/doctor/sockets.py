# SPDX-License-Identifier: Apache-2.0
"""Rows on cgroup v2 and on the shortcut between local sockets."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import subprocess
import sys
from pathlib import Path

from labkit.errors import Missing
from labkit.machine.cgroups import own_cgroup, scratch_cgroup
from labkit.machine.doctor.instructions import give_back, redirect
from labkit.machine.doctor.programs import SOCKHASH, Program, bpf_map, checked, libbpf
from labkit.machine.doctor.rows import Finding, as_root, from_error, from_lab_error, missing, ok, other_kernel, refused
from labkit.machine.ending import ended
from labkit.machine.mounts import mount_of

__all__ = ["cgroup_v2", "sockmap"]

_SK_MSG_VERDICT = 7  # enum bpf_attach_type
_MESSAGE = b"twenty-three bytes long"
_TIMEOUT_S = 2.0


def cgroup_v2() -> Finding:
    """Find where cgroup v2 is mounted, make a child cgroup there, move a process in and out, and remove it."""
    try:
        parent = own_cgroup()
    except Missing as error:
        return from_lab_error(error)
    try:
        with scratch_cgroup() as cgroup:
            _move_a_process(cgroup)
            return ok(f"a child cgroup was made in {parent}, took a process in, and was removed")
    except OSError as error:
        if error.errno == errno.EROFS:
            return refused(f"{parent} is mounted read-only", as_root(f"mount -o remount,rw {mount_of(parent).folder}"))
        return from_error(error)


def _move_a_process(cgroup: Path) -> None:
    """Move a process of ours into a cgroup, and out again so that the cgroup can be removed."""
    waiting = [sys.executable, "-I", "-S", "-c", "input()"]
    with ended(subprocess.Popen(waiting, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)) as ours:
        for folder in (cgroup, cgroup.parent):
            try:
                (folder / "cgroup.procs").write_text(str(ours.pid))
            except OSError as error:
                raise OSError(error.errno, error.strerror, f"moving a process into {folder}") from None


def sockmap() -> Finding:
    """Attach sockops to a cgroup of our own; have sk_msg hand a message from one socket to another."""
    parent = cgroup_v2()
    if parent.state != "ok":
        return Finding(parent.state, f"needs cgroup v2: {parent.reason}", parent.fix)
    with scratch_cgroup() as cgroup, Program("sockops", give_back(1)) as watcher:
        watcher.attach_cgroup(cgroup)
        with bpf_map(SOCKHASH, 4, 4, 2) as sockets, Program("sk_msg", redirect(sockets, key=1)) as shortcut:
            attached = libbpf().bpf_prog_attach(shortcut.descriptor, sockets, _SK_MSG_VERDICT, 0)
            checked(attached, "attaching sk_msg to a sockhash")
            try:
                received = _send_through(sockets)
            finally:
                libbpf().bpf_prog_detach2(shortcut.descriptor, sockets, _SK_MSG_VERDICT)
    if received == b"":
        return missing("the loopback interface is down", as_root("ip link set lo up"))
    if received != _MESSAGE:
        return missing("sk_msg did not hand the message over", other_kernel("CONFIG_BPF_STREAM_PARSER=y"))
    return ok(f"sockops attached to a cgroup of its own; sk_msg handed {len(received)} bytes from socket to socket")


def _send_through(sockets: int) -> bytes:
    """Send the message into the one socket of a map; return what comes out of the other, or nothing without a network.

    The socket written to and the one that the program hands to are of two different connections, so that nothing but
    the redirection can bring the message there.
    """
    with contextlib.ExitStack() as stack:
        try:
            sender, _ = _connection(stack)
            _, receiver = _connection(stack)
        except OSError as error:
            if isinstance(error, TimeoutError) or error.errno in (errno.ENETUNREACH, errno.EADDRNOTAVAIL):
                return b""
            raise
        for key, end in enumerate((sender, receiver)):
            number, value = ctypes.c_uint32(key), ctypes.c_uint32(end.fileno())
            updated = libbpf().bpf_map_update_elem(sockets, ctypes.byref(number), ctypes.byref(value), 0)
            checked(updated, "putting a socket into a sockhash")
        sender.sendall(_MESSAGE)
        try:
            return receiver.recv(len(_MESSAGE))
        except TimeoutError:
            return b"nothing"


def _connection(stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a TCP connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_TIMEOUT_S)
        near = stack.enter_context(socket.create_connection(listener.getsockname(), timeout=_TIMEOUT_S))
        far = stack.enter_context(listener.accept()[0])
    far.settimeout(_TIMEOUT_S)
    return near, far
