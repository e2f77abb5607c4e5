"""Lesson 02: what a BPF program remembers, and how it goes wrong.

Rests on the tracepoints of getppid(2), clock_nanosleep(2) and pwrite(2); the workload (c/workloads/maps.c) makes a
known number of those calls. The channels to user space are measured in `maps_channels.py`.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.bpf import maps
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import LabkitError, VerifierError, bad_argument, check_bool, check_choices, check_int, check_seed
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick, silent
from labkit.running.workload import Workload
from labkit.stats import trial

__all__ = [
    "WAYS", "forgotten_test", "full", "hidden_size", "measure", "pairs", "per_cpu", "sizes",
    "slow_thread", "too_many_sizes",
]  # fmt: skip

NOBODY = "no program"
# the numbers of c/bpf/maps.c
WAYS = {"array": 1, "array, atomic": 2, "per-CPU array": 3, "hash, increment()": 4}

_HIDDEN_RANGE = (520, 1000)  # all in one bar of the log2 histogram: 512 to 1023


def measure(
    calls: int | None = None,
    threads: int = 2,
    ways: Sequence[str] = tuple(WAYS),
    *,
    same_cpu: bool = False,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let threads on different CPUs make system calls, count them in several ways, and see what each way misses.

    Parameters
    ----------
    calls : of each thread, 1 to 10 million; None is 100003 (20011 in a hurry).
    threads : 1 to 64, on as many CPUs as this process may use.
    ways : names of `WAYS`.
    same_cpu : put all threads on one CPU instead.
    slices : slices of each way, 2 to 100; None is 6 (2 in a hurry).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a slice: arm (the way, or "no program"), slice, threads, calls (of all threads, as the workload counted
    them), count (what the map says), lost_updates, ns_per_call (of one thread's calls). The arm "no program" counts
    nothing; it runs twice, which shows the noise.
    """
    calls = check_int("calls", quick(100_003, 20_011) if calls is None else calls, 1, 10_000_000, "calls")
    threads = check_int("threads", threads, 1, 64, "threads")
    slices = trial.check_slices(slices, 6, 2)
    chosen = check_choices("ways", ways, WAYS)
    arguments = ["--work", "count", "--threads", str(threads), "--calls", str(calls)]
    arguments += ["--same-cpu"] if check_bool("same_cpu", same_cpu) else []
    seed = check_seed(seed)
    report, rows, cpus = progress or silent, [], set()
    with exclusive("lesson 02: lost updates", report):
        plan = trial.order([NOBODY, *chosen, NOBODY + trial.AGAIN], slices, seed)
        for done, (number, arm) in enumerate(plan):
            tick = functools.partial(_tell, report, done / len(plan), arm)
            told, counted, command = _counted(WAYS.get(arm), arguments, tick)
            cpus = {worker["cpu"] for worker in told["workers"]}
            rows.append(
                {
                    "arm": arm,
                    "slice": number,
                    "threads": threads,
                    "calls": told["calls"],
                    "count": counted,
                    "lost_updates": told["calls"] - counted if arm in WAYS else 0,
                    "ns_per_call": max(worker["elapsed_s"] for worker in told["workers"]) * 1e9 / calls,
                }
            )
        warnings = [] if len(cpus) > 1 or same_cpu or threads == 1 else ["one CPU only: nothing runs at the same time"]
        facts = provenance(command=command, baseline=NOBODY, seed=seed, warnings=warnings)
    report(1.0, "done")
    return schema.frame(rows, **facts)


def per_cpu(calls: int = 10_007, threads: int = 2) -> pd.DataFrame:
    """Count in a per-CPU array and return its slots one by one: cpu, count. Threads run on CPUs of their own."""
    calls = check_int("calls", calls, 1, 10_000_000, "calls")
    threads = check_int("threads", threads, 1, 64, "threads")
    arguments = ["--work", "count", "--threads", str(threads), "--calls", str(calls)]
    with exclusive("lesson 02: a slot for each CPU"), Program("maps", flags={"WAY": WAYS["per-CPU array"]}) as program:
        with Workload("maps", arguments) as run:
            program.aim(pid=run.pid)
            program.attach()
            told = run.go()
            program.detach()
        slots = maps.read_array(program.map_fd("own"))[0]
        facts = provenance(command=run.command, calls=told["calls"])
    return schema.frame({"cpu": range(len(slots)), "count": slots}, **facts)


def forgotten_test() -> str:
    """Give the kernel a program that uses a lookup's answer without a test; return why it was refused."""
    try:
        with exclusive("lesson 02: a forgotten test"), Program("maps_no_test"):
            pass
    except VerifierError as refusal:
        return str(refusal)
    raise LabkitError("The kernel took a program that uses a lookup untested.", "report this, with `uname -r`")


def pairs(
    calls: int = 23,
    sleep_us: int = 1000,
    threads: int = 2,
    *,
    keys: Sequence[str] = ("thread", "one slot"),
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Time sleeps by their two ends, with the beginning kept under the thread's number, or all in one slot.

    Parameters
    ----------
    calls : sleeps of each thread, 1 to 10000.
    sleep_us : how long thread 1 sleeps each time, 1 us to 0.1 s; thread 2 sleeps twice that, and so on.
    threads : 1 to 16.
    keys : "thread", "one slot" or both.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a pair that the program made: key, time_ns (of the beginning), tid, asked_ns (what the thread asked for),
    latency_ns, cpu. `attrs` has calls (of all threads, for each key) and unpaired (key -> exits without a beginning).
    """
    calls = check_int("calls", calls, 1, 10_000, "calls")
    sleep_us = check_int("sleep_us", sleep_us, 1, 100_000, "microseconds")
    threads = check_int("threads", threads, 1, 16, "threads")
    chosen = check_choices("keys", keys, ("thread", "one slot"))
    expected_s = calls * (sleep_us * threads + 100) * 1e-6
    arguments = ["--work", "sleep", "--calls", str(calls), "--sleep-us", str(sleep_us), "--threads", str(threads)]
    report, frames, unpaired, lost = progress or silent, [], {}, 0
    with exclusive("lesson 02: pairs", report):
        for number, key in enumerate(chosen):
            made, told, missed, lost_here, command = _slept(
                arguments,
                one_slot=key == "one slot",
                tick=functools.partial(_tell, report, number / len(chosen), key),
                timeout_s=60 + 10 * expected_s,
            )
            asked = {worker["tid"]: worker["asked_ns"] for worker in told["workers"]}
            frames.append(made.assign(key=key, asked_ns=made["tid"].map(asked)))
            unpaired[key] = missed
            lost += lost_here
        facts = provenance(command=command, lost_events=lost, calls=told["calls"], unpaired=unpaired)
    report(1.0, "done")
    columns = ["key", "time_ns", "tid", "asked_ns", "latency_ns", "cpu"]
    return schema.frame(pd.concat(frames, ignore_index=True)[columns], **facts)


def sizes(
    smallest: int = 600,
    largest: int = 1000,
    step: int = 400,
    *,
    calls: int = 1009,
    first_bytes: int = 0,
    bar_bytes: int = 64,
    bars: int = 32,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let a workload write blocks of known sizes and draw two histograms of them in the kernel.

    Parameters
    ----------
    smallest, largest, step : sizes of the writes in bytes, 1 to 1 MiB: smallest, smallest + step, … up to largest, then
        over again.
    calls : how many writes, 1 to 1 million.
    first_bytes, bar_bytes, bars : where the linear histogram begins, how wide its bars are (1 byte to 1 MiB), and how
        many there are (1 to 250).
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a bar that is not empty: histogram ("log2" or "linear"), low_bytes, high_bytes (both included), count.
    What lies outside the linear bars stands in a last bar on either side; nothing is dropped. `attrs` has calls.
    """
    given = (("smallest", smallest), ("largest", largest), ("step", step), ("bar_bytes", bar_bytes))
    smallest, largest, step, bar_bytes = (check_int(name, value, 1, 1 << 20, "bytes") for name, value in given)
    if smallest > largest:
        raise bad_argument("largest", largest, f"at least smallest, which is {smallest}")
    calls = check_int("calls", calls, 1, 1_000_000, "calls")
    first_bytes = check_int("first_bytes", first_bytes, 0, 1 << 20, "bytes")
    bars = check_int("bars", bars, 1, 250, "bars")
    report = progress or silent
    arguments = ["--work", "sizes", "--calls", str(calls)]
    arguments += ["--smallest", str(smallest), "--largest", str(largest), "--step", str(step)]
    flags = {"FIRST": first_bytes, "STEP": bar_bytes, "BARS": bars}
    with exclusive("lesson 02: histograms", report), Program("maps_sizes", flags=flags) as program:
        with Workload("maps", arguments) as run:
            program.aim(pid=run.pid)
            program.attach()
            told = run.go(tick=lambda _: report(0.5, "writing"))
            program.detach()
        log2, linear = program.counters("log2_bars"), program.counters("linear_bars")
        facts = provenance(command=run.command, calls=told["calls"])
    slots = np.arange(1, 64)
    end = first_bytes + bars * bar_bytes
    lows = [*range(first_bytes, end, bar_bytes), 0, end]
    highs = [*range(first_bytes + bar_bytes - 1, end, bar_bytes), first_bytes - 1, 1 << 20]
    rows = [("log2", 1 << (slot - 1), (1 << slot) - 1, log2[slot]) for slot in map(int, slots)]
    rows += [("linear", low, high, count) for low, high, count in zip(lows, highs, linear, strict=True)]
    made = schema.frame(pd.DataFrame(rows, columns=["histogram", "low_bytes", "high_bytes", "count"]), **facts)
    report(1.0, "done")
    kept = made[made["count"] > 0].sort_values(["histogram", "low_bytes"], ascending=[False, True])
    return schema.frame(kept.reset_index(drop=True), **facts)


def full(keys: int = 97, entries: int = 64, times: int = 1, *, progress: Progress | None = None) -> pd.DataFrame:
    """Give a hash and an LRU hash more keys than they have room for.

    Parameters
    ----------
    keys : distinct keys: sizes of writes, 1 to `keys` bytes, in this order; 1 to 1 million.
    entries : room in each map, 1 to 1 million.
    times : how often the workload writes all the sizes, 1 to 100.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a map: arm ("hash", "LRU hash"), entries, keys, calls (events), kept (keys in the map at the end), count
    (events that these keys have counted), refused (events for which there was no room), low_bytes and high_bytes (the
    smallest and largest key that is in the map).
    """
    keys = check_int("keys", keys, 1, 1_000_000, "keys")
    entries = check_int("entries", entries, 1, 1_000_000, "entries (the kernel refuses a map with no room)")
    times = check_int("times", times, 1, 100, "times")
    report = progress or silent
    arguments = ["--work", "sizes", "--smallest", "1", "--largest", str(keys), "--calls", str(keys * times)]
    with exclusive("lesson 02: a full map", report), Program("maps_full", flags={"ENTRIES": entries}) as program:
        with Workload("maps", arguments) as run:
            program.aim(pid=run.pid)
            program.attach()
            told = run.go(tick=lambda _: report(0.5, "writing"))
            program.detach()
        refused, rows = program.counters("refused"), []
        for number, (arm, name) in enumerate({"hash": "first_come", "LRU hash": "last_used"}.items()):
            held = program.hash(name)
            rows.append(
                {
                    "arm": arm,
                    "entries": entries,
                    "keys": keys,
                    "calls": told["calls"],
                    "kept": len(held),
                    "count": sum(held.values()),
                    "refused": int(refused[number]),
                    "low_bytes": min(held, default=0),
                    "high_bytes": max(held, default=0),
                }
            )
        refusals = [f"{row['arm']}: {row['refused']} events refused, no room" for row in rows if row["refused"]]
        facts = provenance(command=run.command, warnings=refusals)
    report(1.0, "done")
    return schema.frame(rows, **facts)


def slow_thread(threads: int = 5) -> pd.DataFrame:
    """Let several threads sleep alike, but one of them twice as long; exercise 02-q1 asks which.

    Returns a frame with a row a sleep: time_ns, tid, latency_ns, cpu.
    """
    threads = check_int("threads", threads, 2, 16, "threads")
    slow = random.SystemRandom().randint(1, threads)
    arguments = ["--work", "sleep", "--calls", "11", "--sleep-us", "2000", "--threads", str(threads)]
    with exclusive("lesson 02: the slow thread"):
        made, told, _, lost, _ = _slept([*arguments, "--slow-thread", str(slow)], one_slot=False)
        facts = provenance(lost_events=lost)
    truths.expect("02-q1", told["workers"][slow - 1]["tid"])
    return schema.frame(made[["time_ns", "tid", "latency_ns", "cpu"]], **facts)


def too_many_sizes() -> pd.DataFrame:
    """Run `full` with a number of keys that only this process knows; exercise 02-q2 asks for it."""
    keys = random.SystemRandom().randint(70, 400)
    made = full(keys, 64)
    truths.expect("02-q2", keys)
    shown = schema.frame(made[made["arm"] == "hash"][["arm", "entries", "kept", "count", "refused"]])
    shown.attrs = {**made.attrs, "command": ""}  # it names the answer
    return shown


def hidden_size(first_bytes: int = 0, bar_bytes: int = 64, bars: int = 32) -> pd.DataFrame:
    """Let the workload write blocks of one hidden size, and draw the histograms; exercise 02-q3 asks for the size.

    The size stays the same until the kernel of the notebook ends: look again with other bars.
    """
    try:
        size = int(str(truths.expected("02-q3")))
    except truths.Unknown:
        size = random.SystemRandom().randint(*_HIDDEN_RANGE)
    made = sizes(size, size, 1, calls=101, first_bytes=first_bytes, bar_bytes=bar_bytes, bars=bars)
    truths.expect("02-q3", size)
    made.attrs["command"] = ""  # it names the answer
    return made


def _tell(report: Progress, share: float, note: str, _: float) -> None:
    """Report progress at a workload's tick."""
    report(share, note)


def _counted(way: int | None, arguments: list[str], tick: Tick) -> tuple[dict[str, Any], int, list[str]]:
    """Run the workload once, watched in one way or not at all; return its answer, the count, and its command."""
    with Workload("maps", arguments) as run:
        if way is None:
            return run.go(tick=tick), 0, run.command
        with Program("maps", flags={"WAY": way}) as program:
            program.aim(pid=run.pid)
            program.attach()
            told = run.go(tick=tick)
            program.detach()
            if way == WAYS["hash, increment()"]:
                return told, sum(program.hash("named").values()), run.command
            return told, int(program.counters("own" if way == WAYS["per-CPU array"] else "shared")[0]), run.command


def _slept(
    arguments: list[str], *, one_slot: bool, tick: Tick | None = None, timeout_s: float = 60
) -> tuple[pd.DataFrame, dict[str, Any], int, int, list[str]]:
    """Run sleeping threads; return the pairs, the workload's answer, exits without a beginning, losses, the command."""
    with Program("maps_pairs", flags={"ONE_SLOT": int(one_slot)}) as program:
        with RingReader(program, "events", max_events=1_000_000) as ring, Workload("maps", arguments) as run:
            program.aim(pid=run.pid)
            program.attach()
            told = run.go(tick=tick, timeout_s=timeout_s)
            program.detach()
        return ring.frame(), told, int(program.counters("unpaired")[0]), ring.lost, run.command
