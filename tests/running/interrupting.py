"""Send this process a real SIGINT at a chosen line of the lab's code: deterministic, unlike one sent by chance."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any


def lines_run(work: Callable[[], object], modules: Collection[ModuleType]) -> int:
    """Return how many lines of the modules `work` runs."""
    tracer = _Tracer(modules, None)
    tracer.run(work)
    return tracer.lines


def interrupted_at(number: int, work: Callable[[], object], modules: Collection[ModuleType]) -> bool:
    """Call `work` with a SIGINT before the line of that number; return whether a KeyboardInterrupt came out."""
    try:
        _Tracer(modules, number).run(work)
    except KeyboardInterrupt:
        return True
    return False


def every_interrupt(work: Callable[[], object], modules: Collection[ModuleType]) -> Iterator[int]:
    """Call `work` again and again, each time with the interrupt one line later; yield the number of the line."""
    for number in range(lines_run(work, modules)):
        interrupted_at(number, work, modules)
        yield number


class _Tracer:
    """Counts the lines that run in some files (sys.settrace), and sends a SIGINT at one of them."""

    def __init__(self, modules: Collection[ModuleType], at: int | None) -> None:
        self.lines = 0
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
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.lines += 1
            if self.lines - 1 == self._at:
                signal.raise_signal(signal.SIGINT)
        return self._line
