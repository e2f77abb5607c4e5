# SPDX-License-Identifier: Apache-2.0
"""Send this process a real SIGINT at a chosen line of the lab's code: deterministic, unlike one sent by chance."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any


def lines_run(work: Callable[[], object], modules: Collection[ModuleType], functions: Collection[str] = ()) -> int:
    """Return how many lines of the modules `work` runs."""
    tracer = _Tracer(modules, functions, None)
    tracer.run(work)
    return tracer.lines


def interrupted_at(
    number: int, work: Callable[[], object], modules: Collection[ModuleType], functions: Collection[str] = ()
) -> bool:
    """Call `work` with a SIGINT before the line of that number; return whether a KeyboardInterrupt came out."""
    try:
        _Tracer(modules, functions, number).run(work)
    except KeyboardInterrupt:
        return True
    return False


def every_interrupt(
    work: Callable[[], object], modules: Collection[ModuleType], functions: Collection[str] = ()
) -> Iterator[int]:
    """Call `work` again and again, each time with the interrupt one line later; yield the number of the line.

    Parameters
    ----------
    functions : the names of the functions whose lines count; all of the modules' if there is none.
    """
    for number in range(lines_run(work, modules, functions)):
        interrupted_at(number, work, modules, functions)
        yield number


class _Tracer:
    """Counts the lines that run in some files (sys.settrace), and sends a SIGINT at one of them."""

    def __init__(self, modules: Collection[ModuleType], functions: Collection[str], at: int | None) -> None:
        self.lines = 0
        self._functions = functions
        self._files = {str(Path(module.__file__ or "")) for module in modules}
        self._at = at

    def run(self, work: Callable[[], object]) -> None:
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            work()
        finally:
            sys.settrace(before)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        is_counted = code.co_filename in self._files and (not self._functions or code.co_name in self._functions)
        return self._line if is_counted else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.lines += 1
            if self.lines - 1 == self._at:
                signal.raise_signal(signal.SIGINT)
        return self._line
