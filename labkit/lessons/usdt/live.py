# SPDX-License-Identifier: Apache-2.0
"""Lesson 05: what tracing changes in a running process: its instructions and semaphores, and in no other process.

Rests on /proc/PID/maps and /proc/PID/mem, and on the kernel raising and lowering semaphores (the ref_ctr_offset of
uprobes, Documentation/trace/uprobetracer.rst).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.bpf.usdt import livecode
from labkit.bpf.usdt.tracer import Probe, Usdt, find, probes_of
from labkit.errors import BadArgument, LabkitError, Missing, bad_argument, check_choice, check_int, one_or_more
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.running.workload import Workload, build
from labkit.stats import histogram, trial

__all__ = ["MOST_REQUESTS", "live_code", "semaphore", "server", "tell_apart"]

MOST_REQUESTS = 100_000
NOBODY, SOMEBODY = "nobody listens", "somebody listens"
_ENOUGH = 23  # how often the probe fires before the live code is looked at: the first may change it
_PATIENCE_S = 10.0


def server() -> Path:
    """Build this lesson's program and return its path.

    Raises
    ------
    Missing : it was compiled on a machine without sys/sdt.h, and so has no probes.
    """
    binary = build("usdt_app")
    try:
        probes_of(binary)
    except BadArgument:
        raise Missing(
            "usdt_app has no probes: it was compiled without sys/sdt.h.",
            "sudo apt-get install systemtap-sdt-dev, then: make setup",
        ) from None
    return binary


def live_code(probe: str = "request_start", *, progress: Progress | None = None) -> pd.DataFrame:
    """Look at the instruction of a probe in the running program before, during and after it is traced.

    Parameters
    ----------
    probe : "request_start", "request_detail" (it has a semaphore), "loop_plain", "loop_guarded" (has one too), or on
        x86-64 "loop_long" (a nop of five bytes).

    Returns
    -------
    One row per phase: phase, code (the bytes in the process's memory), instruction (what they mean), listeners (the
    value of the semaphore in the process), count (how often eBPF saw the probe fire until then).
    """
    binary = server()
    name = _check_probe(binary, probe)
    arguments = ["--requests", "10000000", "--work-ns", "0", "--interval-us", "50"]
    if probe.startswith("loop_"):
        arguments = ["--loop", probe.removeprefix("loop_"), "--iterations", "10000000000"]
    with ExitStack() as stack:
        report = stack.enter_context(exclusive("lesson 05: live code", progress))
        program = stack.enter_context(Program("usdt_count"))
        tracer = stack.enter_context(Usdt(program))
        run = stack.enter_context(Workload(binary, arguments))
        place = find(binary, name)[0]
        width = len(place.code_of(run.pid)[0])
        program.aim(pid=run.pid)

        def count() -> int:
            return int(program.counters("fired")[0])

        rows = [_look("before", place, run.pid, width, count())]
        tracer.attach("on_probe", binary, name, pid=run.pid)
        rows.append(_look("attached", place, run.pid, width, count()))
        run.start()
        _wait(lambda: count() >= _ENOUGH, report)
        rows.append(_look("fired", place, run.pid, width, count()))
        tracer.detach()
        rows.append(_look("detached", place, run.pid, width, count()))
        run.stop()
        run.result()
        facts = provenance(command=run.command, probe=name)
    return schema.frame(rows, **facts)


def semaphore(requests: int = 503, slices: int | None = None, *, progress: Progress | None = None) -> pd.DataFrame:
    """Serve requests while nobody or somebody listens to request_detail, which is expensive to prepare.

    Parameters
    ----------
    requests : how many each slice serves.
    slices : slices per arm, interleaved, at least 2. None: 6, or 2 with LABKIT_QUICK=1.

    Returns
    -------
    One row per arm: arm, slices, requests (served in all slices), fired (how often the detail was prepared), count
    (seen by eBPF); p50_ns, low_p50_ns, high_p50_ns (the median of a request by the program's own clock: the median of
    the slices and its 95 % interval); ratio, low, high (to "nobody listens", slice by slice). In the arm "nobody
    listens (again)" somebody has listened to the same process, and has left before its first request.
    """
    requests = check_int("requests", requests, 1, MOST_REQUESTS, "requests")
    slices = trial.check_slices(slices, 6, 2)
    binary = server()
    with (
        exclusive("lesson 05: semaphore", progress) as report,
        Program("usdt_count") as program,
        Usdt(program) as tracer,
    ):

        def run_slice(arm: str, tick: Tick) -> dict[str, Any]:
            program.clear("fired")
            with Workload(binary, ["--requests", str(requests), "--work-ns", "0"]) as run:
                program.aim(pid=run.pid)
                if arm != NOBODY:
                    tracer.attach("on_probe", binary, "labkit:request_detail", pid=run.pid)
                if arm != SOMEBODY:
                    tracer.detach()
                told = run.go(tick=tick)
                tracer.detach()
            middle = histogram.quantile(histogram.from_buckets(told["latency_ns"]["buckets"]), 0.5)
            counted = int(program.counters("fired")[0])
            return {
                "requests": told["request_done"],
                "fired": told["request_detail"],
                "count": counted,
                "value": float(middle),
            }

        made = trial.interleaved([NOBODY, SOMEBODY, NOBODY + trial.AGAIN], run_slice, slices=slices, progress=report)
        found = made.frame()
        ratios = trial.ratios(found, NOBODY)
        command = ["usdt_app", "--requests", str(requests), "--work-ns", "0"]
        facts = provenance(command=command, seed=made.seed, warnings=ratios.attrs["warnings"])
    rows = [_phase(arm, found[found["arm"] == arm], ratios) for arm in (NOBODY, SOMEBODY, NOBODY + trial.AGAIN)]
    return schema.frame(rows, **facts)


def _phase(arm: str, slices: pd.DataFrame, ratios: pd.DataFrame) -> dict[str, Any]:
    own = ratios[ratios["arm"] == arm]
    return {
        "arm": arm,
        "slices": len(slices),
        **{name: int(slices[name].sum()) for name in ("requests", "fired", "count")},
        **trial.interval("p50_ns", slices["value"].tolist()),
        **{name: float(own[name].iloc[0]) if len(own) else 1.0 for name in ("ratio", "low", "high")},
    }


def tell_apart(requests: Sequence[int] = (101, 103, 107), *, progress: Progress | None = None) -> pd.DataFrame:
    """Run several processes of the same program at once, and trace all but the last.

    Parameters
    ----------
    requests : how many each of them serves; at least two numbers.

    Returns one row per process: pid, phase ("traced" or "not traced"), instruction (of request_start in its memory,
    while the others are traced), fired (its own count), count (by eBPF).
    """
    served = one_or_more(requests)
    if not 2 <= len(served) <= 16:
        raise bad_argument("requests", requests, "2 to 16 numbers, one per process")
    served = [check_int("requests", number, 1, MOST_REQUESTS, "requests") for number in served]
    binary = server()
    [place] = find(binary, "labkit:request_start")
    with ExitStack() as stack:
        report = stack.enter_context(exclusive("lesson 05: several processes", progress))
        program = stack.enter_context(Program("usdt"))
        tracer = stack.enter_context(Usdt(program))
        ring = stack.enter_context(RingReader(program, "events", max_events=sum(served) + 1))
        runs = [stack.enter_context(Workload(binary, ["--requests", str(number)])) for number in served]
        program.aim(pid=[run.pid for run in runs[:-1]])
        for run in runs[:-1]:
            tracer.attach("on_request_start", binary, place.name, pid=run.pid, reads=3)
        seen = [place.code_of(run.pid)[1] for run in runs]
        for run in runs:
            run.start()
        fired = [run.result(tick=lambda _: report(0.5, "running"))["request_start"] for run in runs]
        tracer.detach()
        ring.stop()
        heard = pd.Series(ring.records()["pid"]).value_counts()
        rows = {
            "pid": [run.pid for run in runs],
            "phase": ["traced"] * (len(runs) - 1) + ["not traced"],
            "instruction": seen,
            "fired": fired,
            "count": [int(heard.get(run.pid, 0)) for run in runs],
        }
        facts = provenance(command=runs[0].command, lost_events=ring.lost)
    return schema.frame(rows, **facts)


def _look(phase: str, place: Probe, pid: int, width: int, count: int) -> dict[str, Any]:
    address = livecode.address_of(pid, place.binary, place.file_offset)
    return {
        "phase": phase,
        "code": livecode.read_memory(pid, address, width).hex(" "),
        "instruction": place.code_of(pid)[1],
        "listeners": place.semaphore_of(pid),
        "count": count,
    }


def _wait(until: Callable[[], bool], report: Progress) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not until():
        report(0.5, "waiting until the probe has fired")
        if time.monotonic() > deadline:
            raise LabkitError(f"The probe did not fire within {_PATIENCE_S:g} s.", "run the cell again")
        time.sleep(0.005)


def _check_probe(binary: Path, probe: str) -> str:
    """Return the full name of a probe of usdt_app, or raise BadArgument with the nearest."""
    known = [each.name.partition(":")[2] for each in probes_of(binary)]
    return f"labkit:{check_choice('probe', probe, known)}"
