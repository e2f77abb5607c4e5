# SPDX-License-Identifier: Apache-2.0
"""Lesson 07, as a learner runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from runner.learner import Followed, follow

from labkit.machine.folders import repo_folder
from labkit.notebook.recorded import MARK
from labkit.runner.lesson import Lesson

pytestmark = pytest.mark.bpf

FACTS = """{
    "checksums": int(content["checksum"].nunique()),
    "verified": [content["verified_ios"].tolist(), content["ios"].tolist()],
    "overlap": dict(zip(overlap["engine"], overlap["most_in_flight"].tolist())),
    "calls_per_io": dict(zip(costs["engine"], costs["calls_per_io"])),
    "cold": {call: [int(row["slept"]), int(row["count"])] for call, row in cold.iterrows()},
    "depths": sorted(curves["queue_depth"].unique().tolist()),
    "sizes": sorted(sizes["block_bytes"].unique().tolist()),
    "bytes": [
        bool((frame["bytes"] == frame["ios"] * frame["block_bytes"]).all()) for frame in (engines, curves, sizes)
    ],
    "recorded": any(
        frame.attrs.get("recorded")
        for frame in (content, lanes, engines, curves, sizes, calls, memory, abc, unknown, batches, law)
    ),
}"""

REFUSE = """from labkit.errors import Missing, WorkloadUnable
from labkit.lessons._io import watch
from labkit.lessons.io_engines import runs
from labkit.running.workload import Workload

class Refuses(Workload):
    def __enter__(self):
        engine = self.command[self.command.index("--engine") + 1]
        if {refused}:
            raise WorkloadUnable("This machine refuses it.", "take another machine")
        return super().__enter__()

def no_bpf(*_, **__):
    raise Missing("The kernel refused BPF.", "run as root")

runs.Workload = Refuses
watch.Program = no_bpf"""

# each measurement of the lesson that needs BPF or all three engines; and all
NEED_MORE = {"calls", "memory", "who-blocks", "batches", "watching", "load"}
ALL = NEED_MORE | {
    "content",
    "lanes",
    "engines",
    "curves",
    "sizes",
    "deep",
    "law",
    "pool",
    "durable",
    "cached",
    "working-sets",
}


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("07-io-engines", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_nothing_of_it_is_a_recording(lesson: Followed) -> None:
    assert lesson.facts["recorded"] is False


@pytest.mark.parametrize(
    ("refused", "recordings"), [("engine == 'io_uring'", NEED_MORE), ("True", ALL)], ids=["io_uring", "O_DIRECT"]
)
def test_where_bpf_and_more_is_refused_it_runs_and_says_what_is_recorded(
    refused: str, recordings: set[str], tmp_path: Path
) -> None:
    notebook: Any = nbformat.read(repo_folder() / "notebooks" / "07-io-engines.ipynb", as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(REFUSE.format(refused=refused)))
    said: list[str] = []
    assert Lesson("07", notebook, tmp_path, quick=True, timeout_s=300, say=said.append).execute() == ""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert {output.metadata[MARK] for output in outputs if MARK in output.get("metadata", {})} == {
        f"07-{name}" for name in recordings
    }


def test_every_engine_reads_the_same_bytes(lesson: Followed) -> None:
    assert lesson.facts["bytes"] == [True] * 3
    assert lesson.facts["checksums"] == 1
    verified, ios = lesson.facts["verified"]
    assert verified == ios


def test_the_asynchronous_engines_overlap(lesson: Followed) -> None:
    assert lesson.facts["overlap"] == {"sync": 1, "libaio": 8, "io_uring": 8}
    assert lesson.facts["depths"] == [1, 4, 16, 64]
    assert lesson.facts["sizes"] == [4096, 65536, 1 << 20]


def test_batches_take_less_than_a_call_per_io(lesson: Followed) -> None:
    per_io = lesson.facts["calls_per_io"]
    assert per_io["sync"] == 1 and per_io["libaio"] < 1 and per_io["io_uring"] < 1


def test_on_a_cold_file_libaio_sleeps_while_it_hands_over_and_io_uring_does_not(lesson: Followed) -> None:
    slept, calls = lesson.facts["cold"]["io_submit"]
    assert slept > 0.9 * calls
    slept, calls = lesson.facts["cold"]["io_uring_enter (submit)"]
    assert slept < 0.1 * calls


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
