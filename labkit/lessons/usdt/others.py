# SPDX-License-Identifier: Apache-2.0
"""Lesson 05: other people's probes: CPython's (functions, imports, the garbage collector) and libstdc++'s.

CPython's are described in its documentation, "Instrumenting CPython with DTrace and SystemTap"; not every build has
them, and 3.12 lost those of functions. libstdc++'s are in its manual, "Debugging Support".
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.bpf.usdt.tracer import Probe, Usdt, probes_of_process
from labkit.errors import Missing, check_bool, check_file, check_int, check_words
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.running.workload import Workload

__all__ = ["EXAMPLE", "gc_pauses", "listed", "python_calls", "python_probes", "throw_mystery", "throws"]

HERE = Path(__file__).parent
CHILD, EXAMPLE, RUBBISH = (HERE / f"{name}.py" for name in ("child", "example", "rubbish"))
DISTRIBUTION = "/usr/bin/python3"
MOST_EVENTS = 2_000_000

# what begins and what ends -> (probe, function in c/bpf/usdt_python.c, arguments read)
FUNCTIONS = (("python:function__entry", "on_entry", 3), ("python:function__return", "on_return", 3))
# 3.11 passes function__entry only while somebody listens to `line` too (python/cpython issue 98894)
LINE = "python:line"
IMPORTS = (("python:import__find__load__start", "on_import", 1), ("python:import__find__load__done", "on_imported", 1))
COLLECTOR = (("python:gc__start", "on_gc", 1), ("python:gc__done", "on_gc_done", 1))
CXX = (("libstdcxx:throw", "on_throw", 2), ("libstdcxx:catch", "on_catch", 2), ("libstdcxx:rethrow", "on_rethrow", 2))

Listen = Sequence[tuple[str, str, int]]
_BEGIN = 1  # enum python_kind


def python_probes(python: str | Path | None = None) -> pd.DataFrame:
    """List the probes of a Python, in its program or in its library.

    Parameters
    ----------
    python : the interpreter; None takes the first that has some, of the distribution's and this notebook's own.

    Returns a frame as `labkit.lessons.usdt.requests.probes` does.

    Raises
    ------
    Missing : no Python here has probes.
    """
    for candidate in _pythons(python):
        with Workload(candidate, ["-I", str(CHILD), str(EXAMPLE)]) as run:
            found = [probe for probe in probes_of_process(run.pid) if probe.name.startswith("python:")]
        if found:
            return listed(found)
    raise Missing("No Python here has probes.", "use one that was built with --with-dtrace, such as the distribution's")


def listed(found: Sequence[Probe]) -> pd.DataFrame:
    """Return the notes of probes as a frame."""
    rows = {
        "probe": [probe.name for probe in found],
        "address": [probe.address for probe in found],
        "arguments": ["; ".join(operand.text for operand in probe.operands) for probe in found],
        "semaphore": [probe.semaphore for probe in found],
    }
    return schema.frame(rows, binary=str(found[0].binary))


def python_calls(
    script: str | Path | None = None,
    arguments: Sequence[str] = (),
    *,
    python: str | Path | None = None,
    everything: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Run a Python script in another interpreter and record each call of a Python function in it.

    Parameters
    ----------
    script : its path; None takes `example.py`.
    arguments : given to it.
    python : the interpreter; None takes the first with probes, of the distribution's and this notebook's own.
    everything : also calls of functions outside the script, such as the standard library's.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per call, in the order in which they began: time_ns, latency_ns (until it returned), depth (1 for the
    outermost), function, path, line, tid, fired (how often the script itself counted that function; 0: it did not).
    Where Python has no probes of functions, one row per import: `function` is the module then, `path` is empty, and
    `attrs["warnings"]` says so.

    Raises
    ------
    Missing : no Python here has probes.
    """
    everything = check_bool("everything", everything)
    file = check_file("script", EXAMPLE if script is None else script, "the path of a Python script")
    command = [str(file.resolve()), *check_words("arguments", arguments)]
    with exclusive("lesson 05: calls of Python functions", progress) as report:
        try:
            made, told, facts = _python(python, command, FUNCTIONS, report)
        except Missing:
            made, told, facts = _python(python, command, IMPORTS, report)
            warning = "This Python has no function probes (Python 3.12 removed them). These are its imports."
            facts["warnings"] = [*facts["warnings"], warning]
            everything = True
    calls = _nested(made)
    if not everything:
        calls = calls[calls["path"] == command[0][:95]]  # as long as the record in usdt_python.c takes
        calls = calls.assign(depth=calls["depth"] - calls["depth"].min() + 1)
    calls = calls.rename(columns={"number": "line"}).drop(columns=["freed"]).reset_index(drop=True)
    counted = told.get("calls", {}) if isinstance(told, dict) else {}
    return schema.frame(calls.assign(fired=[counted.get(name, 0) for name in calls["function"]]), **facts)


def gc_pauses(*, python: str | Path | None = None, progress: Progress | None = None) -> pd.DataFrame:
    """Run a script that creates garbage, and record each pass of Python's garbage collector.

    Returns one row per collection: time_ns, latency_ns (the pause of the program), generation, count (objects freed).
    """
    with exclusive("lesson 05: Python's garbage collector", progress) as report:
        made, _, facts = _python(python, [str(RUBBISH)], COLLECTOR, report)
    passes = _nested(made).rename(columns={"number": "generation", "freed": "count"})
    return schema.frame(passes[["time_ns", "latency_ns", "generation", "count"]], **facts)


def throws(
    range_errors: int = 11, runtime_errors: int = 7, own_errors: int = 5, *, progress: Progress | None = None
) -> pd.DataFrame:
    """Run a C++ program that throws, and record each throw, catch and rethrow in the C++ library.

    Parameters
    ----------
    range_errors, runtime_errors, own_errors : how many of each type to throw, 0 to 100000; runtime errors are caught,
        rethrown once and caught again.

    Returns one row per event: time_ns, tid, probe, exception (its type). And fired: how often
    the program itself counted that probe, the same in each of its rows.
    """
    counts = {"range": range_errors, "runtime": runtime_errors, "own": own_errors}
    counts = {name: check_int(f"{name}_errors", number, 0, 100_000, "throws") for name, number in counts.items()}
    options = [word for name, number in counts.items() for word in (f"--{name}", str(number))]
    with exclusive("lesson 05: C++ exceptions", progress) as report:
        made, told, facts = _listen("usdt_throw", options, "usdt_throw", CXX, lambda _: report(0.5, "throwing"))
    made["probe"] = made["kind"].map({1: "throw", 2: "catch", 3: "rethrow"})  # enum throw_kind
    made["fired"] = made["probe"].map(told)
    made["exception"] = made["type"].map(_demangled(list(made["type"].unique())))
    return schema.frame(made[["time_ns", "tid", "probe", "exception", "fired"]], **facts)


def throw_mystery() -> pd.DataFrame:
    """Throw each type a secret number of times; exercise 05-q4 asks which is thrown most often."""
    made = throws(*random.SystemRandom().sample(range(11, 97), 3))
    thrown = made[made["probe"] == "throw"]["exception"].value_counts()
    truths.expect("05-q4", str(thrown.index[0]))
    return made


# -- inside --------------------------------------------------------------------------------------


def _python(
    python: str | Path | None, command: Sequence[str], listen: Listen, report: Progress
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Run a script under the first Python that has the probes; return the events, its own counts, and provenance."""
    for candidate in _pythons(python):
        try:
            arguments = ["-I", str(CHILD), *command]
            return _listen(candidate, arguments, "usdt_python", listen, lambda _: report(0.5, "Python runs"))
        except Missing as error:
            missing = error
    raise missing


def _pythons(python: str | Path | None) -> list[Path]:
    if python is not None:
        return [check_file("python", python, f"the path of one, such as {DISTRIBUTION}")]
    found = {path.resolve(): path for path in map(Path, (sys.executable, DISTRIBUTION)) if path.is_file()}
    return list(reversed(found.values()))  # the distribution's first


def _listen(
    program: str | Path, arguments: Sequence[str], name: str, listen: Listen, tick: Callable[[float], None]
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Run a program with probes of it or of a library in it attached, recorded by c/bpf/NAME.c.

    Returns the events, the program's own counts, and provenance.
    """
    with (
        Program(name) as bpf,
        RingReader(bpf, "events", max_events=MOST_EVENTS) as ring,
        Workload(program, arguments) as run,
        Usdt(bpf) as tracer,
    ):
        places = {probe.name: probe for probe in probes_of_process(run.pid)}
        bpf.aim(pid=run.pid)
        for wanted, function, reads in listen:
            tracer.attach(function, _place(places, wanted, run).binary, wanted, pid=run.pid, reads=reads)
        if listen is FUNCTIONS and LINE in places:
            tracer.attach("on_line", places[LINE].binary, LINE, pid=run.pid)
        told = run.go(timeout_s=300, tick=tick)
        tracer.detach()
        ring.stop()
        return ring.frame(), told, provenance(command=run.command, lost_events=ring.lost)


def _place(places: dict[str, Probe], wanted: str, run: Workload) -> Probe:
    if wanted in places:
        return places[wanted]
    if wanted.startswith("python:"):
        raise Missing(f"{run.command[0]} has no probe {wanted}.", "use a Python that was built with --with-dtrace")
    raise Missing(f"The C++ library here has no probe {wanted}.", "sudo apt-get install --reinstall libstdc++6")


def _nested(events: pd.DataFrame) -> pd.DataFrame:
    """Pair each beginning with its end: of the same thread, and at the same depth."""
    ordered = events.sort_values("time_ns", kind="stable")
    begins = ordered["kind"] == _BEGIN
    level = (2 * begins.astype(int) - 1).groupby(ordered["tid"]).cumsum()
    # an end is counted when it has gone up again; ends of what began before we listened have depth 0 or less
    ordered = ordered.assign(depth=level.where(begins, level + 1), begins=begins)
    paired = ordered.sort_values(["tid", "depth", "time_ns"], kind="stable")
    after = paired.groupby(["tid", "depth"])[["time_ns", "number", "begins"]].shift(-1)
    closed = paired["begins"] & (after["begins"] == False)  # noqa: E712  (NaN where nothing follows)
    calls = paired[closed].assign(
        latency_ns=(after["time_ns"] - paired["time_ns"])[closed], freed=after["number"][closed]
    )
    columns = ["time_ns", "latency_ns", "depth", "function", "path", "number", "freed", "tid"]
    return calls.sort_values("time_ns")[columns].reset_index(drop=True)


def _demangled(types: Sequence[str]) -> dict[str, str]:
    """Return the C++ names of types that the ABI's names stand for (binutils' c++filt)."""
    spelled = [name.removeprefix("*") for name in types]  # a star: a type that only its own file knows
    try:
        said = subprocess.run(["c++filt", "-t", *spelled], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        said = ""
    names = said.splitlines()
    return dict(zip(types, names if len(names) == len(types) else spelled, strict=True))
