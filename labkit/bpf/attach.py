# SPDX-License-Identifier: Apache-2.0
"""Attach a loaded program to a cgroup, or to a map of sockets, and detach it at the end of the block.

    with attached_to_map(program.load_function("send_message", "SK_MSG"), program.map_fd("sockets"), SK_MSG_VERDICT):
        with attached_to_cgroup(program.load_function("note_connection", "SOCK_OPS"), cgroup.path, CGROUP_SOCK_OPS):
            ...

Rests on bpf(2), BPF_LINK_CREATE and BPF_PROG_ATTACH. A link is a file descriptor: the kernel detaches it when this
process ends in any way. What BPF_PROG_ATTACH attached to a cgroup stays until the cgroup is removed.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import os
from collections.abc import Iterator
from pathlib import Path

from labkit.bpf.bcc import libbcc
from labkit.errors import AttachError

__all__ = ["CGROUP_SOCK_OPS", "SK_MSG_VERDICT", "attached_to_cgroup", "attached_to_map"]

# enum bpf_attach_type in include/uapi/linux/bpf.h
CGROUP_SOCK_OPS = 3
SK_MSG_VERDICT = 7

_ALLOW_MULTI = 2  # next to what others attached to the same cgroup


@contextlib.contextmanager
def attached_to_cgroup(program: int, cgroup: Path, kind: int) -> Iterator[None]:
    """Attach a program to every process of a cgroup.

    Parameters
    ----------
    program : its file descriptor.
    cgroup : the cgroup's folder; one of the lab's own, never the root.
    kind : where in the kernel, such as `CGROUP_SOCK_OPS`.

    Raises
    ------
    AttachError : the kernel refused.
    """
    with contextlib.ExitStack() as held:
        folder = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        held.callback(os.close, folder)
        link = _link(program, folder, kind)
        if link >= 0:
            held.callback(os.close, link)
        else:  # no cgroup links before Linux 5.7, or no libbpf that knows them
            held.enter_context(_attached(program, folder, kind, _ALLOW_MULTI, f"the cgroup {cgroup}"))
        yield


def attached_to_map(program: int, sockets: int, kind: int) -> contextlib.AbstractContextManager[None]:
    """Attach a program to a map of sockets: each socket that is put in afterwards runs it.

    Parameters
    ----------
    program, sockets : file descriptors of the program and of the map.
    kind : when it runs, such as `SK_MSG_VERDICT` (on each send).

    The map holds it, and dies with its last file descriptor.

    Raises
    ------
    AttachError : the kernel refused.
    """
    return _attached(program, sockets, kind, 0, "the map of sockets")


@contextlib.contextmanager
def _attached(program: int, target: int, kind: int, flags: int, name: str) -> Iterator[None]:
    lib = libbcc()
    _check(lib.bpf_prog_attach(program, target, kind, flags), name)
    try:
        yield
    finally:
        lib.bpf_prog_detach2(program, target, kind)


def _link(program: int, target: int, kind: int) -> int:
    """Return the descriptor of a new link, or a negative number."""
    try:
        return int(libbcc().bpf_link_create(program, target, kind, None))
    except AttributeError:  # a libbpf older than links
        return -1


def _check(result: int, name: str) -> None:
    if result < 0:
        # libbpf 1.0 returns -errno, the older ones -1
        reason = os.strerror(-result if result < -1 else ct.get_errno())
        raise AttachError(
            f"The program could not be attached to {name}: {reason}.",
            "run as root in a privileged container, and see `labkit doctor`: the kernel may lack sockmap",
        )
