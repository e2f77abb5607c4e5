# SPDX-License-Identifier: Apache-2.0
"""What a learner waits for: from running a cell to the plot, and the first load of a program."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from bench.figure import Figure, Step, compare
from labkit.bpf.program import Program
from labkit.bpf.shelf import forget_loaded
from labkit.errors import LabkitError
from labkit.lessons._io.job import Job
from labkit.lessons.syscall_latency.timer import flags
from labkit.machine.folders import quick
from labkit.running.progress import Progress
from labkit.stats import trial

__all__ = ["STEPS"]

WINDOW_S = 1.0  # the slices of each call together
MEASURE = {
    "06": ("syscall_latency", 'measure(4096, "direct", seconds=1 / 3, slices=1, progress=tell)'),  # three arms
    "07": ("io_engines", 'measure("io_uring", seconds=1 / 6, slices=2, progress=tell)'),  # 2, the A/A arm 2, watched 2
    "09": ("sockmap", 'measure(64, "same core", slice_s=1 / 8, slices=2, progress=tell)'),  # 3 arms and the A/A arm
}
SETUP = """
from labkit.lessons import {lesson}
waited = []
def tell(share, note):
    if note.startswith("waiting"):
        waited.append(note)
"""
CELL = """
waited.clear()
frame = {lesson}.{measure}
{lesson}.plot(frame);
"""
_PATIENCE_S = 120


@contextmanager
def _notebook() -> Iterator[Any]:
    """Start a notebook's kernel, as JupyterLab does."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _run(client: Any, code: str) -> tuple[float, bool]:
    """Run a cell; return the seconds until its last picture was there (or its end), and whether it had to wait."""
    pictures, problems = [], []

    def on_output(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "error":
            problems.append("\n".join(content["traceback"]))
        elif "<img" in content.get("data", {}).get("text/html", ""):
            pictures.append(time.monotonic() - began)

    began = time.monotonic()
    reply = client.execute_interactive(
        code, output_hook=on_output, timeout=_PATIENCE_S, store_history=False, user_expressions={"waited": "waited"}
    )
    took_s = pictures[-1] if pictures else time.monotonic() - began
    if problems:
        raise LabkitError("A cell failed.", "run it in a notebook", problems[0])
    return took_s, reply["content"]["user_expressions"]["waited"]["data"]["text/plain"] != "[]"


def _rerun(number: str, progress: Progress) -> list[Figure]:
    slices = quick(10, 2)
    values: list[float] = []
    lesson, measure = MEASURE[number]
    cell = CELL.format(lesson=lesson, measure=measure)
    with _notebook() as client:
        for code in (SETUP.format(lesson=lesson), cell):  # the first run imports, compiles and loads
            progress(0, f"lesson {number}: a notebook's first run")
            first_s, _ = _run(client, code)
        for _ in range(slices + 5):
            progress(len(values) / slices, f"lesson {number}: rerun {len(values) + 1} of {slices}")
            took_s, waited = _run(client, cell)
            if not waited:  # another measurement that runs is not our doing
                values.append((took_s - WINDOW_S) / WINDOW_S)
            if len(values) == slices:
                break
    if len(values) < 2:
        raise LabkitError("Another measurement always ran.", "stop them, and run it again")
    facts = {"first_run_s": round(first_s, 3)}
    return [Figure(f"ui.rerun.{number}", *trial.median_interval(values), len(values), facts=facts)]


def _compile(progress: Progress) -> list[Figure]:
    chosen = flags(Job(cache="warm"))

    def load() -> float:
        began = time.perf_counter()
        with Program("syscall_latency", flags=chosen):
            return time.perf_counter() - began

    def first() -> float:
        forget_loaded()
        return load()

    def again() -> float:
        load()
        return load()

    arms = {"first run": first, "rerun": again}
    return [compare("ui.compile", arms, arm="first run", baseline="rerun", slices=quick(6, 2), progress=progress)]


STEPS = (
    *(Step((f"ui.rerun.{number}",), partial(_rerun, number), 18) for number in MEASURE),
    Step(("ui.compile",), _compile, 8),
)
