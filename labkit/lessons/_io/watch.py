# SPDX-License-Identifier: Apache-2.0
"""What lessons 07 and 08 share: a BPF program watches a run, or a warning says why none does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from labkit.bpf.program import TRACING, Program
from labkit.errors import Missing

__all__ = ["lacking", "watching"]


def lacking(events: Mapping[str, str]) -> dict[str, int]:
    """Return, of a table macro -> trace event ("group/event"), the macros of events that this kernel does not have."""
    return {macro: 1 for macro, event in events.items() if not (TRACING / "events" / event).is_dir()}


@contextmanager
def watching(
    name: str,
    flags: Callable[[], Mapping[str, int]],
    warnings: list[str] | None,
    wanted: Callable[[str], bool] = bool,
) -> Iterator[Program | None]:
    """Attach a program of `c/bpf/` and yield it; None where this machine cannot load it.

    Parameters
    ----------
    name : of the program.
    flags : finds out the macros that this kernel asks for; may say by `Missing` that there is nothing to watch.
    warnings : where to say that nobody watches; None: that is an error then (`Missing`).
    wanted : which of its functions to attach, as of `Program.attach`.
    """
    with ExitStack() as stack:
        program = None
        try:
            program = stack.enter_context(Program(name, flags=flags()))
        except Missing as error:
            if warnings is None:
                raise
            warnings.append(f"No program watches from the kernel: {error.what} Fix: {error.fix}")
        if program is not None:
            program.attach(wanted)
        yield program
