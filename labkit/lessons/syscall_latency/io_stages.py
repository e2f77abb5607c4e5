# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: where the time of one I/O goes, from the system call to the device and back.

Rests on the tracepoints syscalls:sys_enter_pread64 and its like, block:block_getrq, block_rq_issue and
block_rq_complete (include/trace/events/block.h) and sched:sched_switch. A request is known by its disk and its first
sector: that is all its tracepoints have in common. block_getrq names the partition, so the partitions of each disk are
written into a map beforehand.
"""

from __future__ import annotations

import ctypes as ct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import check_int, several
from labkit.lessons._io.job import Job, timeline
from labkit.lessons.syscall_latency.timer import flags
from labkit.machine.btf import kernel_btf
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress
from labkit.running.workload import Workload

__all__ = [
    "STAGES",
    "Followed",
    "breakdown",
    "closure",
    "following",
    "join",
    "middle_half",
    "stages",
    "stages_program",
    "watching_ios",
]

STAGES = ("file_system_ns", "block_queue_ns", "device_ns", "wake_ns", "return_ns")
# enum station of c/bpf/syscall_latency_stages.c
ENTERED, QUEUED, ISSUED, COMPLETED, RUNNING, RETURNED = range(6)

MOST_IOS = 20_000
_LAST_REQUESTS_S = 2.0  # a request of which no end is seen is reported as incomplete
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
    One row per I/O: cache, operation, block_bytes, offset_bytes, block_requests (how many the block layer made of it),
    before_ns (from the program's time stamp to the beginning of the system call), the five `STAGES`, after_ns (from
    the end of the call to the program's next time stamp), latency_ns (the five together: the system call), program_ns
    (all seven: what the program measured). `attrs` carries `ios` (how many were asked for). An I/O of which a record is
    missing has no row; a warning gives their number.
    """
    jobs = [Job(block_bytes=size, cache=cache, operation=operation) for size in several("block_bytes", block_bytes)]
    ios = check_int("ios", ios, 1, MOST_IOS, "I/Os")
    frames, lost = [], 0
    with (
        exclusive("lesson 06: stages", progress) as report,
        stages_program(jobs[0]) as program,
        run_folder() as folder,
    ):
        for done, job in enumerate(jobs):

            def tick(gone_s: float, done: int = done, job: Job = job) -> None:
                report((done + 0.5) / len(jobs), schema.si_bytes(job.block_bytes))

            path = folder / "timeline"
            arguments = [*job.arguments(ios=ios), "--timeline", str(path), "--timeline-ios", str(ios)]
            program.clear("threads", "requests", "labkit_lost")
            with following(program, ios) as found:
                with Workload("io_engines", arguments) as run, watching_ios(program, run.pid):
                    run.go(timeout_s=60 + ios / 10, tick=tick)
            frames.append(_with_program(found.ios, path, job))
            lost += found.lost
        facts = provenance(command=run.command, lost_events=lost, ios=ios * len(jobs))
    made = pd.concat(frames, ignore_index=True)
    missing = ios * len(jobs) - len(made)
    warnings = [f"{missing} I/Os are left out: a record is missing."] if missing else []
    return schema.frame(made, **{**facts, "warnings": [*facts["warnings"], *warnings]})


@dataclass
class Followed:
    """What was followed in a block: see `join`; filled in at its end."""

    ios: pd.DataFrame = field(default_factory=pd.DataFrame)
    lost: int = 0


@contextmanager
def following(program: Program, most_ios: int) -> Iterator[Followed]:
    """Collect the records of the program of the stages during a block, and put those of each I/O together."""
    began_ns, found = time.monotonic_ns(), Followed()
    with RingReader(program, "events", max_events=most_ios * _EVENTS_PER_IO) as ring:
        yield found
        ring.stop()
        records = ring.frame()
    # a measurement that was stopped may have left records in the ring buffer
    found.ios, found.lost = join(records[records["time_ns"] >= began_ns]), ring.lost


@contextmanager
def watching_ios(program: Program, *pids: int) -> Iterator[None]:
    """Watch processes during a block, and on until their last requests are completed: some are for later reads."""
    with program.watching(*pids):
        yield
        ends_s = time.monotonic() + _LAST_REQUESTS_S
        while len(program.table("requests")) and time.monotonic() < ends_s:
            time.sleep(0.01)


def join(events: pd.DataFrame) -> pd.DataFrame:
    """Put the records of each I/O together.

    Parameters
    ----------
    events : as c/bpf/syscall_latency_stages.c writes them: time_ns, io, where, pid, tid, station, bytes.

    Returns
    -------
    One row per I/O of which no record is missing, in the order in which they began: tid, io, pid, offset_bytes,
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
    # what did not happen took no time: without a request, all of the time was the file system's
    times = np.column_stack([each.fillna(made["returned_ns"]).to_numpy(np.int64) for each in moments])
    # a request that was started for a later read (read-ahead) may end after this one has returned
    times = np.minimum(np.maximum.accumulate(times, axis=1), times[:, -1:])
    for stage, took in zip(STAGES, np.diff(times, axis=1).T, strict=True):
        made[stage] = took
    return made[whole].reset_index().sort_values("entered_ns", ignore_index=True)


def middle_half(frame: pd.DataFrame) -> pd.DataFrame:
    """Return those I/Os of a frame of `stages` whose program_ns lies between its quartiles."""
    return frame[frame["program_ns"].between(*frame["program_ns"].quantile([0.25, 0.75]))]


def breakdown(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mean time in each stage, for each cache and block size of a frame of `stages`.

    Means add up, medians do not. The mean is taken over the middle half (`middle_half`), so that a few very slow I/Os
    do not decide.

    Returns a frame with one row per setting and stage: cache, block_bytes, stage (the column's name), mean_ns, share
    (of the system call).
    """
    rows = []
    for (cache, size), ios in frame.groupby(["cache", "block_bytes"], sort=False):
        means = middle_half(ios)[list(STAGES)].mean()
        for stage, mean_ns in means.items():
            share = mean_ns / means.sum()
            rows.append({"cache": cache, "block_bytes": size, "stage": stage, "mean_ns": mean_ns, "share": share})
    return schema.derived(rows, frame)


def closure(frame: pd.DataFrame) -> pd.Series:
    """Compare what was traced with what the program measured, from a frame of `stages`.

    That the five stages add up to latency_ns is no test: they are differences of neighbours in one row of moments, so
    they add up whatever the moments are. A test is where the kernel's moments lie: an I/O enters the kernel after the
    program's first time stamp and returns before its second. Next to the records of another I/O, it enters too early
    or returns too late.

    Returns reads (how many), outside_median_ns (the median of program_ns minus the five stages: what was not traced),
    negative_before and negative_after (reads whose before_ns, or after_ns, is less than 0; each should be 0).
    """
    outside = frame["program_ns"] - frame[list(STAGES)].sum(axis=1)
    row = {
        "reads": len(frame),
        "outside_median_ns": float(outside.median()),
        "negative_before": int((frame["before_ns"] < 0).sum()),
        "negative_after": int((frame["after_ns"] < 0).sum()),
    }
    return pd.Series(row, dtype=object)  # counts stay whole numbers


@contextmanager
def stages_program(job: Job) -> Iterator[Program]:
    """Load c/bpf/syscall_latency_stages.c for the call of a job, and yield it."""
    with Program("syscall_latency_stages", flags=flags(job) | _request_hooks()) as program:
        disk_of = program.table("disk_of")
        for partition, disk in _disks().items():
            disk_of[ct.c_uint32(partition)] = ct.c_uint32(disk)
        yield program


def _request_hooks() -> dict[str, str]:
    """Return the flags that choose the hooks of requests: raw tracepoints, where the kernel has BTF."""
    kernel = kernel_btf()
    if kernel is None:
        return {}
    # Linux 5.11 took hd_struct away, and the first argument of block_rq_issue, a request_queue
    raw = {"RAW": "1" if "hd_struct" in kernel.structures else "0"}
    return raw if kernel.member_offset("request", "rq_disk") is None else {**raw, "RQ_DISK": "1"}


def _disks() -> dict[int, int]:
    """Return partition -> its disk, as the kernel numbers devices inside (dev_t: 20 bits of minor)."""
    folders = [path.parent.resolve() for path in Path("/sys/class/block").glob("*/partition")]
    return {_dev_t(folder): _dev_t(folder.parent) for folder in folders}


def _dev_t(folder: Path) -> int:
    major, minor = (folder / "dev").read_text().split(":")
    return int(major) << 20 | int(minor)


def _running_again(events: pd.DataFrame, at: dict[Any, Any], made: pd.DataFrame) -> pd.Series:
    """Return when each I/O's thread got a CPU after its last completion; the completion itself if it never slept."""
    if COMPLETED not in at:
        return pd.Series(np.nan, index=made.index)
    last = at[COMPLETED]["time_ns"].max().reindex(made.index)
    runs = events[events["station"] == RUNNING].merge(last.rename("last").reset_index(), on=_IO)
    first = runs[runs["time_ns"] >= runs["last"]].groupby(_IO)["time_ns"].min()
    return first.reindex(made.index).fillna(last)


def _with_program(joined: pd.DataFrame, path: Path, job: Job) -> pd.DataFrame:
    """Add to each I/O what the program recorded of it; both know its number and its place in the file."""
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
