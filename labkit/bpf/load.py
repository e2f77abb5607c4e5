# SPDX-License-Identifier: Apache-2.0
"""Hand one function of a compiled program to the kernel's verifier, quietly."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

from labkit.bpf import bcc
from labkit.bpf.capture import captured
from labkit.bpf.verifier.log import CUT
from labkit.machine import refusals
from labkit.running.interrupts import uninterrupted

__all__ = ["KINDS", "attempt", "full_log", "log_of_all_paths", "prefix_of", "try_load"]

# BCC's convention: the prefix of a function's name says what it attaches to.
KINDS = {
    "kprobe__": "KPROBE",
    "kretprobe__": "KPROBE",
    "tracepoint__": "TRACEPOINT",
    "raw_tracepoint__": "RAW_TRACEPOINT",
    "kfunc__": "TRACING",
    "kretfunc__": "TRACING",
}

# <linux/bpf_verifier.h>: 1 logs the path that failed, 4 logs the verdict alone. 4 cannot fail for want of room.
_LOG_PATH, _LOG_ALL, _LOG_VERDICT = 1, 2, 4  # 2 logs each path that the verifier follows
_VERDICT_BYTES = 1 << 16
# Before 6.4 the head of a log that is too long is kept, and the verdict is at its end: ask for that apart.
# 16 MiB - 1 is the most that kernels before 5.16 take.
_LOG_BYTES = (1 << 20, (1 << 24) - 1)


_ENDLESS = re.compile(r"^(?:BPF program is too large|The sequence of \d+ jumps)", re.MULTILINE)


def prefix_of(function: str) -> str:
    """Return the key of `KINDS` with which a function's name begins, or an empty text."""
    return next(filter(function.startswith, KINDS), "")


@uninterrupted()
def attempt(
    module: Any, function: str, kind: int, level: int, log_bytes: int, instructions: int | None = None
) -> tuple[int, int, str]:
    """Load as `labkit.bpf.bcc.load` does, printing nothing."""
    with captured():
        return bcc.load(module, function, kind, level, log_bytes, instructions)


def try_load(module: Any, function: str, kind: int, instructions: int | None = None) -> tuple[int, int, str]:
    """Load one function of a compiled program; return (file descriptor, errno, the verifier's verdict).

    The descriptor is negative if the kernel refused; the caller owns it otherwise.

    Parameters
    ----------
    module : a `bcc.BPF`, or the pointer inside it.
    function : its name in the C file.
    kind : the program type, a number of `enum bpf_prog_type`.
    instructions : as of `labkit.bpf.bcc.load`.
    """
    return attempt(module, function, kind, _LOG_VERDICT, _VERDICT_BYTES, instructions)


def full_log(module: Any, function: str, kind: int, verdict: str = "") -> tuple[bool, str]:
    """Return whether the verifier accepts a function, and all that it says.

    `verdict` is what it said when it refused the function before; then it is not asked for that again.

    Raises
    ------
    Missing : bpf(2) itself was refused, so that the verifier said nothing.
    """
    fd, error, verdict = (-1, 0, verdict) if verdict else try_load(module, function, kind)
    if fd >= 0:
        os.close(fd)
        return True, verdict
    if not verdict.strip() and (
        refused := refusals.refusal(f"{function} could not be loaded", "bpf", os.strerror(error))
    ):
        raise refused
    log = ""
    for log_bytes in _LOG_BYTES:
        _, error, log = attempt(module, function, kind, _LOG_PATH, log_bytes)
        if error != errno.ENOSPC or _ENDLESS.search(log):  # where it gave up, the tail of the log says where
            break
    is_whole = "\nprocessed " in log  # the last line of every log
    return False, log if is_whole else f"{log}\n{CUT}\n{verdict}"


@uninterrupted()
def log_of_all_paths(module: Any, function: str, kind: int) -> str:
    """Return all that the verifier says while it checks a function, accepted or not."""
    fd, _, log = attempt(module, function, kind, _LOG_ALL, _LOG_BYTES[-1])
    if fd >= 0:
        os.close(fd)
    return log
