# SPDX-License-Identifier: Apache-2.0
"""One experiment of each lesson, small, with what its rows must be: as many as the workload itself says."""

from __future__ import annotations

import gc
import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from labkit.bpf.cell import Cell
from labkit.lessons import (
    capstone,
    hello,
    io_engines,
    maps,
    probes,
    serve,
    sockmap,
    start,
    syscall_latency,
    uring,
    usdt,
    verifier,
    your_program,
)
from labkit.lessons.maps.exercises import RACE
from labkit.machine.folders import data_folder
from labkit.running import owner

Frame = pd.DataFrame
MOST_RUNS = 10


def _per_probe(frame: Frame) -> bool:
    counted, own = frame["probe"].value_counts(), frame.groupby("probe")["fired"].first()
    return all(counted.get(name, 0) == own.get(name) for name in ("request_start", "request_done"))


def _ok_rows(frame: Frame) -> bool:
    works = frame[(frame["state"] == "ok") & (frame["mechanism"] != "timer")]
    return len(works) > 0 and bool((works["at_entry"] == 23).all() and (works["at_return"] == 23).all())


def _redirected(frame: Frame) -> bool:
    cut = frame[frame["arm"] == "TCP + sockmap"]
    return bool((cut["messages"] >= 2 * cut["round_trips"]).all() and (cut["redirects"] == cut["messages"]).all())


def _calls_agree(frame: Frame) -> bool:
    seen = frame[frame["own_count"] >= 0]
    return bool((seen["count"] == seen["own_count"]).all() and (frame["requests"] == 97).all())


def _tried() -> Frame:
    """Try a learner's program, as labkit.check does."""
    with Cell(Path(__file__).with_name("counter.c")) as program:
        program.attach()
        told = RACE.judge(program)
    return Frame([{"ok": told.ok}])


# name -> (measure, whether its frame agrees with the workload's own count)
EXPERIMENTS: dict[str, tuple[Callable[[], Frame], Callable[[Frame], bool]]] = {
    "start": (lambda: start.measure(blocks=23), lambda frame: len(frame) == 23),
    "hello": (lambda: hello.measure(runs=23), lambda frame: len(frame) == 23 and set(frame["runs"]) == {23}),
    "maps": (
        lambda: maps.pairs(calls=23),
        lambda frame: int((frame["key"] == "thread").sum()) == 46 and set(frame["calls"]) == {46},
    ),
    "ring": (
        lambda: maps.order(turns=23),
        lambda frame: set(frame["arm"].value_counts()) == set(frame["calls"]) == {46},
    ),
    "verifier": (
        lambda: verifier.loops(rounds=10, bodies="plain"),
        lambda frame: list(frame["verdict"]) == ["accepted"],
    ),
    "probes": (lambda: probes.measure(calls=23), _ok_rows),
    "usdt": (lambda: usdt.measure(requests=23), _per_probe),
    "syscall_latency": (
        lambda: syscall_latency.histogram(ios=97),
        lambda frame: int(frame["count"].sum()) == 97 and set(frame["ios"]) == {97},
    ),
    "io_engines": (
        lambda: io_engines.calls("sync", "warm"),
        lambda frame: bool((frame["count"] == frame["ios"]).all()) and len(frame) == 1,
    ),
    "uring": (
        lambda: uring.readers(file_bytes=65536),
        lambda frame: bool((frame["crc32"] == frame["file_crc32"]).all() and (frame["sqes"] == frame["ios"]).all()),
    ),
    "sockmap": (lambda: sockmap.measure(64, "same core", slices=2, slice_s=0.02), _redirected),
    "capstone": (
        lambda: capstone.measure(transactions=5, slices=2),
        lambda frame: bool((frame["stored_rows"] == frame["rows"]).all()),
    ),
    "exercise": (_tried, lambda frame: frame["ok"].tolist() == [True]),
    "your_program": (
        lambda: your_program.watch(
            "calls", command=["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=23", "status=none"]
        ),
        lambda frame: int(frame.set_index("call")["count"]["write"]) == 23,
    ),
    "serve": (lambda: serve.calls("epoll", 5, requests=97), _calls_agree),
}


def measured_right(name: str) -> None:
    """Run an experiment to its end and compare its rows with the workload's own count.

    A run that says that it lost events is repeated. On a busy machine the kernel skips runs of a program
    (`Program.missed_runs`), and does not say whose. What must never be is a wrong count that says nothing.
    """
    measure, is_true = EXPERIMENTS[name]
    for _ in range(MOST_RUNS):
        frame = measure()
        if frame.attrs.get("lost_events", 0) == 0:
            break
    assert frame.attrs.get("lost_events", 0) == 0, f"{name}: {MOST_RUNS} runs lost events: {frame.attrs}"
    assert is_true(frame), f"{name}: untrue rows ({len(frame)}):\n{frame.to_string(max_rows=12)}\n{frame.attrs}"


def held() -> dict[str, Any]:
    """Return what this process holds: descriptors by kind, threads, children, files, and what its owner lists."""
    gc.collect()
    kinds: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the one that lists them
            continue
        if "/.ipython/" in target:  # IPython's own history comes and goes
            continue
        kinds[re.sub(r"\d+|labkit-\w+", "N", target)] += 1
    return {
        "descriptors": dict(kinds),
        "threads": sorted(thread.name for thread in threading.enumerate() if not thread.name.startswith("interrupt")),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
        "files": sorted(path.name for path in data_folder().iterdir() if "labkit-" in path.name),
        "owned": owner.held_now(),
    }


def bpf_objects() -> list[str]:
    """Return the kernel's numbers of the programs, maps and links that this process holds, from /proc."""
    found = []
    for path in Path("/proc/self/fdinfo").iterdir():
        try:
            found += re.findall(r"^(?:prog|map|link)_id:\s*\d+$", path.read_text(), re.MULTILINE)
        except OSError:
            continue
    return found
