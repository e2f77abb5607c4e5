"""Lesson 06: where the time of one I/O goes, from the system call to the device and back.

Rests on the tracepoints syscalls:sys_enter_pread64 and its like, block:block_getrq, block_rq_issue and
block_rq_complete (include/trace/events/block.h) and sched:sched_switch. A request is known by its first sector: that
is all its tracepoints have in common.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import check_int, several
from labkit.lessons._io.job import Job, timeline
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.files import leave_cache, random_file
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, silent
from labkit.running.workload import Workload

__all__ = ["STAGES", "breakdown", "cached", "closure", "join", "slowest_stage", "stages", "suspects"]

STAGES = ("file_system_ns", "block_queue_ns", "device_ns", "wake_ns", "return_ns")
# enum station of c/bpf/syscall_latency_stages.c
ENTERED, QUEUED, ISSUED, COMPLETED, RUNNING, RETURNED = range(6)

MOST_IOS = 20_000
_EVENTS_PER_IO = 64  # a large block may become many requests
_IO = ["tid", "io"]


def stages(
    block_bytes: int | Sequence[int] = (4096, 65536),
    ios: int = 97,
    cache: str = "direct",
    operation: str = "read",
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Follow each I/O of a program through the kernel.

    Parameters
    ----------
    block_bytes : one size or several, 512 bytes to 4 MiB.
    ios : of each size, 1 to 20000.
    cache, operation : as of `syscall_latency.histogram`.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row an I/O: cache, operation, block_bytes, offset_bytes, block_requests (how many the block layer made of it),
    before_ns (from the program's time stamp to the beginning of the system call), the five `STAGES`, after_ns (from
    the end of the call to the program's next time stamp), latency_ns (the five together: the system call), program_ns
    (all seven: what the program measured). `attrs` carries `ios`, the program's own count, and `incomplete`: I/Os that
    are left out because a record of theirs is missing.
    """
    jobs = [Job(block_bytes=size, cache=cache, operation=operation) for size in several("block_bytes", block_bytes)]
    ios = check_int("ios", ios, 1, MOST_IOS, "I/Os")
    report, frames, lost = progress or silent, [], 0
    with exclusive("lesson 06: stages", report), _program(jobs[0]) as program, run_folder() as folder:
        for done, job in enumerate(jobs):

            def tick(gone_s: float, done: int = done, job: Job = job) -> None:
                report((done + 0.5) / len(jobs), schema.si_bytes(job.block_bytes))

            path = folder / "timeline"
            arguments = [*job.arguments(ios=ios), "--timeline", str(path), "--timeline-ios", str(ios)]
            program.clear("threads", "requests", "labkit_lost")
            began_ns = time.monotonic_ns()
            with RingReader(program, "events", max_events=ios * _EVENTS_PER_IO) as ring:
                with Workload("io_engines", arguments) as run:
                    program.aim(pid=run.pid)
                    program.attach()
                    run.go(timeout_s=60 + ios / 10, tick=tick)
                    program.detach()
                ring.stop()
                frames.append(_beside(join(_fresh(ring, began_ns)), path, job))
                lost += ring.lost
        facts = provenance(command=run.command, lost_events=lost, ios=ios * len(jobs))
    report(1.0, "done")
    made = pd.concat(frames, ignore_index=True)
    missing = ios * len(jobs) - len(made)
    warnings = [f"{missing} I/Os are left out: a record of theirs is missing."] if missing else []
    return schema.frame(made, **{**facts, "incomplete": missing, "warnings": warnings})


def join(events: pd.DataFrame) -> pd.DataFrame:
    """Put the records of each I/O together.

    Parameters
    ----------
    events : as c/bpf/syscall_latency_stages.c writes them: time_ns, io, where, pid, tid, station, bytes.

    Returns
    -------
    One row an I/O of which nothing is missing, in the order of their beginnings: tid, io, pid, offset_bytes,
    block_bytes, entered_ns, returned_ns, block_requests, and the `STAGES`. An I/O of several requests is with the
    device from the first request that is issued until the last that is completed.
    """
    events = events.sort_values("time_ns", kind="stable")
    at = {station: rows.groupby(_IO, sort=False) for station, rows in events.groupby("station")}
    if ENTERED not in at or RETURNED not in at:
        return pd.DataFrame(columns=[*_IO, "pid", "offset_bytes", "block_bytes", "entered_ns", "returned_ns", *STAGES])
    made = at[ENTERED][["time_ns", "where", "pid", "bytes"]].first()
    made.columns = pd.Index(["entered_ns", "offset_bytes", "pid", "block_bytes"])
    made["returned_ns"] = at[RETURNED]["time_ns"].first()
    made = made.dropna()
    counts = {
        station: (at[station].size() if station in at else pd.Series(dtype=float)).reindex(made.index, fill_value=0)
        for station in (QUEUED, ISSUED, COMPLETED)
    }
    whole = (counts[QUEUED] == counts[COMPLETED]) & (counts[ISSUED] >= counts[QUEUED])
    made["block_requests"] = counts[QUEUED].astype(int)
    nothing = pd.Series(np.nan, index=made.index)
    moments = [
        made["entered_ns"],
        at[QUEUED]["time_ns"].min().reindex(made.index) if QUEUED in at else nothing,
        at[ISSUED]["time_ns"].min().reindex(made.index) if ISSUED in at else nothing,
        at[COMPLETED]["time_ns"].max().reindex(made.index) if COMPLETED in at else nothing,
        _running_again(events, at, made),
        made["returned_ns"],
    ]
    # what did not happen took no time: without a request, all of it was the file system's
    times = np.column_stack([each.fillna(made["returned_ns"]).to_numpy(np.int64) for each in moments])
    # a request that was started for a later read (read-ahead) may end after this one has returned
    times = np.minimum(np.maximum.accumulate(times, axis=1), times[:, -1:])
    for stage, took in zip(STAGES, np.diff(times, axis=1).T, strict=True):
        made[stage] = took
    return made[whole].reset_index().sort_values("entered_ns", ignore_index=True)


def breakdown(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mean time in each stage, for each cache and block size of a frame of `stages`.

    Means add up, medians do not: so that a few very slow I/Os do not decide, the mean is taken over the middle half,
    those I/Os whose program_ns lies between its quartiles.

    Returns a frame with a row a stage: cache, block_bytes, stage (the column's name; before_ns and after_ns are stages
    here too), mean_ns, share (of program_ns).
    """
    rows = []
    for (cache, size), ios in frame.groupby(["cache", "block_bytes"], sort=False):
        middle = ios[ios["program_ns"].between(*ios["program_ns"].quantile([0.25, 0.75]))]
        whole = middle["program_ns"].mean()
        for stage in ("before_ns", *STAGES, "after_ns"):
            mean_ns = middle[stage].mean()
            row = {"cache": cache, "block_bytes": size, "stage": stage, "mean_ns": mean_ns, "share": mean_ns / whole}
            rows.append(row)
    made = schema.frame(rows)
    made.attrs.update(frame.attrs)
    return made


def closure(frame: pd.DataFrame) -> pd.Series:
    """Compare what was traced with what the program measured, from a frame of `stages`.

    That the five stages add up to latency_ns, and all seven parts to program_ns, is no test: they are differences of
    neighbours in one row of moments, so they add up whatever the moments are, those of another I/O too. A test is
    where the kernel's moments lie: an I/O enters the kernel after the program's first time stamp and returns before its
    second. Beside the records of another I/O, it enters too early or returns too late.

    Returns reads (how many), outside_median_ns (the median of program_ns less the five stages: what was not traced),
    negative_before and negative_after (reads whose before_ns, or after_ns, is less than 0; each is to be 0).
    """
    outside = frame["program_ns"] - frame[list(STAGES)].sum(axis=1)
    row = {
        "reads": len(frame),
        "outside_median_ns": float(outside.median()),
        "negative_before": int((frame["before_ns"] < 0).sum()),
        "negative_after": int((frame["after_ns"] < 0).sum()),
    }
    return pd.Series(row, dtype=object)  # counts stay whole numbers


def cached(ios: int = 61) -> pd.DataFrame:
    """Read blocks of which a random number are not in the page cache; exercise 06-q2 asks for how many.

    This process reads them itself, with pread(2). Returns a row a read: offset_bytes, latency_ns, block_requests and
    the `STAGES`.
    """
    ios = check_int("ios", ios, 11, 997, "I/Os")
    chance = secrets.SystemRandom()
    present = chance.sample(range(ios), chance.randint(2, ios - 2))
    job = Job(cache="warm")
    with exclusive("lesson 06: the page cache"), _program(job) as program, run_folder() as folder:
        with _open_uncached(folder / "blocks", ios * job.block_bytes) as file:
            for block in present:
                os.pread(file.fileno(), job.block_bytes, block * job.block_bytes)
            began_ns = time.monotonic_ns()
            with RingReader(program, "events", max_events=ios * _EVENTS_PER_IO) as ring:
                program.aim(pid=os.getpid())
                program.attach()
                for block in range(ios):
                    os.pread(file.fileno(), job.block_bytes, block * job.block_bytes)
                program.detach()
                ring.stop()
                made = join(_fresh(ring, began_ns))
                facts = provenance(command="pread", lost_events=ring.lost)
    truths.expect("06-q2", int((made["block_requests"] > 0).sum()))
    made["latency_ns"] = made["returned_ns"] - made["entered_ns"]
    return schema.frame(made[["offset_bytes", "latency_ns", "block_requests", *STAGES]], **facts)


def suspects(processes: int = 4, ios: int = 61) -> pd.DataFrame:
    """Start processes that read at the same time; all but one find their file in the page cache.

    Parameters
    ----------
    processes : how many, 2 to 12.
    ios : reads of each, 11 to 997.

    Returns a frame with a row a read: pid, offset_bytes, latency_ns, block_requests and the `STAGES`. Exercise 06-q3
    asks for the process that waits for the disk.
    """
    processes = check_int("processes", processes, 2, 12, "processes")
    ios = check_int("ios", ios, 11, 997, "I/Os")
    guilty = secrets.randbelow(processes)
    with ExitStack() as stack:
        stack.enter_context(exclusive("lesson 06: suspects"))
        caches = ["cold" if number == guilty else "warm" for number in range(processes)]
        runs = [stack.enter_context(Workload("io_engines", Job(cache=each).arguments(ios=ios))) for each in caches]
        program = stack.enter_context(_program(Job()))
        began_ns = time.monotonic_ns()
        ring = stack.enter_context(RingReader(program, "events", max_events=processes * ios * _EVENTS_PER_IO))
        program.aim(pid=[run.pid for run in runs])
        program.attach()
        for run in runs:
            run.start()
        for run in runs:
            run.result()
        pid = runs[guilty].pid
        program.detach()
        ring.stop()
        made = join(_fresh(ring, began_ns))
        facts = provenance(command=runs[0].command[:1], lost_events=ring.lost)
    truths.expect("06-q3", pid)
    made["latency_ns"] = made["returned_ns"] - made["entered_ns"]
    return schema.frame(made[["pid", "offset_bytes", "latency_ns", "block_requests", *STAGES]], **facts)


def slowest_stage() -> pd.DataFrame:
    """Return the stages of reads whose way to the file and size are drawn at random; 06-q4 asks where the time went."""
    drawn = secrets.SystemRandom()
    cache, size = drawn.choice(("direct", "cold", "warm")), drawn.choice((4096, 16384, 65536))
    made = stages(size, cache=cache)
    parts = breakdown(made)
    truths.expect("06-q4", parts["stage"].tolist()[int(parts["mean_ns"].argmax())])
    made = made.drop(columns=["cache", "operation"])
    made.attrs.pop("command")
    return made


def _program(job: Job) -> Program:
    (call,) = job.calls
    return Program("syscall_latency_stages", flags={"ENTER": f"sys_enter_{call}", "EXIT": f"sys_exit_{call}"})


def _fresh(ring: RingReader, began_ns: int) -> pd.DataFrame:
    """Return the records since `began_ns`: a measurement that was stopped may have left some in the ring buffer."""
    records = ring.frame()
    return records[records["time_ns"] >= began_ns]


def _running_again(events: pd.DataFrame, at: dict[Any, Any], made: pd.DataFrame) -> pd.Series:
    """Return when each I/O's thread got a CPU after its last completion; that moment itself if it never slept."""
    if COMPLETED not in at:
        return pd.Series(np.nan, index=made.index)
    last = at[COMPLETED]["time_ns"].max().reindex(made.index)
    runs = events[events["station"] == RUNNING].merge(last.rename("last").reset_index(), on=_IO)
    first = runs[runs["time_ns"] >= runs["last"]].groupby(_IO)["time_ns"].min()
    return first.reindex(made.index).fillna(last)


def _beside(joined: pd.DataFrame, path: Path, job: Job) -> pd.DataFrame:
    """Put each I/O beside what the program says of it, known by its number and its place in the file."""
    told = timeline(path)
    own = pd.DataFrame({name: told[name].astype(np.int64) for name in ("submit_ns", "complete_ns", "offset_bytes")})
    own["io"] = np.arange(1, len(own) + 1)
    both = joined.merge(own, on=["io", "offset_bytes"])
    both["before_ns"] = both["entered_ns"] - both["submit_ns"]
    both["after_ns"] = both["complete_ns"] - both["returned_ns"]
    both["latency_ns"] = both["returned_ns"] - both["entered_ns"]
    both["program_ns"] = both["complete_ns"] - both["submit_ns"]
    both["cache"], both["operation"] = job.cache, job.operation
    columns = ["cache", "operation", "block_bytes", "offset_bytes", "block_requests", "before_ns", *STAGES, "after_ns"]
    return both[[*columns, "latency_ns", "program_ns"]]


def _open_uncached(path: Path, size: int) -> BinaryIO:
    """Return a file of `size` bytes that is on the disk and not in the page cache, to be read at random places."""
    file = random_file(path, size).open("rb")
    try:
        leave_cache(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # read what is asked for, and nothing ahead
    except BaseException:
        file.close()
        raise
    return file
