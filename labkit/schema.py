# SPDX-License-Identifier: Apache-2.0
"""One table of every column that a frame of the lab may have: unit, dtype, label on an axis, formatter.

The same name is used in the C struct, in the workload's JSON and in the frame, with its unit in it.
A lesson adds its columns here, in the block of its own name, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from labkit.units import known, plain, si_bytes, si_count, si_ns, si_time

__all__ = ["COLUMNS", "Column", "derived", "formatter", "frame", "label", "si_bytes", "si_count", "si_ns", "si_time"]

Columns = Mapping[str, Any] | Sequence[Mapping[str, Any]] | pd.DataFrame


@dataclass(frozen=True)
class Column:
    """What is known of one column."""

    unit: str
    dtype: str
    label: str
    format: Callable[[Any], str]


_CACHES = {"direct": "O_DIRECT", "cold": "page cache, cold", "warm": "page cache, warm"}

COLUMNS: dict[str, Column] = {
    # everywhere
    "arm": Column("", "str", "arm", plain),
    "slice": Column("", "int64", "slice", plain),
    "pid": Column("", "int64", "process id", plain),
    "tid": Column("", "int64", "thread id", plain),
    "cpu": Column("", "int64", "CPU", plain),
    "run": Column("", "int64", "run", plain),
    "comm": Column("", "str", "process name", plain),
    "count": Column("", "int64", "count", plain),
    "phase": Column("", "str", "phase", plain),
    "time_ns": Column("ns", "int64", "time", si_time),
    "latency_ns": Column("ns", "int64", "latency", si_ns),
    # 00 start
    "blocks": Column("", "int64", "number of reads", plain),
    "bytes": Column("B", "int64", "bytes", si_bytes),
    # 01 hello
    "ns_per_run": Column("ns", "float64", "time per run", known(si_ns)),
    "other_runs": Column("", "float64", "runs of others", known(lambda value: f"{value:.0f}")),
    "other_cpu_percent": Column(
        "%", "float64", "share of one CPU, others (at most)", known(lambda value: f"{value:.2g} %")
    ),
    "cpu_percent": Column("%", "float64", "share of one CPU", lambda value: f"{value:.2g} %"),
    "runs": Column("", "int64", "runs", plain),
    "path": Column("", "str", "file", plain),
    # everywhere, measures
    "elapsed_s": Column("s", "float64", "elapsed time (s)", lambda v: f"{v:.3g} s"),
    "block_bytes": Column("B", "int64", "block size", si_bytes),
    "value": Column("", "float64", "value", lambda v: f"{v:.4g}"),
    "slices": Column("", "int64", "slices", plain),
    "difference": Column("", "float64", "difference", lambda v: f"{v:.4g}"),
    "ratio": Column("", "float64", "ratio", lambda v: f"{v:.3f}"),
    "low": Column("", "float64", "95 % interval, low end", lambda v: f"{v:.3f}"),
    "high": Column("", "float64", "95 % interval, high end", lambda v: f"{v:.3f}"),
    # 02 maps
    "threads": Column("", "int64", "threads", plain),
    "calls": Column("", "int64", "calls made", plain),
    "lost_updates": Column("", "int64", "updates lost", plain),
    "unpaired": Column("", "int64", "ends without a beginning", plain),
    "ns_per_call": Column("ns", "float64", "time per call", si_ns),
    "ns_per_byte": Column("ns", "float64", "time per byte", lambda v: f"{v:.3g} ns"),
    "added_ns": Column("ns", "float64", "added per call", known(si_ns)),
    "low_ns": Column("ns", "float64", "95 % interval, from", known(si_ns)),
    "high_ns": Column("ns", "float64", "to", known(si_ns)),
    "key": Column("", "str", "key of the map", plain),
    "asked_ns": Column("ns", "int64", "time asked for", si_ns),
    "histogram": Column("", "str", "histogram", plain),
    "low_bytes": Column("B", "int64", "from", plain),
    "high_bytes": Column("B", "int64", "to", plain),
    "entries": Column("", "int64", "room in the map", plain),
    "keys": Column("", "int64", "distinct keys", plain),
    "kept": Column("", "int64", "keys in the map", plain),
    "refused": Column("", "int64", "events refused", plain),
    "arrived": Column("", "int64", "place in order of arrival", plain),
    "event_number": Column("", "int64", "number of the event", plain),
    "records": Column("", "int64", "records made", plain),
    "received": Column("", "int64", "records received", plain),
    "lost_events": Column("", "int64", "records lost", plain),
    "room_bytes": Column("B", "int64", "room in the buffer", si_bytes),
    # 03 verifier
    "program": Column("", "str", "program", plain),
    "version": Column("", "str", "version", plain),
    "loader": Column("", "str", "loaded by", plain),
    "verdict": Column("", "str", "verdict", plain),
    "cause": Column("", "str", "cause", plain),
    "source_line": Column("", "int64", "line", lambda v: str(v) if v else "–"),
    "source_column": Column("", "int64", "column", lambda v: str(v) if v else "–"),
    "walked": Column("", "int64", "instructions walked", lambda v: str(v) if v else "–"),
    "said": Column("", "str", "the kernel's words", plain),
    "rounds": Column("", "int64", "rounds of the loop", plain),
    "body": Column("", "str", "body of the loop", plain),
    # 04 probes
    "mechanism": Column("", "str", "mechanism", plain),
    "at_entry": Column("", "int64", "seen at the entry", plain),
    "at_return": Column("", "int64", "seen at the return", plain),
    "state": Column("", "str", "state", plain),
    "reason": Column("", "str", "why", plain),
    "times_as_long": Column("", "float64", "times as long", known(lambda v: f"{v:.3g}")),
    "argument": Column("", "int64", "argument", plain),
    "returned": Column("", "int64", "returned", plain),
    "symbol": Column("", "str", "in the symbol table", plain),
    "call_instructions": Column("", "int64", "call instructions", plain),
    "stack": Column("", "str", "stack, outermost first", plain),
    "clocked_ns": Column("ns", "int64", "time by the program's own clock", si_ns),
    # 05 usdt
    "probe": Column("", "str", "probe", plain),
    "address": Column("", "int64", "address", hex),
    "arguments": Column("", "str", "where its arguments are", plain),
    "semaphore": Column("", "int64", "address of its semaphore", lambda v: hex(v) if v else "none"),
    "request": Column("", "int64", "request", plain),
    "status": Column("", "int64", "status", plain),
    "body_bytes": Column("B", "int64", "size of the body", si_bytes),
    "text": Column("", "str", "text", plain),
    "code": Column("", "str", "bytes", plain),
    "instruction": Column("", "str", "instruction", plain),
    "listeners": Column("", "int64", "value of the semaphore", plain),
    "fired": Column("", "int64", "counted by the program itself", plain),
    "function": Column("", "str", "function", plain),
    "line": Column("", "int64", "line", plain),
    "depth": Column("", "int64", "depth of nesting", plain),
    "generation": Column("", "int64", "oldest generation collected", plain),
    "exception": Column("", "str", "type of the exception", plain),
    # 06 syscall_latency
    "operation": Column("", "str", "operation", plain),
    "cache": Column("", "str", "way", lambda name: _CACHES.get(name, name)),
    "ios": Column("", "int64", "I/Os that the program made", plain),
    "p25_ns": Column("ns", "float64", "25th percentile", si_ns),
    "p75_ns": Column("ns", "float64", "75th percentile", si_ns),
    "mean_ns": Column("ns", "float64", "mean", si_ns),
    "unwatched_p50_ns": Column("ns", "float64", "median by the program, unwatched", si_ns),
    "low_unwatched_p50_ns": Column("ns", "float64", "the same, low end", si_ns),
    "high_unwatched_p50_ns": Column("ns", "float64", "the same, high end", si_ns),
    "slice_s": Column("s", "float64", "width of a time slice", lambda v: f"{v:.3g} s"),
    "neighbour": Column("", "str", "neighbour", plain),
    "ios_per_s": Column("1/s", "float64", "I/Os per second", si_count),
    "witness": Column("", "str", "witness", plain),
    "offset_bytes": Column("B", "int64", "place in the file", plain),
    "block_requests": Column("", "int64", "requests of the block layer", plain),
    "stage": Column("", "str", "stage", lambda name: COLUMNS[name].label),
    "share": Column("", "float64", "share", known(lambda v: f"{100 * v:.3g} %")),
    "before_ns": Column("ns", "int64", "on the way in", si_ns),
    "file_system_ns": Column("ns", "int64", "file system", si_ns),
    "block_queue_ns": Column("ns", "int64", "block layer", si_ns),
    "device_ns": Column("ns", "int64", "device", si_ns),
    "wake_ns": Column("ns", "int64", "wake-up", si_ns),
    "return_ns": Column("ns", "int64", "file system, afterwards", si_ns),
    "after_ns": Column("ns", "int64", "on the way out", si_ns),
    "program_ns": Column("ns", "int64", "as the program saw it", si_ns),
    # 07 io_engines
    "engine": Column("", "str", "engine", plain),
    "order": Column("", "str", "order", plain),
    "queue_depth": Column("", "int64", "queue depth", plain),
    "batch": Column("", "int64", "I/Os per call", plain),
    "in_flight": Column("", "float64", "in flight on average", lambda v: f"{v:.1f}"),
    "calls_per_io": Column("", "float64", "system calls per I/O", known(lambda v: f"{v:.3f}")),
    "sleeps_per_io": Column("", "float64", "sleeps per I/O", known(lambda v: f"{v:.3f}")),
    "cpu_ns_per_io": Column("ns", "float64", "CPU time per I/O", si_ns),
    "low_cpu_ns_per_io": Column("ns", "float64", "CPU time per I/O, low end", si_ns),
    "high_cpu_ns_per_io": Column("ns", "float64", "CPU time per I/O, high end", si_ns),
    "call": Column("", "str", "system call", plain),
    "slept": Column("", "int64", "sleeps in it", plain),
    "preempted": Column("", "int64", "times preempted in it", plain),
    "ns_per_io": Column("ns", "float64", "time in it per I/O", si_ns),
    "slot": Column("", "int64", "lane", plain),
    "submit_ns": Column("ns", "int64", "submitted", si_ns),
    "complete_ns": Column("ns", "int64", "completed", si_ns),
    "most_in_flight": Column("", "int64", "most in flight at once", plain),
    "again": Column("", "bool", "A/A arm", lambda yes: "again" if yes else ""),
    "watched": Column("", "bool", "probes", lambda yes: "attached" if yes else "none"),
    "watched_ios": Column("", "int64", "I/Os in watched slices", plain),
    "low_ios_per_s": Column("1/s", "float64", "I/Os per second, low end", si_count),
    "high_ios_per_s": Column("1/s", "float64", "I/Os per second, high end", si_count),
    "low_p50_ns": Column("ns", "float64", "median, low end", si_ns),
    "high_p50_ns": Column("ns", "float64", "median, high end", si_ns),
    "loop": Column("", "str", "loop", plain),
    "offered_per_s": Column("1/s", "float64", "offered I/Os per second", lambda v: si_count(v) if v else "–"),
    "low_p99_ns": Column("ns", "float64", "p99, low end", known(si_ns)),
    "high_p99_ns": Column("ns", "float64", "p99, high end", known(si_ns)),
    "service_p99_ns": Column("ns", "float64", "p99 from submission", known(si_ns)),
    "low_service_p99_ns": Column("ns", "float64", "p99 from submission, low end", known(si_ns)),
    "high_service_p99_ns": Column("ns", "float64", "p99 from submission, high end", known(si_ns)),
    "durable": Column("", "str", "durable by", plain),
    "fdatasyncs": Column("", "int64", "calls of fdatasync", plain),
    "fdatasync_p50_ns": Column("ns", "float64", "median fdatasync", known(si_ns)),
    "device_written_share": Column("", "float64", "charged as written", known(lambda v: f"{v:.0%}")),
    "file_bytes": Column("B", "int64", "working set", si_bytes),
    "database_bytes": Column("B", "int64", "size of the database", si_bytes),
    "comparison": Column("", "str", "comparison", plain),
    "filesystem": Column("", "str", "file system", plain),
    "punted": Column("", "int64", "handed to a worker", plain),
    "workers": Column("", "int64", "worker threads", plain),
    "worker_cpu_s": Column("s", "float64", "CPU time of the workers", lambda v: f"{v:.3g} s"),
    "kernel_threads_s": Column("s", "float64", "CPU time of the workers", lambda v: f"{v:.3g} s"),
    "verified_ios": Column("", "int64", "blocks compared", plain),
    "checksum": Column("", "str", "sum of all words", plain),
    # 08 uring
    "interface": Column("", "str", "interface", plain),
    "crc32": Column("", "str", "CRC-32 of what came", plain),
    "file_crc32": Column("", "str", "CRC-32 of the file", plain),
    "submits": Column("", "int64", "calls that submit", plain),
    "waits": Column("", "int64", "calls that wait", plain),
    "wakes": Column("", "int64", "calls that wake", plain),
    "sqes": Column("", "int64", "sqes that the kernel consumed", plain),
    "by_program": Column("", "int64", "sqes consumed in own calls", plain),
    "by_sqpoll": Column("", "int64", "sqes consumed by iou-sqp", plain),
    "step": Column("", "int64", "step", plain),
    "action": Column("", "str", "after", plain),
    "sq_head": Column("", "int64", "submission head", plain),
    "sq_tail": Column("", "int64", "submission tail", plain),
    "cq_head": Column("", "int64", "completion head", plain),
    "cq_tail": Column("", "int64", "completion tail", plain),
    "sq_entries": Column("", "int64", "size of the submission ring", plain),
    "cq_entries": Column("", "int64", "size of the completion ring", plain),
    "elapsed_ns": Column("ns", "int64", "elapsed time", si_ns),
    "submitter": Column("", "str", "submitted by", plain),
    "registered": Column("", "str", "registered", plain),
    "program_cpu_ns_per_io": Column("ns", "float64", "CPU time of the program per I/O", si_ns),
    "kernel_cpu_ns_per_io": Column("ns", "float64", "CPU time of the kernel's threads per I/O", si_ns),
    "saved_ns": Column("ns", "float64", "saved", si_ns),
    "worker_runs": Column("", "int64", "times a worker had a CPU", plain),
    "thread": Column("", "str", "thread", plain),
    "event": Column("", "str", "what it did", plain),
    "stop": Column("", "str", "stop", plain),
    "seen_calls": Column("", "int64", "calls seen by the kernel", plain),
    "calls_per_file": Column("", "float64", "system calls per file", lambda v: f"{v:.3g}"),
    "ns_per_file": Column("ns", "float64", "time for one file", si_ns),
    "took_ns": Column("ns", "int64", "took", lambda v: "–" if v < 0 else si_ns(v)),
    "result": Column("", "str", "result", plain),
    # 09 sockmap
    "pinning": Column("", "str", "where the two ends run", plain),
    "message_bytes": Column("B", "int64", "message size", si_bytes),
    "rtt_ns": Column("ns", "float64", "mean round trip", si_ns),
    "p50_ns": Column("ns", "float64", "median", si_ns),
    "p99_ns": Column("ns", "float64", "99th percentile", known(si_ns)),
    "bytes_per_s": Column("B/s", "float64", "throughput", lambda v: f"{si_bytes(v)}/s"),
    "requests_per_s": Column("1/s", "float64", "requests per second", si_count),
    "requests": Column("", "int64", "requests", plain),
    "pipeline": Column("", "int64", "requests sent at once", plain),
    "connections": Column("", "int64", "connections", plain),
    "opened_connections": Column("", "int64", "connections opened", plain),
    "round_trips": Column("", "int64", "round trips", plain),
    "messages": Column("", "int64", "messages sent", plain),
    "redirects": Column("", "int64", "by the shortcut", plain),
    "misses": Column("", "int64", "left to TCP", plain),
    "unseen_messages": Column("", "int64", "sent by refused sockets", plain),
    "inserts": Column("", "int64", "sockets in the map", plain),
    "insert_failures": Column("", "int64", "sockets refused", plain),
    "data_segments": Column("", "int64", "TCP segments of the client", plain),
    "lo_packets": Column("", "int64", "packets on lo", plain),
    "lo_bytes": Column("B", "int64", "bytes on lo", si_bytes),
    "cpu_ns_per_message": Column("ns", "float64", "CPU time per message", si_ns),
    "switches_per_message": Column("", "float64", "context switches per message", lambda v: f"{v:.2f}"),
    "client_cpu": Column("", "int64", "CPU of the client", plain),
    "server_cpu": Column("", "int64", "CPU of the server", plain),
    "sent_bytes": Column("B", "int64", "bytes sent", plain),
    "received_bytes": Column("B", "int64", "bytes received", plain),
    "wrong_bytes": Column("B", "int64", "bytes wrong", plain),
    # 10 capstone
    "journal": Column("", "str", "journal mode", plain),
    "synchronous": Column("", "str", "synchronous", plain),
    "file": Column("", "str", "on", plain),
    "transactions": Column("", "int64", "transactions", plain),
    "transaction": Column("", "int64", "number of the transaction", plain),
    "alike": Column("", "int64", "transactions with as many calls", plain),
    "rows": Column("", "int64", "rows", plain),
    "stored_rows": Column("", "int64", "rows found by sqlite3", plain),
    "rows_per_transaction": Column("", "int64", "rows per transaction", plain),
    "row_bytes": Column("B", "int64", "size of a row", si_bytes),
    "calls_per_transaction": Column("", "float64", "calls per transaction", lambda v: f"{v:.2f}"),
    "syncs_per_transaction": Column("", "float64", "syncs per transaction", lambda v: f"{v:.2f}"),
    "bytes_per_transaction": Column("B", "float64", "written per transaction", si_bytes),
    "total_ns": Column("ns", "int64", "total time", si_ns),
    "ns_per_transaction": Column("ns", "float64", "time per transaction", si_ns),
    "ns_per_row": Column("ns", "float64", "time per row", si_ns),
    "written_bytes": Column("B", "float64", "bytes written", known(lambda v: f"{v:,.0f} B")),
    "sync_share": Column("", "float64", "time in syncs", lambda v: f"{v:.0%}"),
    "strace_count": Column("", "int64", "count by strace", plain),
    "append_only": Column("", "str", "append-only file", plain),
    "clients": Column("", "int64", "clients", plain),
    "low_per_s": Column("1/s", "float64", "95 % interval, low end", si_count),
    "high_per_s": Column("1/s", "float64", "95 % interval, high end", si_count),
    "calls_per_request": Column("", "float64", "calls per request", lambda v: f"{v:.3f}"),
    "syncs_per_request": Column("", "float64", "syncs per request", lambda v: f"{v:.3f}"),
    "ns_per_request": Column("ns", "float64", "time per request", si_ns),
    # 11 serve
    "transport": Column("", "str", "kind of socket", plain),
    "cpu_ns_per_request": Column("ns", "float64", "CPU time of the server per request", si_ns),
    "own_calls_per_request": Column("", "float64", "calls per request, by the server", lambda v: f"{v:.3f}"),
    "switches_per_request": Column("", "float64", "context switches per request", lambda v: f"{v:.3f}"),
    "sleeps_per_request": Column("", "float64", "sleeps per request", lambda v: f"{v:.3f}"),
    "peak_bytes": Column("B", "int64", "most memory of the server", si_bytes),
    "notifications": Column("", "int64", "zero-copy sends", plain),
    "copied_notifications": Column("", "int64", "of these copied after all", plain),
    "own_count": Column("", "int64", "count by the server itself", lambda v: "–" if v < 0 else str(v)),
    "answered": Column("", "int64", "answers compared", plain),
    "visits": Column("", "int64", "clients that misbehaved", plain),
    "accepted": Column("", "int64", "connections accepted", plain),
    "resets": Column("", "int64", "resets that the server saw", plain),
    "offered_requests_per_s": Column("1/s", "float64", "offered requests per second", si_count),
    "clock": Column("", "str", "time begins when", plain),
    "never_asked": Column("", "int64", "due, and never sent", plain),
    "generator": Column("", "str", "load generator", plain),
    "wakeups": Column("", "int64", "wake-ups by the kernel's count", plain),
    "wakeups_per_connection": Column("", "float64", "wake-ups per connection", lambda v: f"{v:.4g}"),
    "voluntary_switches": Column("", "int64", "sleeps by the threads' own count", plain),
    "empty_accepts": Column("", "int64", "accepts that found nothing", plain),
    "cpu_ns_per_connection": Column("ns", "float64", "CPU time of the threads per connection", si_ns),
    "waker": Column("", "str", "woken by", plain),
    # 12 your_program
    "errors": Column("", "int64", "of these with an error", plain),
    "min_ns": Column("ns", "int64", "shortest", si_ns),
    "max_ns": Column("ns", "int64", "longest", si_ns),
    "opens": Column("", "int64", "opened", plain),
    "reads": Column("", "int64", "reads", plain),
    "writes": Column("", "int64", "writes", plain),
    "read_bytes": Column("B", "int64", "bytes read", si_bytes),
    "wait": Column("", "str", "waited", plain),
    "lock": Column("", "str", "address of the lock", plain),
    "fault": Column("", "str", "page fault", plain),
    "local_port": Column("", "int64", "own port", plain),
    "remote_port": Column("", "int64", "port of the other end", plain),
    "probe_runs": Column("", "int64", "runs of the probes", plain),
    "probe_ns": Column("ns", "int64", "time of the probes", si_ns),
}


def frame(columns: Columns, **attrs: Any) -> pd.DataFrame:
    """Return a tidy frame whose columns have the schema's dtypes.

    Parameters
    ----------
    columns : column name -> values, a list of rows, or another frame. Every name must be in `COLUMNS`.
    attrs : what the frame carries next to its rows (`frame.attrs`): provenance, lost events, warnings.

    Raises
    ------
    KeyError : a column is not in the table (an error of the lab, never of the learner).
    """
    made = pd.DataFrame(columns)
    unknown = [name for name in made.columns if name not in COLUMNS]
    if unknown:
        raise KeyError(f"columns not in labkit.schema.COLUMNS: {unknown}")
    made = made.astype({name: _dtype(made[name]) for name in made.columns})
    made.attrs.update(attrs)
    return made


def derived(columns: Columns, source: pd.DataFrame, **attrs: Any) -> pd.DataFrame:
    """Return what was computed from the frame `source`, as `frame` does; it carries what `source` carries.

    Parameters
    ----------
    columns : as of `frame`.
    attrs : what it carries instead, or in addition.
    """
    return frame(columns, **{str(name): fact for name, fact in source.attrs.items()} | attrs)


def _dtype(column: pd.Series[Any]) -> str:
    """Return the dtype of a column; a column of whole numbers that has gaps gets the one that can hold them."""
    dtype = COLUMNS[str(column.name)].dtype
    return dtype.capitalize() if dtype.startswith("int") and column.isna().any() else dtype


def label(name: str) -> str:
    """Return the text for an axis or a table head."""
    return COLUMNS[name].label if name in COLUMNS else name.replace("_", " ")


def formatter(name: str) -> Callable[[Any], str]:
    """Return the function that writes one value of a column for people."""
    return COLUMNS[name].format if name in COLUMNS else plain
