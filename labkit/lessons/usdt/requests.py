# SPDX-License-Identifier: Apache-2.0
"""Lesson 05: probes that a program's author placed, in a small server of ours.

Rests on uprobes at the addresses in the section .note.stapsdt, which sys/sdt.h writes.
The rest of the lesson: `live` looks at the traced process, `overhead` measures what probes cost, `others` listens to
Python's and C++'s probes.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.bpf.usdt.tracer import Probe, Usdt, probes_of
from labkit.errors import Missing, bad_argument, check_choices, check_int, check_words
from labkit.lessons.usdt.live import MOST_REQUESTS, server
from labkit.lessons.usdt.others import listed
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.running.workload import Workload
from labkit.stats import histogram

__all__ = ["PROBES", "find_slow", "latency", "measure", "mystery", "probes", "read_a_note", "readelf"]

# probe -> (function in c/bpf/usdt.c, how many arguments it reads)
PROBES = {
    "request_start": ("on_request_start", 3),
    "request_detail": ("on_request_detail", 2),
    "request_done": ("on_request_done", 3),
}
DEFAULT = ("request_start", "request_done")
# column -> the one probe that has an argument for it
_ONLY = {"body_bytes": "request_start", "status": "request_done", "latency_ns": "request_done"}
_NAMES = ("", "request_start", "request_detail", "request_done")  # enum usdt_probe in c/bpf/usdt.c


def probes(binary: str | Path | None = None) -> pd.DataFrame:
    """List the places of the USDT probes of a program or library.

    Parameters
    ----------
    binary : its path; None takes this lesson's own program.

    Returns
    -------
    One row per place: probe ("provider:probe"), address (as linked), arguments (size and place of each in the words of
    the note, with "; " between them), semaphore (its address; 0 if it has none). `attrs["binary"]` is the file.

    Raises
    ------
    BadArgument : no such file, or one without probes.
    """
    return listed(probes_of(server() if binary is None else binary))


def readelf(binary: str | Path | None = None) -> str:
    """Return what readelf of the binutils says of the probes of a program (`readelf -n`): the same, by another program.

    Parameters
    ----------
    binary : its path; None takes this lesson's own program.

    Raises
    ------
    Missing : readelf is not installed.
    """
    command = ["readelf", "-n", str(server() if binary is None else binary)]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        raise Missing("readelf is not installed.", "sudo apt-get install binutils") from None
    return "\n".join(re.findall(r"^ +(?:Provider|Name|Location|Arguments): .*", text, re.MULTILINE))


def measure(
    requests: int = 101,
    work_ns: int = 20_000,
    probes: Sequence[str] = DEFAULT,
    *,
    path: str | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let the program serve requests and record each time that one of the chosen probes fires, with eBPF.

    Parameters
    ----------
    requests : how many, 1 to 100000.
    work_ns : how long the work of one takes, in nanoseconds, 0 to 100 ms.
    probes : which to listen to: "request_start", "request_detail", "request_done".
    path : what each request asks for, up to 115 bytes; None lets them differ.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row each time a probe fires: time_ns (since boot), pid, probe, request, and what the probe's arguments are:
    text and body_bytes (request_start), text (request_detail), status and latency_ns (request_done). What a probe has
    no argument for is missing in its rows, an empty text or NaN. And fired: how often the program itself counted that
    probe, the same in each of its rows.
    """
    requests = check_int("requests", requests, 1, MOST_REQUESTS, "requests")
    work_ns = check_int("work_ns", work_ns, 0, 100_000_000, "ns")
    chosen = check_choices("probes", probes, PROBES)
    return _measured(requests, work_ns, chosen, _path_option(path), progress)[0]


def latency(requests: int = 1009, work_ns: int = 20_000, *, progress: Progress | None = None) -> pd.DataFrame:
    """Count the latencies that request_done tells in a histogram inside the kernel.

    Parameters as of `measure`.

    Returns one row per bucket that is not empty: latency_ns (its lower edge), count (by eBPF), fired (the program's own
    count); the two are the same.
    """
    requests = check_int("requests", requests, 1, MOST_REQUESTS, "requests")
    work_ns = check_int("work_ns", work_ns, 0, 100_000_000, "ns")
    arguments = ["--requests", str(requests), "--work-ns", str(work_ns)]
    with exclusive("lesson 05: latencies", progress) as report, _listening(arguments, ["request_done"]) as heard:
        told = heard.go(_ticks(report, requests * (work_ns + 5_000) * 1e-9))
        heard.end()
        counted = heard.program.histogram("latencies")
        facts = provenance(command=heard.run.command, work_ns=work_ns, lost_events=heard.ring.lost)
    own = histogram.from_buckets(told["latency_ns"]["buckets"])
    used = (counted + own).nonzero()[0]
    rows = {"latency_ns": histogram.bucket_low(used), "count": counted[used], "fired": own[used]}
    return schema.frame(rows, **facts)


# -- exercises -----------------------------------------------------------------------------------


def mystery() -> pd.DataFrame:
    """Serve a secret number of requests; exercise 05-q1 asks how many failed."""
    made, counted = _measured(random.SystemRandom().randint(50, 500), 0, DEFAULT)
    # as the program itself counted them, not the probes
    truths.expect("05-q1", counted["failed"])
    return made


def find_slow() -> pd.DataFrame:
    """Serve requests of which one takes far longer; exercise 05-q2 asks for its number."""
    slow = random.SystemRandom().randint(5, 95)
    arguments = ["--requests", "97", "--work-ns", "20000", "--slow-request", str(slow), "--slow-ns", "20000000"]
    with exclusive("lesson 05: find the slow request"), _listening(arguments, DEFAULT) as heard:
        told = heard.go(None)
        heard.end()
        made = _events(heard, told, work_ns=20_000)
    truths.expect("05-q2", slow)
    return made


def read_a_note() -> str:
    """Return a question on a random argument of a random probe; exercise 05-q3 wants the answer."""
    probe = random.SystemRandom().choice(_server_probes())
    number = random.SystemRandom().randrange(len(probe.operands))
    truths.expect("05-q3", probe.operands[number].text)
    return f"Where does argument {number} of {probe.name} arrive, as its note writes it?"


def _server_probes() -> list[Probe]:
    return [probe for probe in probes_of(server()) if probe.name.partition(":")[2] in PROBES]


# -- inside --------------------------------------------------------------------------------------


def _measured(
    requests: int, work_ns: int, chosen: Sequence[str], more: Sequence[str] = (), progress: Progress | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the frame of `measure`, and what the program reports."""
    arguments = ["--requests", str(requests), "--work-ns", str(work_ns), *more]
    with exclusive("lesson 05: usdt", progress) as report, _listening(arguments, chosen) as heard:
        counted = heard.go(_ticks(report, requests * (work_ns + 20_000) * 1e-9))
        heard.end()
        return _events(heard, counted, work_ns=work_ns), counted


class _Heard:
    """A program that listens to a run of usdt_app."""

    def __init__(self, program: Program, tracer: Usdt, ring: RingReader, run: Workload) -> None:
        self.program, self.ring, self.run = program, ring, run
        self._tracer = tracer

    def go(self, tick: Callable[[float], None] | None) -> dict[str, Any]:
        return self.run.go(timeout_s=600, tick=tick)

    def end(self) -> None:
        """Stop listening, and take what is left."""
        self._tracer.detach()
        self.ring.stop()


@contextmanager
def _listening(arguments: Sequence[str], chosen: Sequence[str]) -> Iterator[_Heard]:
    binary = server()
    with (
        Program("usdt") as program,
        Usdt(program) as tracer,
        RingReader(program, "events", max_events=4 * MOST_REQUESTS) as ring,
        Workload(binary, arguments) as run,
    ):
        program.aim(pid=run.pid)
        for probe in chosen:
            function, reads = PROBES[probe]
            tracer.attach(function, binary, f"labkit:{probe}", pid=run.pid, reads=reads)
        yield _Heard(program, tracer, ring, run)


def _events(heard: _Heard, told: dict[str, Any], work_ns: int) -> pd.DataFrame:
    made = heard.ring.frame()
    made["probe"] = pd.Series([_NAMES[number] for number in made["probe"]], dtype="str")
    for column, probe in _ONLY.items():  # a gap, not a 0 that would count in a mean
        made[column] = made[column].where(made["probe"] == probe)
    made["fired"] = made["probe"].map(told)
    facts = provenance(command=heard.run.command, lost_events=heard.ring.lost, work_ns=work_ns)
    columns = ["time_ns", "pid", "probe", "request", "text", "body_bytes", "status", "latency_ns", "fired"]
    return schema.frame(made[columns].sort_values("time_ns", ignore_index=True), **facts)


def _ticks(report: Progress, expected_s: float) -> Callable[[float], None]:
    return lambda gone_s: report(min(gone_s / max(expected_s, 0.1), 0.99), "serving requests")


def _path_option(path: str | None) -> list[str]:
    if path is None:
        return []
    if not isinstance(path, str) or not 1 <= len(os.fsencode(check_words("path", path)[0])) <= 115:
        raise bad_argument("path", path, "a text of 1 to 115 bytes")
    return ["--path", path]
