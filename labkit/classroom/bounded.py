# SPDX-License-Identifier: Apache-2.0
"""Run a command for a limited time, and leave nothing of its session when the time is up."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["run_bounded"]


def run_bounded(
    words: Sequence[str],
    most_s: float,
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
) -> int | None:
    """Run a command in a session of its own; return its exit status, or None if it was ended after `most_s` seconds.

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
    try:
        return run.wait(most_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
