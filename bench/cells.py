# SPDX-License-Identifier: Apache-2.0
"""What a learner waits for after running a `%%bpf` cell: refused, accepted, run again, with a large header."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

from IPython.core.interactiveshell import InteractiveShell

from bench.figure import Figure, Step
from labkit.bpf import bcc
from labkit.bpf.capture import captured
from labkit.bpf.shelf import forget_loaded
from labkit.machine.folders import quick
from labkit.notebook.magic import BpfMagics
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.stats import trial

__all__ = ["STEPS"]

_PROBE = "BPF_HASH(calls, u32, u64);\nTRACEPOINT_PROBE(syscalls, sys_enter_getppid)\n{\n    u32 k = 1;\n"
_RIGHT = _PROBE + "    calls.increment(k);\n    return 0;\n}\n"
_WRONG = _PROBE + "    u64 *n = calls.lookup(&k);\n    *n += 1;\n    return 0;\n}\n"
_SOCKET = f"#include <net/sock.h>\n{_RIGHT}"
_turn = itertools.count()


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _figure(name: str, text: str, progress: Progress, *, again: bool = False) -> Figure:
    """Measure how long a cell takes, and how long BCC alone takes to compile its text, one after the other."""
    slices = quick(8, 2)
    magics = BpfMagics(InteractiveShell())
    cells: list[float] = []
    alone: list[float] = []
    kept = f"// kept\n{text}"
    try:
        for turn in range(slices):
            progress(turn / slices, f"{turn + 1} of {slices}")
            with exclusive(f"bench: {name}"):
                if again:
                    magics.bpf("cell --no-attach", kept)
                else:
                    forget_loaded()
                new = kept if again else f"// {next(_turn)}\n{text}"
                cells.append(_seconds(lambda new=new: magics.bpf("cell --no-attach", new)))  # type: ignore[misc]
                with captured():
                    alone.append(_seconds(lambda: bcc.make_module(f"// {next(_turn)}\n{text}", ()).cleanup()))
    finally:
        magics.close_all()
        forget_loaded()
    facts = {"bcc_alone_s": round(statistics.median(alone), 3)}
    return Figure(name, *trial.median_interval(cells), len(cells), facts=facts)


STEPS = (
    Step(("cell.refused",), lambda progress: [_figure("cell.refused", _WRONG, progress)], 16),
    Step(("cell.accepted",), lambda progress: [_figure("cell.accepted", _RIGHT, progress)], 8),
    Step(("cell.rerun",), lambda progress: [_figure("cell.rerun", _RIGHT, progress, again=True)], 6),
    Step(("cell.socket",), lambda progress: [_figure("cell.socket", _SOCKET, progress)], 40),
)
