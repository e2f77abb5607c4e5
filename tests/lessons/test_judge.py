# SPDX-License-Identifier: Apache-2.0
"""What is said of an answer that cannot be tried: two lines, what it lacks and how to add it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labkit.bpf.cell import Cell
from labkit.errors import VerifierError
from labkit.lessons._judge.cases import Case, drawn
from labkit.lessons._judge.kept import Kept
from labkit.lessons._judge.tool import Tool
from labkit.notebook.check import CheckedAnswer, check
from labkit.notebook.question import Question
from labkit.notebook.refused import Refused

CALLS = Kept("calls", "BPF_HASH(calls, u32, u64);", key="u32", label="process")
TOOL = Tool(
    "99",
    (CALLS,),
    lambda acts: {"calls": {act.pid: act.done for act in acts if act.who == "main"}},
    (Case("one process", "main: getppid 11-97"), Case("a child", "main: getppid 3; child: getppid 5")),
)
TEXT = """
#include "labkit.h"
BPF_HASH(calls, u32, u64);
BPF_HASH(wide, u64, u64);
BPF_ARRAY(slots, u64, 1);
struct event { u32 pid; };
BPF_RINGBUF_OUTPUT(events, 8);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	u32 pid = labkit_pid();
	struct event event = { pid };

	if (labkit_is_target()) {
		calls.increment(pid);
		events.ringbuf_output(&event, sizeof(event), 0);
	}
	return 0;
}
"""


def ask(answer: object, tool: Tool = TOOL) -> CheckedAnswer:
    return check("99-q1", answer, questions={"99-q1": Question(ask="Which?", judge=tool.judge)})


def refusal(answer: object, tool: Tool = TOOL) -> list[str]:
    told = ask(answer, tool)
    assert not told.ok
    return told.text.splitlines()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Cell]:
    path = tmp_path / "mine.c"
    path.write_text(TEXT)
    with Cell(path) as made:
        yield made


@pytest.mark.parametrize("answer", [23, "calls", {"calls": 3}, object(), True])
def test_a_number_or_a_name_is_no_program(answer: object) -> None:
    said, fix = refusal(answer)
    assert "This is not a program" in said and "%%bpf" in fix


def test_a_refused_program_is_named_with_what_the_verifier_said() -> None:
    error = VerifierError("it reads past the end of a map value", "test the index")
    said, fix = refusal(Refused("mine", error, ""))
    assert "mine was refused" in said and "past the end" in said and "%%bpf mine" in fix


@pytest.mark.bpf
def test_each_thing_that_a_program_lacks_has_two_lines(program: Cell, tmp_path: Path) -> None:
    def wanted(kept: Kept) -> list[str]:
        return refusal(program, replace(TOOL, keeps=(kept,)))

    said, fix = refusal(program)
    assert "not attached" in said and "mine.attach()" in fix
    program.attach()
    said, fix = wanted(replace(CALLS, name="callz"))
    assert "no map named callz" in said and "BPF_HASH(calls" in fix
    assert "have 8 bytes" in wanted(replace(CALLS, name="wide"))[0]
    assert "an array" in wanted(replace(CALLS, key=""))[0]
    assert "of another kind" in wanted(replace(CALLS, name="events"))[0]
    assert "of another kind" in wanted(replace(CALLS, columns=("pid",)))[0]
    assert "no field named code" in wanted(Kept("events", "BPF_RINGBUF_OUTPUT(events, 8);", columns=("code",)))[0]
    said, fix = refusal(program, replace(TOOL, uprobes={"on_entry": ("nap", False)}))
    assert "no function named on_entry" in said and "int on_entry" in fix

    assert ask(program).ok
    wrong = ask(program, replace(TOOL, truth=lambda acts: {"calls": {acts[0].pid: 1_000_003}}))
    assert "Wrong in the case: one process" in wrong.text and "1000003 expected" in wrong.text

    stranger = Case("strangers", "main: getppid 3", more="Not yours.", beside="main: getppid 11")
    noisy = replace(TOOL, truth=lambda acts: {"calls": {}}, cases=(*TOOL.cases, stranger))
    assert (
        "Wrong in the case: one process" in ask(program, noisy).text
    )  # it counts nobody else: its own mistake is shown

    blind = tmp_path / "blind.c"
    blind.write_text("TRACEPOINT_PROBE(syscalls, sys_enter_getppid) { return 0; }\n")
    with Cell(blind) as other:
        said, fix = refusal(other)
        assert "does not ask whom it watches" in said and "labkit_is_target" in fix
    said, fix = refusal(other)
    assert "not loaded any more" in said and "%%bpf blind" in fix


def test_each_range_is_drawn_and_nothing_else() -> None:
    script = "main: reply 11-97 5-12 -2 300; thread: nap 3 0-9"
    text = drawn(script, random.Random(3))
    assert text != drawn(script, random.Random(4))
    assert text.split()[4:6] == ["-2", "300;"]
    assert 11 <= int(text.split()[2]) <= 97 and 5 <= int(text.split()[3]) <= 12


@pytest.mark.bpf
def test_who_counts_everybody_learns_so_in_whatever_case_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "everybody.c"
    path.write_text(TEXT.replace("if (labkit_is_target())", "if (labkit_is_target() || 1)"))
    stranger = Case("strangers", "main: getppid 3", more="Not yours.", beside="main: getppid 11")
    with Cell(path) as everybody:
        everybody.attach()
        told = ask(everybody, replace(TOOL, truth=lambda acts: {"calls": {}}, cases=(*TOOL.cases, stranger)))
    assert "Wrong in the case: strangers" in told.text and "Hint: Not yours." in told.text
