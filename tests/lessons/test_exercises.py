# SPDX-License-Identifier: Apache-2.0
"""An exercise has a truth only when its experiment has run: else the learner sees a recording, which has another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest

from labkit.bpf.program import Program
from labkit.errors import Missing
from labkit.lessons import hello, io_engines, maps, probes, start, syscall_latency, uring, usdt
from labkit.lessons.capstone import exercises as capstone_exercises
from labkit.lessons.serve import exercises as serve_exercises
from labkit.lessons.sockmap import exercises as sockmap_exercises
from labkit.lessons.verifier import exercises as verifier_exercises
from labkit.lessons.verifier import gallery
from labkit.notebook.check import check
from labkit.running import truths
from labkit.running.workload import Workload

EXERCISES: dict[str, Callable[[], object]] = {
    "00-q1": start.mystery,
    "01-q1": hello.mystery,
    "01-q2": hello.find_suspect,
    "02-q1": maps.slow_thread,
    "02-q2": maps.too_many_sizes,
    "02-q3": maps.hidden_size,
    "03-q1": verifier_exercises.log_of_a_mask,
    "03-q2": lambda: verifier_exercises.row_of_secret_size(23),
    "03-q3": lambda: verifier_exercises.open_files(Program("hello")),
    "03-q4": verifier_exercises.log_without_a_name,
    "04-q1": probes.hidden,
    "04-q2": probes.nap_mystery,
    "04-q3": probes.busy_fruit,
    "05-q1": usdt.mystery,
    "05-q2": usdt.find_slow,
    "05-q4": usdt.throw_mystery,
    "06-q1": syscall_latency.mystery,
    "06-q2": syscall_latency.cached,
    "06-q3": syscall_latency.suspects,
    "06-q4": syscall_latency.slowest_stage,
    "07-q1": io_engines.who_blocks,
    "07-q2": io_engines.deep,
    "07-q3": io_engines.batches,
    "07-q4": io_engines.law,
    "08-q1": uring.heads_and_tails,
    "08-q2": uring.who_polls,
    "08-q3": uring.chains,
    "08-q4": uring.desk,
    "09-q1": sockmap_exercises.how_many_round_trips,
    "09-q2": sockmap_exercises.which_run_is_odd,
    "09-q3": sockmap_exercises.how_much_room,
    "10-q1": capstone_exercises.which_journal,
    "10-q2": lambda: capstone_exercises.count_transactions(Program("hello")),
    "10-q3": lambda: capstone_exercises.who_commits(Program("hello")),
    "10-q4": lambda: capstone_exercises.log_size(Program("hello")),
    "11-q1": serve_exercises.which_way,
    "11-q2": lambda: serve_exercises.count_by_calls(Program("hello")),
    "11-q3": lambda: serve_exercises.count_in_the_ring(Program("hello")),
    "11-q4": serve_exercises.how_many_connections,
}


@pytest.fixture(autouse=True)
def no_truths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with no truth told, as in a fresh notebook, and let any program of a learner's do."""
    monkeypatch.setattr(truths, "_VAULT", truths._Vault())
    for exercises in (verifier_exercises, capstone_exercises, serve_exercises):
        monkeypatch.setattr(exercises, "watcher", lambda watch: watch)


def refuse(*_: object) -> NoReturn:
    raise Missing("This machine has none.", "take another")


def nothing_to_compare_with(question: str) -> bool:
    with pytest.raises(Missing):
        EXERCISES[question]()
    return "nothing to compare with yet" in check(question, 1).text


@pytest.mark.parametrize("question", EXERCISES)
def test_where_the_experiment_cannot_run_there_is_nothing_to_compare_with(
    question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Program, "__enter__", refuse)
    monkeypatch.setattr(Workload, "__enter__", refuse)
    monkeypatch.setattr(gallery, "program_type", refuse)
    assert nothing_to_compare_with(question)


@pytest.mark.bpf
@pytest.mark.parametrize("question", ["07-q3", "08-q3", "08-q4", "09-q1", "09-q3"])
def test_where_only_the_workload_is_refused_there_is_nothing_to_compare_with_either(
    question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workload, "__enter__", refuse)
    assert nothing_to_compare_with(question)
