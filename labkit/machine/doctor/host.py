# SPDX-License-Identifier: Apache-2.0
"""Rows on the machine and on what this process may do there."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from pathlib import Path

from labkit.machine.doctor import privileges
from labkit.machine.doctor.instructions import count_own
from labkit.machine.doctor.programs import ARRAY, Counter, Program, bpf_map
from labkit.machine.doctor.rows import Finding, as_root, missing, ok, other_kernel, refused
from labkit.machine.ending import run
from labkit.machine.pidns import PidNamespace, own_pid_namespace

__all__ = ["cpus", "kernel", "lockdown", "lockdown_mode", "memlock", "pid_namespace", "root"]

TIMES = 23
_MIB = 1 << 20
_TIMEOUT_S = 5


def kernel() -> Finding:
    """uname(2)."""
    system = os.uname()
    return ok(f"{system.sysname} {system.release}, {system.machine}")


def root() -> Finding:
    """Look at the user and at the capabilities in effect."""
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    have = privileges.effective()
    if privileges.lacking():
        return refused(f"{who} without {', '.join(privileges.lacking())}", privileges.why_refused()[1])
    if not privileges.initial_user_namespace():
        return refused(f"{who}, but only of a user namespace", privileges.why_refused()[1])
    extra = [name for name in privileges.WANTED if name not in have]
    note = f"; without {', '.join(extra)}, which is rarely missed" if extra else ""
    return ok(f"{who} with {', '.join(privileges.NEEDED)}{note}")


def cpus() -> Finding:
    """Count the CPUs that this process may use (sched_setaffinity(2))."""
    usable, there = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    if usable > 1:
        return ok(f"{usable} of {there} may be used")
    if there > 1:
        online = Path("/sys/devices/system/cpu/online").read_text().strip()  # with gaps where some are offline: 0,2
        unpin = f"taskset -cp {online} {os.getpid()}  # or start the lab unpinned"
        return refused(f"1 of {there} may be used", unpin)
    return missing("there is one", "nproc  # cross-core arms need a machine, or a virtual machine, with two CPUs")


def pid_namespace() -> Finding:
    """Count this process's own calls with a filter that is right inside a container too."""
    here = own_pid_namespace()
    where = "the machine's own" if here.is_initial else "a container's"
    try:
        counted = _count_own_calls(here)
    except OSError as error:
        if here.is_initial and error.errno == errno.EINVAL:  # no such helper before Linux 5.7
            return ok(f"{where}; process ids need no translation")
        raise
    if counted < TIMES:
        return missing(f"{where}; {TIMES} calls of this process were counted as {counted}", other_kernel())
    return ok(f"{where}; a BPF program recognises this process in it")


def _count_own_calls(here: PidNamespace) -> int:
    with Counter() as hits:
        own = count_own(hits.descriptor, here.device, here.inode, os.getpid())
        with Program("raw_tp/sys_enter", own) as program:
            program.attach()
            for _ in range(TIMES):
                os.getppid()
            return hits.value


def lockdown() -> Finding:
    """Read the mode of kernel_lockdown(7)."""
    mode = lockdown_mode()
    if mode == "confidentiality":
        fix = "mokutil --disable-validation  # or boot without lockdown=confidentiality"
        return refused("confidentiality mode: programs may not read the kernel's memory", as_root(fix))
    if mode == "integrity":
        return ok("integrity mode: the kernel may not be changed; no lesson needs that, except for fentry")
    if mode == "none":
        return ok("none")
    if Path("/sys/kernel/security").exists():
        if privileges.lacking():
            return refused("its mode cannot be seen", privileges.why_refused()[1])
        return refused("its mode cannot be seen", "mount -t securityfs securityfs /sys/kernel/security")
    return ok("none: this kernel has no security file system")


def lockdown_mode() -> str:
    """Return "none", "integrity" or "confidentiality"; "none" without the module, empty where it cannot be seen.

    Where securityfs is not mounted it is mounted for one look, in a mount namespace that ends with the look.
    """
    file = Path("/sys/kernel/security/lockdown")
    try:
        text = file.read_text()
    except OSError:
        look = f"mount -t securityfs securityfs {file.parent} && {{ cat {file} 2>/dev/null || echo '[none]'; }}"
        command = ["unshare", "--mount", "sh", "-c", look]
        try:
            told = run(command, _TIMEOUT_S)
        except (OSError, subprocess.SubprocessError):
            return ""
        text = told.stdout if told.returncode == 0 else ""
    return text.partition("[")[2].partition("]")[0]


def memlock() -> Finding:
    """Make a map larger than the limit on locked memory: since Linux 5.11 the limit does not count for maps."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft == resource.RLIM_INFINITY:
        return ok("no limit")
    said = f"the limit is {soft // 1024} KiB"
    if soft > 256 * _MIB:
        return ok(f"{said}, which is plenty")
    try:
        with bpf_map(ARRAY, 4, 4096, (soft + _MIB) // 4096):
            return ok(f"{said}, and a larger map was made")
    except PermissionError:
        if privileges.lacking():
            raise
        return refused(f"{said}, and a larger map was refused", "ulimit -l unlimited  # before the lab starts")
