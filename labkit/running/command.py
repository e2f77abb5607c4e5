# SPDX-License-Identifier: Apache-2.0
"""Run a short command to its end, and end it when an interrupt comes first."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from labkit.machine import ending
from labkit.running import owner

__all__ = ["run"]


def run(
    command: Sequence[str | Path], *, text_in: str | None = None, timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Return what `subprocess.run` would, with the output captured as text.

    An interrupt in the middle of `subprocess.run` can leave the child running: Python may be interrupted between
    fork(2) and the moment at which it has noted the process id.

    Raises
    ------
    subprocess.TimeoutExpired : the command took longer than `timeout_s` seconds, and was ended.
    """
    started: list[subprocess.Popen[str]] = []
    pipe = subprocess.PIPE

    def start() -> None:
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace")
        started.append(child)

    def end() -> None:
        for child in started:
            with ending.ended(child):
                pass

    held = owner.acquire(f"the command {Path(command[0]).name}", start, end)
    try:
        out, err = started[0].communicate(text_in, timeout=timeout_s)
        return subprocess.CompletedProcess(command, started[0].returncode, out, err)
    finally:
        held.close()
