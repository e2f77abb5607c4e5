# SPDX-License-Identifier: Apache-2.0
"""Lesson 04: one event seen by every mechanism that this kernel has, and what each of them costs.

Rests on the tracepoints syscalls:sys_{enter,exit}_getppid, the raw tracepoints sys_{enter,exit}, kprobes
(Documentation/trace/kprobes.rst), fentry (BPF trampolines), uprobes and perf events. The event is step() of
c/workloads/probes.c, which makes one system call, getppid(2).
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import LabkitError, Missing, check_choices, check_int, check_seed
from labkit.lessons.probes.functions import kernel_function
from labkit.machine.doctor import events, software
from labkit.machine.doctor.rows import from_error
from labkit.machine.ending import ended
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.running.workload import Workload
from labkit.stats import trial

__all__ = ["ENDS", "MECHANISMS", "added", "cost", "measure"]

# the numbers of c/bpf/probes.c
MECHANISMS = {"tracepoint": 1, "raw tracepoint": 2, "kprobe": 3, "fentry": 4, "uprobe": 5, "timer": 6}
ENDS = {"entry": 1, "return": 2, "both": 3}
PLACES = {"entry": "at entry", "return": "at return", "both": "at both ends"}  # in the name of an arm
NOTHING, STRACE = "nothing", "strace"
# what the doctor tries, to say why a mechanism is missing
_DOCTOR = {
    "tracepoint": events.syscall_tracepoints,
    "raw tracepoint": events.raw_tracepoints,
    "kprobe": events.kprobes,
    "fentry": events.fentry,
    "uprobe": events.uprobes,
    "timer": events.perf_events,
    STRACE: software.strace,
}
_TIMER_HZ = 997
_STRACE_CALLS = 499  # each stops the process twice: fewer calls give the same answer


def measure(
    calls: int = 997, mechanisms: Sequence[str] = tuple(MECHANISMS), *, progress: Progress | None = None
) -> pd.DataFrame:
    """Let the workload call step() a known number of times, and count the calls by each mechanism at both ends.

    Parameters
    ----------
    calls : 1 to 10 million. A prime number shows when something is counted twice or by half.
    mechanisms : names of `MECHANISMS`.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per mechanism: mechanism, calls (as the workload counted them), at_entry, at_return (as the probe did),
    state ("ok", "missing" or "refused"), reason (why it is not ok, or a remark). The timer's at_entry is its ticks.
    """
    calls = check_int("calls", calls, 1, 10_000_000, "calls")
    chosen = check_choices("mechanisms", mechanisms, MECHANISMS)
    arguments = ["--work", "step", "--calls", str(calls)]

    def one(mechanism: str, tick: Tick) -> dict[str, Any]:
        row: dict[str, Any] = {"mechanism": mechanism, "calls": calls, "at_entry": 0, "at_return": 0}
        with Workload("probes", arguments) as run:
            try:
                with _watched(mechanism, "both", run) as program:
                    row["calls"] = run.go(tick=tick)["calls"]
                    row["at_entry"], row["at_return"] = map(int, program.counters("hits"))
            except LabkitError as error:
                state, reason = _why_not(mechanism, error)
            else:
                state, reason = "ok", "it runs at each tick, and does not count calls" if mechanism == "timer" else ""
        return {**row, "state": state, "reason": reason}

    with exclusive("lesson 04: probes", progress) as report:
        rows = trial.once({name: name for name in chosen}, one, progress=report)
        facts = provenance(command=["probes", *arguments])
    return schema.frame(list(rows.values()), **facts)


def cost(
    calls: int | None = None,
    mechanisms: Sequence[str] = tuple(MECHANISMS),
    ends: Sequence[str] = tuple(ENDS),
    *,
    strace: bool = True,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Time step() with each mechanism attached, in short interleaved slices. The program's body is always the same.

    Parameters
    ----------
    calls : per slice, 100 to 10 million; None is 20011 (2003 with LABKIT_QUICK=1). strace gets 499, because it is slow.
    mechanisms : names of `MECHANISMS`; what this kernel lacks is left out, and `attrs["absent"]` says why.
    ends : names of `ENDS`: a probe at the entry, at the return, or one at both.
    strace : compare with strace(1), which stops the process at both ends of the system call; where it is not
        installed, or may not follow a process, it is left out like a mechanism that this kernel lacks.
    slices : slices of each arm, 2 to 1000; None is 12 (3 with LABKIT_QUICK=1).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: arm, slice, calls, ns_per_call. The baseline is "nothing"; "nothing (again)" shows the noise.
    `added` turns it into the table of costs.
    """
    calls = check_int("calls", quick(20_011, 2003) if calls is None else calls, 100, 10_000_000, "calls")
    slices = trial.check_slices(slices, 12, 3)
    chosen = check_choices("mechanisms", mechanisms, MECHANISMS)
    sides = check_choices("ends", ends, ENDS)
    seed = check_seed(seed)
    with exclusive("lesson 04: what probes cost", progress) as report:
        arms, absent = _arms(chosen, sides, strace, report)

        def one(arm: str, tick: Tick) -> dict[str, Any]:
            many = min(calls, _STRACE_CALLS) if arm == STRACE else calls
            with Workload("probes", ["--work", "step", "--calls", str(many)]) as run, _attached(arms.get(arm), run):
                answer = run.go(tick=tick)
            return {"calls": answer["calls"], "ns_per_call": answer["elapsed_s"] * 1e9 / answer["calls"]}

        names = [NOTHING, *arms, NOTHING + trial.AGAIN]
        made = trial.interleaved(names, one, slices=slices, seed=seed, progress=report)
        command = ["probes", "--work", "step", "--calls", str(calls)]
        facts = provenance(command=command, baseline=NOTHING, seed=made.seed, absent=absent)
    return schema.frame(made.frame(), **facts)


def added(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what each arm adds to one call, from a frame of `cost`.

    Returns
    -------
    One row per arm, the cheapest first: arm, added_ns, low_ns, high_ns (the 95 % interval of the median difference from
    "nothing"), times_as_long (the median ratio to "nothing"), slices, reason. What this kernel lacks has a row with its
    reason, and no numbers. `attrs["warnings"]` tells when "nothing (again)" differs from "nothing", or slices are few.
    """
    slices = frame.assign(value=frame["ns_per_call"])[["arm", "slice", "value"]]
    found = trial.differences(slices, NOTHING, unit="ns")
    made = found.rename(columns={"difference": "added_ns", "low": "low_ns", "high": "high_ns"})
    made["times_as_long"] = made["arm"].map(trial.ratios(slices, NOTHING).set_index("arm")["ratio"])
    made["reason"] = ""
    rows: list[dict[Any, Any]] = made.sort_values("added_ns").to_dict("records")
    for arm, reason in frame.attrs.get("absent", {}).items():
        gap = dict.fromkeys(("added_ns", "low_ns", "high_ns", "times_as_long"), np.nan)
        rows.append({"arm": arm, **gap, "slices": 0, "reason": reason})
    columns = ["arm", "added_ns", "low_ns", "high_ns", "times_as_long", "slices", "reason"]
    table = [{name: row[name] for name in columns} for row in rows]
    return schema.derived(table, frame, warnings=found.attrs["warnings"])


def _arms(
    mechanisms: list[str], ends: list[str], strace: bool, report: Progress
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Return the arms that work here, as name -> (mechanism, end), and why the others do not."""
    arms: dict[str, tuple[str, str]] = {}
    absent: dict[str, str] = {}
    for mechanism in mechanisms:
        report(0.0, f"trying {mechanism}")
        try:
            for end in ends if mechanism != "timer" else ["entry"]:
                with Workload("probes", ["--calls", "0"]) as run, _watched(mechanism, end, run):
                    arms[mechanism if mechanism == "timer" else f"{mechanism} {PLACES[end]}"] = (mechanism, end)
        except LabkitError as error:
            absent[mechanism] = ": ".join(_why_not(mechanism, error))
    if strace and shutil.which(STRACE) is None:
        absent[STRACE] = "missing: apt-get install strace"
    elif strace:
        report(0.0, f"trying {STRACE}")
        try:
            with Workload("probes", ["--calls", "0"]) as run, _straced(run.pid):
                arms[STRACE] = (STRACE, "both")
        except LabkitError as error:
            absent[STRACE] = ": ".join(_why_not(STRACE, error))
    return arms, absent


def _attached(arm: tuple[str, str] | None, run: Workload) -> contextlib.AbstractContextManager[object]:
    """Return a block in which what an arm needs is attached to a workload: nothing, strace, or a BPF program."""
    if arm is None:
        return contextlib.nullcontext()
    return _straced(run.pid) if arm[0] == STRACE else _watched(*arm, run)


@contextlib.contextmanager
def _watched(mechanism: str, end: str, run: Workload) -> Iterator[Program]:
    """Attach c/bpf/probes.c to a workload by one mechanism, at one end or at both."""
    flags: dict[str, int | str] = {"MECHANISM": MECHANISMS[mechanism], "ENDS": ENDS[end]}
    if mechanism == "fentry":
        flags["FUNCTION"] = kernel_function("getppid")
    with Program("probes", flags=flags) as program:

        def attach() -> None:
            if mechanism == "uprobe":
                if end != "return":
                    program.attach_uprobe("on_entry", run.command[0], "step")
                if end != "entry":
                    program.attach_uprobe("on_return", run.command[0], "step", at_return=True)
            elif mechanism == "timer":
                # PERF_TYPE_SOFTWARE and PERF_COUNT_SW_CPU_CLOCK of linux/perf_event.h
                program.attach_perf_event("on_timer", ev_type=1, ev_config=0, sample_freq=_TIMER_HZ, pid=run.pid)
            else:
                program.attach()

        with program.watching(run.pid, attach=attach):
            yield program


@contextlib.contextmanager
def _straced(pid: int) -> Iterator[None]:
    """Let strace(1) follow the getppid calls of a process."""
    command = [STRACE, "-p", str(pid), "-e", "trace=getppid", "-o", "/dev/null"]
    with ended(subprocess.Popen(command, stderr=subprocess.PIPE, text=True)) as process:
        assert process.stderr is not None
        said = process.stderr.readline()  # "strace: Process 123 attached", or what is in the way
        if "attached" not in said:
            raise Missing(f"strace cannot follow a process here: {said.strip()}", "see `labkit doctor`: strace")
        yield


def _why_not(mechanism: str, error: LabkitError) -> tuple[str, str]:
    """Return the state of a mechanism that failed, and the reason, in the doctor's words if it fails there too."""
    try:
        found = _DOCTOR[mechanism]()
    except OSError as also:
        found = from_error(also)
    except LabkitError as also:
        return "refused", also.what
    if found.state != "ok":
        return found.state, found.reason
    return "refused", " ".join([error.what, *error.detail.splitlines()[:1]])
