# SPDX-License-Identifier: Apache-2.0
"""What a probe says, and the row that is made of it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labkit.errors import LabkitError
from labkit.machine import proc
from labkit.machine.doctor import privileges

__all__ = [
    "Capability",
    "Finding",
    "as_root",
    "from_error",
    "from_lab_error",
    "missing",
    "ok",
    "other_kernel",
    "package",
    "refused",
]

State = Literal["ok", "missing", "refused"]


@dataclass(frozen=True)
class Capability:
    """One row: something that lessons need, and whether this machine has it."""

    name: str
    state: State
    reason: str  # how it was found, or what is in the way
    fix: str  # a command to copy; empty when all is well
    lessons: tuple[str, ...]  # the lessons that use it


@dataclass(frozen=True)
class Finding:
    """What one probe found; the table in `catalogue` adds the name and the lessons."""

    state: State
    reason: str
    fix: str = ""


def ok(reason: str) -> Finding:
    """It was tried and it works."""
    return Finding("ok", reason)


def missing(reason: str, fix: str) -> Finding:
    """It is not there."""
    return Finding("missing", reason, fix)


def refused(reason: str, fix: str) -> Finding:
    """It is there, and this process may not use it."""
    return Finding("refused", reason, fix)


def from_error(error: OSError) -> Finding:
    """Turn the kernel's refusal of one step into a finding.

    Parameters
    ----------
    error : `strerror` and, as `filename`, the step that failed ("loading a tracepoint program").
    """
    step = f"{error.filename}: " if error.filename else ""
    told = error.strerror or str(error)
    if error.errno in (errno.EPERM, errno.EACCES):
        reason, fix = privileges.why_refused()
        return refused(f"{step}{told} ({reason})", fix)
    if error.errno == errno.ENOSYS and privileges.seccomp_filtered():
        return refused(f"{step}{told} (by a seccomp filter, as containers have)", privileges.CONTAINER)
    name = errno.errorcode.get(error.errno or 0, "")
    return missing(f"{step}{told}" + (f" ({name})" if name else ""), other_kernel())


def from_lab_error(error: LabkitError) -> Finding:
    """Turn an error of the lab's own, which brings its fix, into a finding."""
    return missing(error.what.rstrip("."), as_root(error.fix[5:]) if error.fix.startswith("sudo ") else error.fix)


def as_root(command: str) -> str:
    """Put sudo before a command where it is needed."""
    return command if os.geteuid() == 0 else f"sudo {command}"


def package(*names: str, ubuntu: str = "") -> str:
    """Return the command that installs packages: Debian's names, and Ubuntu's where they differ."""
    wanted = ubuntu if ubuntu and _on_ubuntu() else " ".join(names)
    return as_root(f"apt-get install --yes {wanted}")


def other_kernel(option: str = "") -> str:
    """Return the command that brings a kernel which has all that the lessons need: the distribution's own."""
    install = package("linux-image-$(dpkg --print-architecture)", ubuntu="linux-image-generic")
    return f"{install}  # on the host: a kernel with {option or 'all that the lessons need'}; then reboot into it"


def _on_ubuntu() -> bool:
    return "ID=ubuntu" in proc.text_or_empty(Path("/etc/os-release")).splitlines()
