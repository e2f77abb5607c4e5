# SPDX-License-Identifier: Apache-2.0
"""An emulated machine as a process: started, watched, and ended in every case."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from labkit.machine import ending

__all__ = ["Tick", "ends_in_time", "unwatched"]

Tick = Callable[[float], None]  # called about ten times per second with the seconds gone by; may raise to end it

_LOOK_S = 0.1
_GRACE_S = 10


def unwatched(_: float) -> None:
    """Watch nothing."""


def ends_in_time(
    words: Sequence[str],
    log: Path,
    timeout_s: float,
    tick: Tick = unwatched,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> bool:
    """Run the command of an emulated machine; return whether it ended by itself in time.

    However this is left, the machine and what started it are gone. If this process is killed, setpriv(1) has the kernel
    end them; if that fails, timeout(1) ends them a little after `timeout_s`.

    Parameters
    ----------
    log : a file that gets what the machine says.
    timeout_s : after this many seconds the machine is switched off.
    tick : see `Tick`; what it raises goes through.
    """
    bounded = ["setpriv", "--pdeathsig", "TERM", "timeout", "--signal=KILL", f"{timeout_s + _GRACE_S:.0f}", *words]
    machine: subprocess.Popen[bytes] | None = None
    with log.open("wb") as said:
        try:
            machine = subprocess.Popen(
                bounded,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            started = monotonic()
            while machine.poll() is None:
                gone_s = monotonic() - started
                if gone_s > timeout_s:
                    return False
                tick(gone_s)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    machine.wait(_LOOK_S)
            return True
        finally:
            if machine is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(machine.pid, signal.SIGKILL)
                ending.wait_killed(machine)
