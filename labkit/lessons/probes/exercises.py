# SPDX-License-Identifier: Apache-2.0
"""The programs that learners write in lesson 04, and the cases in which they are tried."""

from __future__ import annotations

from collections import defaultdict

from labkit.lessons._judge.cases import Act, Case, not_watched
from labkit.lessons._judge.kept import Kept, Key
from labkit.lessons._judge.tool import Tool, Truth, summed

__all__ = ["DEEPEST", "NAPS"]

_NAP = {"on_entry": ("nap", False), "on_return": ("nap", True)}
_FALL = {"on_entry": ("fall", False), "on_return": ("fall", True)}


def _naps(acts: list[Act]) -> Truth:
    """Say how often each thread napped, and its time: at least what it asked for, at most what it measured around."""
    calls = summed((act.tid, act.done) for act in acts)
    least = summed((act.tid, act.done * act.arguments[0] * 1000) for act in acts)
    most = summed((act.tid, act.elapsed_ns) for act in acts)
    return {"calls": calls, "time_ns": {tid: (least[tid], most[tid]) for tid in calls}}


def _deepest(acts: list[Act]) -> Truth:
    depth: defaultdict[Key, int] = defaultdict(int)
    for act in acts:
        if act.done:
            depth[act.tid] = max(depth[act.tid], act.arguments[0])
    return {"deepest": depth}


NAPS = Tool(
    "04",
    (
        Kept("calls", "BPF_HASH(calls, u32, u64);", key="u32", label="thread"),
        Kept("time_ns", "BPF_HASH(time_ns, u32, u64);", key="u32", label="thread"),
    ),
    _naps,
    (
        Case(
            "one thread",
            "main: nap 3-9 500-1500",
            less="One call has one entry and one return, and its time in nanoseconds is the difference. The key is the "
            "id of the thread, labkit_tid().",
        ),
        not_watched("main: nap 2 300", "main: nap 11-23 200"),
        Case(
            "two threads at a time",
            "thread: nap 3-5 9000-12000; thread: nap 4-6 5000-8000",
            more="Two calls are open at a time, one in each thread. Keep the start of each under its thread.",
            less="Two calls are open at a time, one in each thread, and the start of the second replaced that of the "
            "first. Keep each start under its thread.",
        ),
    ),
    uprobes=_NAP,
)

DEEPEST = Tool(
    "04",
    (Kept("deepest", "BPF_HASH(deepest, u32, u64);", key="u32", label="thread"),),
    _deepest,
    (
        Case("one call", "main: fall 1 1 0", less="A call that calls nobody is one open call: its depth is 1."),
        not_watched("main: fall 1 1 0", "main: fall 2 12 0"),
        Case(
            "recursion",
            "main: fall 1 5-20 0",
            less="While fall() calls itself, entries come one after another and no return between them: add one for "
            "each, and keep the largest sum.",
        ),
        Case(
            "one after another",
            "main: fall 3-6 4-9 0",
            more="A call that has returned is not open any more: take one away at each return.",
        ),
        Case(
            "less deep later",
            "main: fall 1 11-19 0, fall 2-4 2-9 0",
            less="The last call is not always the deepest. Keep the largest depth, not the latest.",
        ),
        Case(
            "two threads at a time",
            "thread: fall 1 5-9 20000; thread: fall 1 11-15 20000",
            more="The open calls of one thread are added to those of the other. Count by thread, not by process.",
        ),
    ),
    uprobes=_FALL,
)
