# SPDX-License-Identifier: Apache-2.0
"""python -m bench [NAME]: measure the figures, print the table, write build/bench.json and build/bench.html.

A step whose peer is missing, or that fails, is named and left out; the rest continues. Exit status: 0, or 1 if a step
failed although nothing was missing. A goal that is missed is a result, not a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import cells, coverage, events, frames, io, report, serve, sockmap, trace, ui
from bench.figure import Figure, Step
from bench.goals import GOALS
from labkit.bpf.shelf import forget_loaded
from labkit.errors import LabkitError, Missing, unknown_name
from labkit.machine import ending
from labkit.machine.folders import build_folder
from labkit.machine.provenance import provenance

STEPS: tuple[Step, ...] = (
    *io.STEPS,
    *trace.STEPS,
    *events.STEPS,
    *sockmap.STEPS,
    *serve.STEPS,
    *ui.STEPS,
    *cells.STEPS,
    *frames.STEPS,
    *coverage.STEPS,
)
NICENESS = -15
AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")  # sched(7)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench and return its exit status."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the lab against its peers.")
    parser.add_argument("name", nargs="?", default="", help="one figure, or how its name begins, such as io.direct")
    parser.add_argument("--to", type=Path, default=build_folder(), metavar="FOLDER", help="default: build/")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds as Ctrl-C does: nothing is left behind
    try:
        with _ahead_of_others():
            return _bench(choose(arguments.name), arguments.name, arguments.to)
    except LabkitError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbench: stopped; nothing was written.", file=sys.stderr)
        return 130
    finally:
        forget_loaded()


@contextlib.contextmanager
def _ahead_of_others() -> Iterator[None]:
    """Leave less of the machine to what else runs; both sides of each comparison have the same priority.

    Autogroups would make it void: there, niceness counts only among the processes of one session.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # not root, or a container that may not
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
            before = AUTOGROUP.read_text()
            AUTOGROUP.write_text("0")
            stack.callback(AUTOGROUP.write_text, before)
        yield


def choose(name: str) -> list[Step]:
    """Return the steps that make the figures whose names begin so; all of them for an empty name."""
    chosen = [step for step in STEPS if any(each.startswith(name) for each in step.names)]
    if not chosen:
        raise unknown_name("ONLY", name, GOALS)
    return chosen


def missing_peers(step: Step) -> list[str]:
    """Return the programs that a step compares with and that are not installed."""
    return [peer for peer in step.peers if shutil.which(peer) is None]


def _bench(steps: list[Step], name: str, to: Path) -> int:
    screen, began = report.Screen(sum(step.seconds for step in steps)), time.monotonic()
    figures: list[Figure] = []
    absent: dict[str, str] = {}
    failed = False
    for step in steps:
        missing = missing_peers(step)
        why = f"not installed: {', '.join(missing)}. Fix: run `make setup`" if missing else ""
        if not missing:
            try:
                figures += step.measure(screen.step(step.names[0], step.seconds))
            except Missing as error:
                why = f"{error.what} Fix: {error.fix}"
            except (LabkitError, AssertionError, subprocess.SubprocessError) as error:
                failed, why = True, f"failed: {error}"
        screen.done(step.seconds)
        if why:
            absent |= dict.fromkeys(step.names, why)
            screen.say(f"{', '.join(step.names)}: {why}")
    figures = [figure for figure in figures if figure.name.startswith(name)]
    figures.sort(key=lambda figure: list(GOALS).index(figure.name))
    absent = {each: why for each, why in absent.items() if each.startswith(name)}
    screen.end()
    facts = _facts(figures, absent, time.monotonic() - began)
    print(report.as_text(figures, absent))
    report.write(to, figures, facts)
    print(f"\n{to / 'bench.json'}, bench-provenance.json and bench.html are written. Explained in docs/performance.md.")
    return int(failed)


def _facts(figures: list[Figure], absent: dict[str, str], took_s: float) -> dict[str, Any]:
    """Return what goes with the figures: the machine, the peers' versions, what each figure had to say."""
    told = {figure.name: {"warnings": figure.warnings, "near_goal": figure.near, **figure.facts} for figure in figures}
    load: dict[str, Any] = {"load_average": os.getloadavg()[0], "niceness": os.getpriority(os.PRIO_PROCESS, 0)}
    versions = {peer: _version(peer) for peer in ("fio", "bpftrace", "strace", "redis-server", "wrk")}
    return provenance(
        command="make bench", took_s=round(took_s, 1), peers=versions, figures=told, missing=absent, **load
    )


def _version(program: str) -> str:
    if shutil.which(program) is None:
        return "not installed"
    said = ending.run([program, "--version"], 10)
    return (said.stdout.splitlines() or ["unknown"])[0]


if __name__ == "__main__":
    sys.exit(main())
