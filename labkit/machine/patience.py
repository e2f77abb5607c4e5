# SPDX-License-Identifier: Apache-2.0
"""Wait for a command as long as it makes progress: a slow machine is not a missing capability."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from labkit.machine.ending import ended
from labkit.machine.proc import stat_fields

__all__ = ["run_while_it_works"]

_IDLE_S = 120.0
_MOST_S = 1800.0
_LOOK_S = 0.5
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def run_while_it_works(
    command: Sequence[str], environment: Mapping[str, str], *, idle_s: float = _IDLE_S, most_s: float = _MOST_S
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return what it wrote; give up when it uses no CPU time.

    A compile with BCC takes 2 s on a PC and minutes on an emulated machine, so no fixed limit is right for both.

    Parameters
    ----------
    idle_s : seconds without any CPU time used by the process, after which it counts as stuck.
    most_s : seconds after which it is ended although it works.

    Raises
    ------
    subprocess.TimeoutExpired : it was stuck, or took too long; it has been killed.
    LabkitError : it was killed and has not ended.
    """
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=dict(environment))
    with ended(child) as process:
        started = worked = monotonic()
        used_s = 0.0
        while True:
            try:
                out, errors = process.communicate(timeout=_LOOK_S)
                return subprocess.CompletedProcess(list(command), process.returncode, out, errors)
            except subprocess.TimeoutExpired:
                now, before_s = monotonic(), used_s
                used_s = _cpu_s(process.pid)
                if used_s > before_s:
                    worked = now
                if now - worked > idle_s or now - started > most_s:
                    raise


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of its children that have ended: fields 14 to 17 of proc_pid_stat(5)."""
    fields = stat_fields(Path(f"/proc/{pid}"))
    return sum(map(int, fields[11:15])) * _TICK_S
