# SPDX-License-Identifier: Apache-2.0
"""Work in a thread of its own, such as a panel's measurement: it tells how far it is and can be asked to stop."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import Any

from IPython.core.getipython import get_ipython

from labkit.errors import Stopped

__all__ = ["Run", "Runner"]

Work = Callable[[Callable[[float, str], None]], None]
Show = Callable[[float, str, float | None], None]

SHOW_EVERY_S = 0.1
FORESEE_AFTER_S = 0.5  # before that, and below this share, a guess at the time left is worth nothing
FORESEE_AFTER_SHARE = 0.02
LAST_WAIT_S = 4.0  # a kernel that restarts is killed after five seconds


class Run(threading.Thread):
    """Calls `work(progress)` once.

    Parameters
    ----------
    title : of the panel; a new panel of the same title ends the runs of the old one.
    work : what to do; its progress callback raises `Stopped` after `stop()`.
    show : called at most ten times per second with the share done, a note, and the seconds left (None: not known yet).
    """

    def __init__(self, title: str, work: Work, show: Show) -> None:
        super().__init__(name=f"labkit panel: {title}", daemon=True)
        self.title = title
        self.stopping = threading.Event()
        self._work = work
        self._show = show
        self._started_s = time.monotonic()
        self._shown_s = 0.0

    def run(self) -> None:
        self._work(self.progress)

    def stop(self) -> None:
        """Ask the measurement to end; it does when it next tells its progress."""
        self.stopping.set()

    def progress(self, share: float, note: str) -> None:
        """Show how far the measurement is; raise `Stopped` if somebody asked for that."""
        if self.stopping.is_set():
            raise Stopped
        now = time.monotonic()
        if now - self._shown_s < SHOW_EVERY_S and share < 1:
            return
        self._shown_s = now
        share = min(max(share, 0.0), 1.0)
        elapsed_s = now - self._started_s
        known = share >= FORESEE_AFTER_SHARE and elapsed_s >= FORESEE_AFTER_S
        self._show(share, note, elapsed_s * (1 - share) / share if known else None)


class Runner:
    """What a cell shows and that works in a thread, one run at a time.

    Parameters
    ----------
    title : a later one of the same title stops this one: its cell has been executed again.
    """

    def __init__(self, title: str) -> None:
        for run in _alive():
            if run.title == title:
                run.stop()
        _stop_on_interrupt()
        self.title = title
        self._run: Run | None = None

    @property
    def is_running(self) -> bool:
        """Whether its thread runs."""
        return self._run is not None and self._run.is_alive()

    def begin(self, work: Work, show: Show) -> None:
        """Start a run; see `Run`."""
        self._run = Run(self.title, work, show)
        self._run.start()

    def stop(self) -> None:
        """Ask the run to end."""
        if self._run is not None:
            self._run.stop()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until nothing runs."""
        if self._run is not None:
            self._run.join(timeout_s)

    def close(self) -> None:
        """Stop, and wait until nothing runs."""
        self.stop()
        self.wait()


def _alive() -> list[Run]:
    return [thread for thread in threading.enumerate() if isinstance(thread, Run)]


def _stop_on_interrupt() -> None:
    """Let JupyterLab's interrupt button (SIGINT) stop panels as well.

    A kernel that executes no cell ignores the signal, and that is the time at which a panel runs. ipykernel puts this
    handler back whenever a cell has ended (`Kernel.pre_handler_hook` and `post_handler_hook`).
    """
    kernel: Any = getattr(get_ipython(), "kernel", None)
    if hasattr(kernel, "saved_sigint_handler") and threading.current_thread() is threading.main_thread():
        kernel.saved_sigint_handler = lambda *_: _stop_all()


def _stop_all() -> None:
    for run in _alive():
        run.stop()


def _end() -> None:
    """Before the process goes (a restarted kernel), let what runs clean up."""
    runs = _alive()
    _stop_all()
    deadline = time.monotonic() + LAST_WAIT_S
    for run in runs:
        run.join(max(0.0, deadline - time.monotonic()))


atexit.register(_end)
