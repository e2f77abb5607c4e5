# SPDX-License-Identifier: Apache-2.0
"""Run a command for a limited time, and leave nothing of its session when the time is up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from labkit.machine import ending

__all__ = ["run_bounded"]

_ASK_S = 0.5


def run_bounded(
    words: Sequence[str],
    most_s: float | Callable[[], float],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
) -> int | None:
    """Run a command in a session of its own; return its exit status, or None if it was ended after `most_s` seconds.

    A `most_s` that is a function is asked twice per second: the limit may depend on what the command says of itself.
    An exception, such as an interrupt, ends it, too. `stdout` and `stderr` are as of `subprocess.Popen`.
    """
    run = subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    started_s = time.monotonic()
    try:
        while True:
            limit_s = most_s() if callable(most_s) else most_s
            left_s = limit_s - (time.monotonic() - started_s)
            if left_s <= 0:
                return None
            with contextlib.suppress(subprocess.TimeoutExpired):
                return run.wait(min(left_s, _ASK_S))
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            ending.wait_killed(run)
