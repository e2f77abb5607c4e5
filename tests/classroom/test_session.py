# SPDX-License-Identifier: Apache-2.0
"""The lab's side of a graded notebook offers no function that opens or runs a file which a learner names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labkit.classroom.session import FILES, LITERAL, RIGHT, Session
from labkit.classroom.steps import LAB, LEARNER, checked, is_literal, signs, steps
from labkit.classroom.wire import NotPlain, from_plain, to_plain
from labkit.course import LESSONS
from labkit.running import truths

# words in the name or the type of a parameter by which it may name a file, a command or code
_SUSPECT = ("path", "command", "script", "python", "folder", "shell", "Path", "argument", "option", "flag", "binary")


def offered() -> list[tuple[str, Callable[..., Any]]]:
    """Return every function that a lesson offers to its notebook."""
    modules = [import_module(f"labkit.lessons.{lesson.stem}") for lesson in LESSONS]
    each = [(f"{module.__name__}.{name}", getattr(module, name)) for module in modules for name in module.__all__]
    return [(name, held) for name, held in each if inspect.isfunction(held)]


def test_every_parameter_that_names_a_file_is_refused() -> None:
    found = {
        f"{name}({parameter.name})"
        for name, function in offered()
        for parameter in inspect.signature(function).parameters.values()
        if any(word in f"{parameter.name} {parameter.annotation}" for word in _SUSPECT) and parameter.name not in FILES
    }
    assert found == set()


@pytest.mark.parametrize(
    "value",
    [None, True, 7, 1.5, "text", [1, [2, "x"]], {"a": 1, 2: "b", (1, 2): 3}, ..., {"$frame": "not one"}],
    ids=repr,
)
def test_a_plain_value_comes_back_as_it_was(value: object) -> None:
    assert from_plain(to_plain(value)) == value


def test_numbers_of_numpy_and_tables_are_plain() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[3, 5])
    assert from_plain(to_plain(frame)).equals(frame)
    assert to_plain(np.int64(7)) == 7
    assert type(to_plain(np.float64(0.5))) is float
    assert to_plain(frame.loc[[3], "a"]) == [1]


@pytest.mark.parametrize("value", [object(), len, {"a": object()}, b"bytes"], ids=repr)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(NotPlain):
        to_plain(value)


@pytest.mark.parametrize(
    "sent", [{"$program": "os"}, {"$program": []}, {"other": 1}, {"$frame": [[1]]}, {"$dict": 5}, {"$dict": [[{}, 1]]}]
)
def test_what_the_learners_side_forges_is_refused(sent: object) -> None:
    with pytest.raises(NotPlain):
        from_plain(sent, {"mine": object()})


def cells(*sources: str) -> list[dict[str, Any]]:
    return [{"source": source, "execution_count": 0, "after_exercises": False} for source in sources]


def test_the_labs_cells_on_which_no_answer_depends_are_left_out() -> None:
    own = ["import labkit", "frame = measure()", "panel()", "other = measure()", 'labkit.check("01-q1", ...)']
    found = steps(cells(*own, 'labkit.check("01-q1", len(frame))'), own)
    assert [(step.kind, step.source) for step in found] == [
        (LAB, own[0]),
        (LAB, own[1]),
        (LEARNER, 'labkit.check("01-q1", len(frame))'),
    ]


def test_a_cell_that_differs_by_one_letter_is_the_learners() -> None:
    own = ["frame = measure()"]
    found = steps(cells("frame = measure( )", "%%bpf ends{boom}\nint x;", "frame = measure()\n", "frame"), own)
    assert [step.kind for step in found] == [LEARNER, LAB, LEARNER]  # nothing uses what the C cell loads


LITERALS = ("7", "-7", "3 + 4", "int('7')", "[1, 2]", "named")
COMPUTED = ("len(frame)", "frame.size", "computed", "int(frame)")


@pytest.mark.parametrize(("answer", "literal"), [(each, each in LITERALS) for each in LITERALS + COMPUTED])
def test_a_literal_is_told_from_what_is_computed(answer: str, literal: bool) -> None:
    source = f'named = 7\ncomputed = 1\ncomputed = len(frame)\nlabkit.check("01-q1", {answer})'
    ((name, found),) = checked(source)
    assert name == "01-q1"
    assert is_literal(found, [source]) == literal


def test_what_a_teacher_should_look_at_is_named() -> None:
    source = "labkit.check = print\nfrom labkit.running import truths"
    (step,) = steps(cells(source), [])
    assert signs(step) == ["cell 1 patches the check: labkit.check =", "cell 1 reaches for the lab's insides: truths"]


def test_a_bpf_program_that_acts_on_other_processes_is_named() -> None:
    (step,) = steps([{**cells("%%bpf kill\nbpf_send_signal(9);")[0], "after_exercises": True}], [])
    assert signs(step) == ["cell 1 has a BPF program that acts on other processes: bpf_send_signal"]


@pytest.mark.parametrize(("literals", "state"), [({1: {"00-q1"}}, LITERAL), ({2: {"00-q1"}}, RIGHT)])
def test_a_literal_that_is_right_by_chance_earns_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, literals: dict[int, set[str]], state: str
) -> None:
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.json"))
    session = Session(tmp_path / "00-start.ipynb", tmp_path / "result.json", 10)
    session._cell, session._literals = 1, literals
    truths.expect("00-q1", 23)
    session._judge("00-q1", 23)
    assert session._found["answers"]["00-q1"]["state"] == state
