# SPDX-License-Identifier: Apache-2.0
"""The lab's workload against fio, and against a bare loop, at equal settings.

Equal on both sides: engine, file, block size, depth, batch, CPU, what is registered with the ring, the flags of open(2)
(fio has no O_NOATIME, so the lab leaves it out too), and posix_fadvise(2). fio measures its run time in whole
milliseconds, so a slice lasts a second: that is 0.1 %.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bench import fio
from bench.figure import Figure, Step, compare, ratio, rounds
from labkit.errors import LabkitError
from labkit.lessons._io.job import Job
from labkit.machine.folders import build_folder, quick
from labkit.running.command import run
from labkit.running.files import random_file
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, part
from labkit.running.workload import Workload
from labkit.stats.histogram import from_buckets, quantile

__all__ = ["STEPS", "Watch", "blocks", "last_cpu", "rate", "run_lab"]

LAB, PEER, BARE = "lab", "fio", "bare loop"
AS_FIO = ("--atime",)  # fio opens its files without O_NOATIME
BARE_SOURCE = Path(__file__).parent / "bare_uring.c"
FILE_BYTES = 16 << 20  # as large as the lessons' own
SECONDS_PER_SLICE = 3.6  # of three arms, a second each, and their starts


Watch = Callable[[int], AbstractContextManager[object]]


@dataclass(frozen=True)
class _Setting:
    name: str
    job: Job
    registered: bool = False  # buffers and file
    slices: int = 8


DIRECT = (
    _Setting("io.direct.qd32.io_uring", Job("io_uring", cache="direct", queue_depth=32), slices=12),
    _Setting("io.direct.qd32.libaio", Job("libaio", cache="direct", queue_depth=32), slices=12),
    _Setting("io.direct.qd1.sync", Job("sync", cache="direct"), slices=12),
)
WARM = (
    _Setting("io.warm.4k.io_uring", Job("io_uring", cache="warm", queue_depth=32, batch=32, wait_for=32), True),
    _Setting("io.warm.4k.sync", Job("sync", cache="warm")),
)


@contextmanager
def blocks() -> Iterator[Path]:
    """Make the data file, and remove it at the end."""
    with run_folder() as folder:
        yield random_file(folder / "blocks", FILE_BYTES // quick(1, 4))


def last_cpu() -> int:
    """Return the CPU that both sides run on: the last one, for the first has the most interrupts."""
    return max(os.sched_getaffinity(0))


def run_lab(
    job: Job, file: Path, *more: str, seconds: float = 0.0, ios: int = 0, watch: Watch = nullcontext
) -> dict[str, Any]:
    """Run the lab's workload for a time or a number of I/Os, and return what it reports.

    Parameters
    ----------
    more : other options of it.
    watch : process id -> a context manager that is open while it works.
    """
    options = [*job.arguments(seconds=seconds, ios=ios, file=file), *more]
    with Workload("io_engines", options, cpu=last_cpu()) as workload, watch(workload.pid):
        return workload.go(timeout_s=60)


def rate(job: Job, file: Path, seconds: float, *more: str) -> float:
    """Run the lab's workload for a time, and return its I/Os per second."""
    told = run_lab(job, file, *more, seconds=seconds)
    return float(told["ios"] / told["elapsed_s"])


def _lab(job: Job, file: Path, seconds: float, *more: str) -> dict[str, float]:
    """Run a slice of the lab's workload; the same columns as `fio.run`."""
    told = run_lab(job, file, *more, seconds=seconds)
    ios, cpu_s = told["ios"], told["user_s"] + told["system_s"] + told["kernel_threads_s"]
    p50, p99 = quantile(from_buckets(told["latency_ns"]["buckets"]), [0.5, 0.99])
    return {
        "ios_per_s": ios / told["elapsed_s"],
        "cpu_ns_per_io": 1e9 * cpu_s / ios,
        "p50_ns": float(p50),
        "p99_ns": float(p99),
    }


def _against_fio(setting: _Setting, progress: Progress) -> pd.DataFrame:
    seconds = quick(1.0, 0.05)
    more = [*AS_FIO, *(["--registered-buffers", "--registered-files"] if setting.registered else [])]
    with blocks() as file:
        line = fio.command(setting.job, file, seconds, last_cpu(), registered=setting.registered)
        arms = {LAB: lambda: _lab(setting.job, file, seconds, *more), PEER: lambda: fio.run(line)}
        slices = quick(setting.slices, 2)
        return rounds(f"bench: {setting.name}", arms, baseline=PEER, slices=slices, progress=progress)


def _one(setting: _Setting, progress: Progress) -> list[Figure]:
    return [ratio(setting.name, _against_fio(setting, progress), "ios_per_s", LAB)]


def _several(progress: Progress) -> list[Figure]:
    """One run tells four figures: throughput, CPU time and two percentiles of the same slices."""
    made = _against_fio(DIRECT[0], progress)
    columns = {
        DIRECT[0].name: "ios_per_s",
        "io.cpu_per_io": "cpu_ns_per_io",
        "io.p50_vs_fio": "p50_ns",
        "io.p99_vs_fio": "p99_ns",
    }
    return [ratio(name, made, column, LAB) for name, column in columns.items()]


def _timing(progress: Progress) -> list[Figure]:
    """What the time stamps cost where they cost most: the shortest I/Os, one by one."""
    seconds, job = quick(0.25, 0.02), WARM[1].job
    progress(0, "a file of blocks")
    with blocks() as file:
        arms = {
            "timed": lambda: rate(job, file, seconds),
            "not timed": lambda: rate(job, file, seconds, "--no-timing"),
        }
        return [
            compare(
                "io.timing_cost",
                arms,
                arm="timed",
                baseline="not timed",
                slices=quick(32, 2),
                progress=part(progress, 0.02, 1),
            )
        ]


def _build_bare() -> Path:
    """Compile the bare loop with the flags of the workloads."""
    program = build_folder() / "bare_uring"
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer"]
    made = run(["cc", *flags, "-o", program, BARE_SOURCE, "-luring"])
    if made.returncode != 0:
        raise LabkitError("The bare loop does not compile.", "apt-get install liburing-dev", made.stderr)
    return program


def _bare(program: Path, file: Path, seconds: float) -> dict[str, float]:
    made = run(["taskset", "--cpu-list", str(last_cpu()), program, file, str(seconds)], timeout_s=30 + seconds)
    if made.returncode != 0:
        raise LabkitError("The bare loop failed.", "run it by hand, as the detail says", made.stderr)
    told = json.loads(made.stdout)
    return {"ios_per_s": told["ios"] / told["elapsed_s"]}


def _loop(progress: Progress) -> list[Figure]:
    """What the lab's loop costs: the same ring, batch and registered things, with and without its measuring."""
    seconds, job = quick(0.5, 0.05), WARM[0].job
    registered = ("--registered-buffers", "--registered-files", "--registered-ring")
    bare = _build_bare()
    with blocks() as file:
        made = rounds(
            "bench: io.loop",
            {
                "timed": lambda: {"ios_per_s": rate(job, file, seconds, *registered)},
                "not timed": lambda: {"ios_per_s": rate(job, file, seconds, *registered, "--no-timing")},
                BARE: lambda: _bare(bare, file, seconds),
            },
            baseline=BARE,
            slices=quick(20, 2),
            progress=progress,
        )
    return [ratio("io.loop", made, "ios_per_s", "timed"), ratio("io.loop.untimed", made, "ios_per_s", "not timed")]


STEPS = (
    Step(
        (DIRECT[0].name, "io.cpu_per_io", "io.p50_vs_fio", "io.p99_vs_fio"),
        _several,
        SECONDS_PER_SLICE * DIRECT[0].slices,
        (fio.PEER,),
    ),
    *(
        Step((setting.name,), partial(_one, setting), SECONDS_PER_SLICE * setting.slices, (fio.PEER,))
        for setting in (*DIRECT[1:], *WARM)
    ),
    Step(("io.loop", "io.loop.untimed"), _loop, 48),
    Step(("io.timing_cost",), _timing, 30),
)
