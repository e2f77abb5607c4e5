# SPDX-License-Identifier: Apache-2.0
"""Everything in the lab that reads foreign input, as functions of bytes.

Each may return, or raise a `LabkitError` of two short lines; anything else is a failure.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz import readers
from tree import ROOT

from labkit.errors import LabkitError

__all__ = ["TARGETS", "Target"]

LONGEST_LINE = 1500
Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """What is fuzzed: `weight` is its share of the inputs, `opened` yields the function that reads one."""

    name: str
    weight: float
    seeds: Callable[[], list[bytes]]
    opened: Callable[[], AbstractContextManager[Read]]
    most_bytes: int = 20_000


def _plain(read: Read) -> Callable[[], AbstractContextManager[Read]]:
    @contextmanager
    def opened() -> Iterator[Read]:
        yield _refusing_well(read)

    return opened


def _opened(made: Callable[[], AbstractContextManager[Read]]) -> Callable[[], AbstractContextManager[Read]]:
    @contextmanager
    def opened() -> Iterator[Read]:
        with made() as read:
            yield _refusing_well(read)

    return opened


def _refusing_well(read: Read) -> Read:
    def checked(text: bytes) -> object:
        try:
            return read(text)
        except LabkitError as error:
            for line in (error.what, error.fix):
                assert len(line.splitlines()) == 1, "a message of several lines"
                assert len(line) < LONGEST_LINE, "a line too long to be read"
            return error

    return checked


def _files(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for name in names for path in sorted(ROOT.glob(name))]


def _kernel(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [Path(name).read_bytes() for name in names if os.access(name, os.R_OK)]


def _texts(*texts: str) -> Callable[[], list[bytes]]:
    return lambda: [text.encode() for text in texts]


def _json(*values: Any) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(value).encode() for value in values]


def _elf() -> list[bytes]:
    """Return the smallest program with USDT probes, as the compiler makes it, and one without a note."""
    return [readers.program_with_probes(), b"\x7fELF\2\1" + bytes(100)]


def _logs() -> list[bytes]:
    """Return the logs that the kernels wrote, one refusal each."""
    cut = [
        part
        for path in sorted((ROOT / "tests/bpf/verifier/logs").glob("*.txt"))
        for part in path.read_text().split("\n\n")
    ]
    return [part.encode() for part in cut if part.strip()]


_OPERANDS = ("-4@%eax 8@16(%rbp) 8@$5", "8@(%rax,%rbx,8) -1@%al 4f@%xmm0", "-4@w0 8@[sp, 16] 8@5 8@[x1, x2, lsl #3]")
_RECORD = {
    "purpose": "lesson 07",
    "who": "ada",
    "boot": "b",
    "pid_namespace": 4026531836,
    "pid": 7,
    "started": 9,
    "since_s": 3.5,
    "share": 0.25,
}
_PROGRESS = {
    "solved": {"01-q1": "2026-11-28"},
    "predictions": {
        "01-p1": {"question": "How many?", "choices": ["1", "2"], "said": "1", "measured": "2", "right": False}
    },
}
_RESULT = {
    "answers": {"01-q1": {"state": "right", "said": "3", "cell": 4}},
    "cells": [{"cell": 1, "kind": "lab", "error": "x"}],
    "signs": ["a"],
    "ended": "",
    "seconds": 1.5,
    "kernel": "6.1",
}
_NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "source": "labkit.check('01-q1', 3)", "execution_count": 3},
        {"cell_type": "markdown", "source": ["## Exercises\n", "x"]},
        {"cell_type": "code", "source": ["%%bpf x\n", "int y;"], "execution_count": None},
    ]
}
_PLAIN = {"$dict": [["a", [1, 2.5, {"$dots": 0}]], ["f", {"$frame": [["x", [1, 2]]], "index": [0, 1]}]]}
_PROGRAMS = _files("c/bpf/*.c", "c/bpf/verifier/*.c", "tests/bpf/verifier/rejected/*.c", "tests/cells/cells/*.c")

TARGETS = (
    Target("elf_notes", 10, _elf, _opened(readers.elf_notes), 40_000),
    Target("operands", 40, _texts(*_OPERANDS), _plain(readers.operands)),
    Target(
        "helper_numbers",
        20,
        _texts("call bpf_map_lookup_elem#1", "call unknown#195896080", "R1 type=ctx expected=fp"),
        _plain(readers.notation),
    ),
    Target("verifier_logs", 1.5, _logs, _plain(readers.verifier_log)),
    Target("recordings", 0.3, _files("notebooks/recorded/0[0-4]*.csv"), _opened(readers.recordings)),
    Target("recorded_facts", 1, _files("notebooks/recorded/0*.json"), _opened(readers.recorded_facts)),
    Target("histograms", 20, _json([[100, 3], [2048, 7]], [], [[0, 1]]), _plain(readers.histogram)),
    Target(
        "workload_answers", 3, _json({"ios": 3, "block_bytes": 4096, "engine": "sync"}), _plain(readers.workload_answer)
    ),
    Target("archives", 1.5, readers.archives, _opened(readers.collected)),
    Target("archive_lists", 1, readers.archive_lists, _opened(readers.collected_list)),
    Target("progress_files", 2, _json(_PROGRESS, {"solved": {}}), _opened(readers.progress)),
    Target("handed_out_ledgers", 1, _json({"00-start.ipynb": "abc"}), _opened(readers.ledger)),
    Target("holders", 16, _json(_RECORD), _plain(readers.holder)),
    Target("grading_results", 4, _json(_RESULT), _opened(readers.grading_result)),
    Target("learners_notebooks", 3, _json(_NOTEBOOK), _opened(readers.notebook)),
    Target(
        "learners_cells",
        1,
        _texts("x = labkit.check('01-q1', 3 + a.b)\nfor i in range(9): y[i] = i", "%%bpf a b\nint x;"),
        _plain(readers.cell),
    ),
    Target("messages_of_a_learner", 10, _json(_PLAIN), _plain(readers.message)),
    Target(
        "tracefs_formats",
        10,
        _kernel(
            "/sys/kernel/tracing/events/sched/sched_switch/format",
            "/sys/kernel/tracing/events/syscalls/sys_enter_openat/format",
        ),
        _opened(readers.tracefs_format),
    ),
    Target(
        "uprobe_events",
        5,
        _texts("p:uprobes/p__a_bcc_7 /build/x:0x12ab\nr:a/b_bcc_3 /x:0x1\n"),
        _opened(readers.uprobe_events),
    ),
    Target("mountinfo", 16, _kernel("/proc/self/mountinfo"), _opened(readers.mountinfo)),
    Target("cgroup", 6, _texts("0::/a/b\n", "12:cpu:/\n0::/../x\n"), _opened(readers.cgroup)),
    Target("proc_maps", 10, _kernel("/proc/self/maps"), _opened(readers.maps)),
    Target("proc_stat", 12, _kernel("/proc/self/stat"), _opened(readers.stat)),
    Target("proc_status", 10, _kernel("/proc/self/status"), _opened(readers.status)),
    Target("perf_maps", 10, _texts("7f12 40 py::f:/a/b.py\n7f80 10 x\n"), _opened(readers.perf_map)),
    Target("cpu_lists", 8, _texts("0-1", "0,2-3,8", "0"), _opened(readers.cpu_list)),
    Target("device_facts", 2, _texts("[mq-deadline] none", "256", "1"), _opened(readers.device)),
    Target("kernel_types", 8, readers.types, _plain(readers.btf)),
    Target("clang_words", 1.5, readers.clang_words, _plain(readers.clang)),
    Target("learners_programs", 0.3, _PROGRAMS, _plain(readers.program), 6000),
    Target("counted_programs", 3, _PROGRAMS, _plain(readers.counted), 6000),
)
