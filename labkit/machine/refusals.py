# SPDX-License-Identifier: Apache-2.0
"""Who refused a system call, and what fixes it: a filter, a capability, a limit, a mount or the kernel itself."""

from __future__ import annotations

import errno
import os
import re
import resource
import traceback
from pathlib import Path

from labkit.errors import Missing
from labkit.machine import proc
from labkit.machine.doctor import privileges
from labkit.machine.doctor.rows import other_kernel
from labkit.machine.lock_places import tracefs

__all__ = ["files_refused", "no_tracefs", "refusal", "refused_meanwhile", "too_few_files", "who_refused"]

_REFUSALS = {os.strerror(number): number for number in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EMFILE)}
_FILES = 32  # a program of a few tracepoints, with its maps and clang's files
_LOCKDOWN = Path("/sys/kernel/security/lockdown")


def refusal(what: str, call: str, said: str) -> Missing | None:
    """Return the error for something that a refused system call prevented, or None where none was refused.

    Parameters
    ----------
    what : what could not be done, as the beginning of a sentence: "hello.c could not be loaded".
    call : the system call, "perf_event_open".
    said : what C libraries printed; a refusal is recognised by the kernel's words, such as "Permission denied".
    """
    found = re.search("|".join(map(re.escape, _REFUSALS)), said)
    if found is None:
        return None
    who, fix = who_refused(call, _REFUSALS[found[0]])
    if re.match(r"k(?:ret)?func__", what) and who.startswith("by the kernel"):
        fix = "look for a tracepoint of the same event: TRACEPOINT_PROBE(category, event)"
    return Missing(f"{what}: {call}(2) was refused ({found[0]}) {who}.", fix, said)


def who_refused(call: str, number: int) -> tuple[str, str]:
    """Return the likeliest cause of an error number, "by a seccomp filter, …", and the command that fixes it."""
    if number == errno.EMFILE:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"by the limit of {most} open files", "ulimit -n 4096  # before the lab starts"
    if number == errno.ENOSYS:
        if privileges.seccomp_filtered():
            return "by a seccomp filter, as containers have", privileges.CONTAINER
        return f"since this kernel has no {call}", other_kernel()
    reason, fix = privileges.why_refused()
    if not privileges.lacking() and not privileges.seccomp_filtered() and _locked_down():
        return "by the kernel's lockdown mode", "cat /sys/kernel/security/lockdown  # set when the machine boots"
    return reason if reason.startswith("by ") else f"to this process: {reason}", fix


def refused_meanwhile(purpose: str, error: OSError | RuntimeError) -> Missing | None:
    """Return the error for a measurement in which a system call was refused that nobody expected to be, or None.

    Parameters
    ----------
    purpose : what was measured.
    error : Python's; one with a file name is about that file. No thread is a RuntimeError, which hides the number.
    """
    at = traceback.extract_tb(error.__traceback__)[-1].line
    if isinstance(error, RuntimeError):
        if "can't start new thread" not in str(error):
            return None
        what = f"No thread can be started for {purpose}: clone(2) is refused, or the limit of processes is reached."
        return Missing(
            what, "ulimit -u unlimited  # before the lab starts; in a container: --privileged, --pids-limit -1"
        )
    if error.errno not in (errno.EPERM, errno.ENOSYS) or error.filename is not None:
        return None
    who, fix = who_refused("such call", error.errno)
    return Missing(f"A system call of {purpose} was refused ({error.strerror}) {who}.", fix, f"It was made here: {at}")


def no_tracefs() -> Missing | None:
    """Return the error where tracefs is not mounted: BCC reads the format of tracepoints there."""
    if tracefs() is not None:
        return None
    return Missing("tracefs is not mounted.", "mount -t tracefs tracefs /sys/kernel/tracing")


def too_few_files() -> Missing | None:
    """Return the error where this process may not open as many more files as clang and a program need.

    Clang, as BCC calls it, crashes the whole process where it cannot open a file.
    """
    try:
        free = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - len(os.listdir("/proc/self/fd"))
    except OSError:
        free = 0
    if free >= _FILES:
        return None
    return files_refused(f"A program needs {_FILES} more open files, which is")


def files_refused(what: str) -> Missing:
    """Return the error for what the limit of open files (RLIMIT_NOFILE) prevented, such as "workload hello was"."""
    who, fix = who_refused("open", errno.EMFILE)
    return Missing(f"{what} refused {who} ({os.strerror(errno.EMFILE)}).", fix)


def _locked_down() -> bool:
    return "[none]" not in (proc.text_or_empty(_LOCKDOWN) or "[none]")
