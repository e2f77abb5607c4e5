# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: `labkit.watch`: look at any program while it does its own work.

The programs in the kernel are the lab's own (c/bpf/your_program_*.c). They are aimed: at a process and its children, a
command that is started for it, or a cgroup. The target is never stopped or traced with ptrace(2).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choices, check_float
from labkit.lessons.your_program.calls import Calls
from labkit.lessons.your_program.look import Look
from labkit.lessons.your_program.stacks import Stacks
from labkit.lessons.your_program.target import Running, Target, check_target
from labkit.lessons.your_program.tcp import Tcp
from labkit.lessons.your_program.waits import Waits
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress

__all__ = ["PRICE", "VIEWS", "cost", "look_at", "watch", "watch_all"]

VIEWS = ("calls", "files", "waits", "locks", "on_cpu", "off_cpu", "faults", "tcp")
USUAL_S = {"command": 60.0, "pid": 1.0}
PRICE = ("probe_runs", "probe_ns", "elapsed_s")  # columns that are the same in each row
_STACKS = {"on_cpu", "off_cpu", "faults"}
_TICK_S = 0.05


def watch(
    what: str = "calls",
    *,
    pid: int | None = None,
    command: Sequence[str] | None = None,
    cgroup: str | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Look at a program from inside the kernel, and return what it did.

    Parameters
    ----------
    what : one of
        "calls": system calls that began and returned meanwhile, with errors, time and bytes;
        "files": bytes and time by file, as the program named it, and by socket (accepted connections by client);
        "waits": time off the CPU, by what it waited for;
        "locks": calls of futex(2) that waited, by the address of the lock;
        "on_cpu": stacks at each tick of a timer, 499 per second; functions of CPython 3.11 to 3.13 begin with "py::";
        "off_cpu": stacks where it left the CPU, and for how long;
        "faults": page faults, by stack;
        "tcp": round trips of the TCP connections from which it received.
    pid : a process that runs, with its threads and children. It is not stopped, slowed down on purpose, or changed.
    command : a program to start, as a list of words; it is watched from its first instruction on until it ends, or is
        ended after `seconds`. So is then what it has started, unless it has a session of its own (a daemon). What it
        prints is thrown away.
    cgroup : the folder of a cgroup v2; the processes directly in it are watched.
    seconds : how long, 0.05 to 600; None is 1 for a process or a cgroup, and at most 60 for a command.

    Returns
    -------
    A frame, with probe_ns (what the programs needed, by the kernel's statistics), probe_runs (both with the runs for
    bystanders) and elapsed_s in each row. `attrs` has lost_events and warnings.

    Raises
    ------
    BadArgument : there is no such process, command or cgroup, or it cannot be watched. Nothing has been started.
    Missing : BPF cannot be loaded here.
    """
    return watch_all(what, pid=pid, command=command, cgroup=cgroup, seconds=seconds, progress=progress)[
        check_choices("what", what, VIEWS)[0]
    ]


def watch_all(
    what: str | Sequence[str] = ("calls", "files", "waits"),
    *,
    pid: int | None = None,
    command: Sequence[str] | None = None,
    cgroup: str | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> dict[str, pd.DataFrame]:
    """Look in several ways during the same run; return one frame for each, by name. Parameters as of `watch`."""
    wanted = check_choices("what", what, VIEWS)
    target = check_target(pid, command, cgroup)
    usual = USUAL_S["command" if target.command else "pid"]
    limit_s = usual if seconds is None else check_float("seconds", seconds, 0.05, 600, "seconds")
    with exclusive(f"lesson 12: {target.name}", progress) as report:
        return look_at(target, wanted, limit_s, report)


def look_at(
    target: Target,
    wanted: Sequence[str],
    limit_s: float,
    report: Progress,
    meanwhile: Callable[[], object] | None = None,
) -> dict[str, pd.DataFrame]:
    """Look at a target while this process holds the measurement lock; parameters as of `watch_all`.

    `meanwhile` is called in a thread as soon as everything is attached; when it returns, the looking ends.
    """
    with contextlib.ExitStack() as held:
        looks = [held.enter_context(look) for look in _looks(set(wanted))]
        with Running(target) as running:
            for look in looks:
                look.aim(running)
            more = running.look_again()  # of what begins from now on, the kernel's side takes note
            for look in looks:
                look.begin(running, more)
            running.go()
            ended = _wait(running, looks, limit_s, report, meanwhile)
            running.note_time()
            for look in looks:
                look.stop()
            running.finish(ended)
        found: dict[str, pd.DataFrame] = {}
        for look in looks:
            price = _price(running, look)
            for name, frame in look.frames().items():
                found[name] = schema.frame(frame.assign(**price), **_facts(target, running, look))
    return {name: found[name] for name in wanted}


def _looks(wanted: set[str]) -> list[Look]:
    """Return the ways to look that give what is wanted."""
    looks: list[Look] = []
    if wanted & set(Calls.views):
        looks.append(Calls())
    if wanted & set(Waits.views):
        looks.append(Waits())
    if wanted & _STACKS:
        looks.append(Stacks(wanted & _STACKS))
    if wanted & set(Tcp.views):
        looks.append(Tcp())
    return looks


def _wait(
    running: Running, looks: list[Look], limit_s: float, report: Progress, meanwhile: Callable[[], object] | None
) -> bool:
    """Wait until the process has ended, the time is up, or `meanwhile` has returned; return whether it has ended."""
    began = time.monotonic()
    worker = threading.Thread(target=meanwhile, daemon=True) if meanwhile else None
    if worker:
        worker.start()
    while (gone := time.monotonic() - began) < limit_s and (worker is None or worker.is_alive()):
        report(min(gone / limit_s, 1.0), running.target.name)
        # short at first: a short program must be asked for its names before it ends
        if running.wait(min(_TICK_S if gone > _TICK_S else _TICK_S / 10, limit_s - gone)):
            return True
        for look in looks:
            look.before_the_end()
    return False


def _price(running: Running, look: Look) -> dict[str, Any]:
    spent_ns = (look.cost["runs"] * look.cost["ns_per_run"].fillna(0)).sum()
    values = (int(look.cost["runs"].sum()), int(spent_ns), running.elapsed_s)
    return dict(zip(PRICE, values, strict=True))


def _facts(target: Target, running: Running, look: Look) -> dict[str, Any]:
    warnings = [*running.warnings, *look.warnings]
    if look.lost:
        events = "1 event was" if look.lost == 1 else f"Up to {look.lost:,} events were"
        warnings.append(f"{events} lost: the counts may be too small by that.")
    command = list(target.command) or target.name
    return provenance(command=command, lost_events=look.lost, warnings=warnings)


def cost(frame: pd.DataFrame) -> str:
    """Return in a sentence what it cost to look, and what was lost; of several phases, in the first."""
    lost = frame.attrs["lost_events"]
    end = "No event was lost." if lost == 0 else f"Up to {lost:,} event{'s were' if lost > 1 else ' was'} lost."
    if frame.empty:
        return end
    one = frame.head(1).to_dict("records")[0]  # not iloc[0], which makes floats of a row that is all numbers
    share = one["probe_ns"] / max(one["elapsed_s"], 1e-9) / 1e9
    each = ""
    if "call" in frame:
        calls = frame[frame["phase"] == one["phase"]] if "phase" in frame else frame
        each = f", {schema.si_ns(one['probe_ns'] / calls['count'].sum())} per call of the program"
    return (
        f"The probes ran {one['probe_runs']:,} times, for this program and for others, and needed "
        f"{schema.si_ns(one['probe_ns'])}: {share:.1%} of one CPU during {one['elapsed_s']:.2f} s{each}. {end}"
    )
