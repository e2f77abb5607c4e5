# SPDX-License-Identifier: Apache-2.0
"""`%%bpf`: what a cell gets, and that nothing of it stays attached. bpftool and /proc are the witnesses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from labkit.bpf.program import Program
from labkit.errors import AttachError, BadArgument, CompileError, Missing
from labkit.machine.btf import KERNEL_BTF
from labkit.machine.headers import kernel_headers
from labkit.notebook import magic
from labkit.notebook.check import check
from labkit.running.workload import Workload

OPENS = """#include "labkit.h"
BPF_HASH(counts, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	u32 key = 1;

	if (labkit_is_target())
		counts.increment(key);
	return 0;
}
"""
UNTESTED = """BPF_HASH(counts, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	u32 key = 1;
	u64 *count = counts.lookup(&key);

	*count += 1;
	return 0;
}
"""
FILTER = "int look(struct __sk_buff *packet)\n{\n\treturn 0;\n}\n"


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    magic.load_ipython_extension(made)
    yield made
    magic.unload_ipython_extension(made)


def run(shell: InteractiveShell, line: str, body: str = "") -> Any:
    """Run a cell as a notebook would; return what it shows, or raise what it raises."""
    done = shell.run_cell(f"%%bpf {line}\n{body}")
    if done.error_in_exec is not None:
        raise done.error_in_exec
    assert done.error_before_exec is None
    return done.result


def attached() -> int:
    """Return how many perf events with a BPF program this process holds."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        found += "perf_event" in str(path.readlink()) if path.is_symlink() else 0
    return found


def test_the_lab_itself_is_the_extension() -> None:
    made = InteractiveShell()
    assert made.extension_manager.load_extension("labkit") is None
    assert "bpf" in made.magics_manager.magics["cell"]
    made.extension_manager.unload_extension("labkit")


# -- options -------------------------------------------------------------------------------------


def test_help_tells_the_options_and_does_nothing(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_line_magic("bpf", "--help")
    assert run(shell, "--help", "nothing") is None
    told = capsys.readouterr().out
    assert all(option in told for option in ("--pid", "--no-attach", "--kind", "--show-log", "--define"))


@pytest.mark.parametrize(
    ("line", "body", "says"),
    [
        ("opens", "\n", "The cell is empty"),
        ("opens", "  \n\n", "The cell is empty"),
        ("opens --atach", FILTER, "did you mean --attach"),
        ("opens --kind SOCKET", FILTER, "SOCKET_FILTER"),
        ("opens --pid one", FILTER, "invalid int value: 'one'"),
        ("2opens", FILTER, "NAME='2opens'"),
        ("class", FILTER, "NAME='class'"),
        ("opens closes", FILTER, "unrecognized arguments: closes"),
        ("opens --define 2=3", FILTER, "MACRO=VALUE"),
        ("opens 'quoted", FILTER, "No closing quotation"),
        ("print_it", FILTER, "already the name of something else"),
    ],
)
def test_a_bad_line_is_told_in_two_lines(shell: InteractiveShell, line: str, body: str, says: str) -> None:
    shell.user_ns["print_it"] = print
    with pytest.raises(BadArgument, match=re.escape(says)) as raised:
        run(shell, line, body)
    assert len(str(raised.value).splitlines()) == 2
    assert "opens" not in shell.user_ns


# -- what a cell gets ----------------------------------------------------------------------------


@pytest.mark.bpf
def test_a_cell_gets_an_attached_program_that_counts(shell: InteractiveShell) -> None:
    with Workload("hello", ["--open", "/dev/null", "--times", "23"]) as workload:
        told = run(shell, f"opens --pid {workload.pid}", OPENS)
        workload.go()
    assert "accepted and attached to syscalls:sys_enter_openat" in told.text
    assert "watches no process" not in told.text
    assert shell.user_ns["opens"].hash("counts") == {1: 23}


@pytest.mark.bpf
def test_a_cell_that_aims_at_nobody_says_so(shell: InteractiveShell) -> None:
    assert "It watches no process yet: opens.aim(pid=…)" in run(shell, "opens", OPENS).text


@pytest.mark.bpf
def test_a_refused_cell_shows_the_line_as_the_notebook_counts_it(shell: InteractiveShell) -> None:
    told = run(shell, "counter", UNTESTED)
    line = 1 + UNTESTED.splitlines().index("\t*count += 1;") + 1  # the line of the magic is the first
    assert told.text.startswith(f"Rejected: counter.c:{line}: ")
    assert f"{line} |     *count += 1;" in told.text
    assert attached() == 0
    with pytest.raises(AttributeError, match="Fix the cell of %%bpf counter"):
        shell.user_ns["counter"].hash("counts")


@pytest.mark.bpf
def test_a_fixed_cell_takes_the_place_of_a_refused_one(shell: InteractiveShell) -> None:
    run(shell, "counter", UNTESTED)
    run(shell, "counter", UNTESTED.replace("*count += 1", "if (count)\n\t\t*count += 1"))
    assert isinstance(shell.user_ns["counter"], Program)


@pytest.mark.bpf
def test_a_stack_too_large_for_clang_leaves_this_process_alive(shell: InteractiveShell) -> None:
    body = "int big(void *ctx)\n{\n\tchar text[600];\n\n\tbpf_get_current_comm(text, 600);\n\treturn text[9];\n}\n"
    told = run(shell, "big --kind KPROBE", body)
    # which of its lines is for clang to say: 14 names the function's first, 19 the first use beyond the limit
    assert re.match(r"Rejected: big\.c:[2-7]: the variables on the stack need more than 512 bytes", told.text)


@pytest.mark.bpf
def test_the_log_is_shown_on_request(shell: InteractiveShell) -> None:
    assert "invalid mem access 'map_value_or_null'\n" in run(shell, "counter --show-log", UNTESTED).text
    assert "processed" in run(shell, "opens --show-log", OPENS).text


@pytest.mark.bpf
@pytest.mark.skipif(not KERNEL_BTF.exists() or kernel_headers().exact, reason="the headers are this kernel's own")
def test_a_cell_that_reads_the_kernels_structures_says_whose_layout_is_used(shell: InteractiveShell) -> None:
    task = "struct task_struct *task = (struct task_struct *)bpf_get_current_task();"
    told = run(shell, "tasks", f"TRACEPOINT_PROBE(syscalls, sys_enter_getppid)\n{{\n{task}\nreturn task->pid;\n}}\n")
    assert "This kernel's own layout is used for struct task_struct" in told.text


@pytest.mark.bpf
def test_another_kind_is_loaded_and_not_attached(shell: InteractiveShell) -> None:
    told = run(shell, "look --kind SOCKET_FILTER", FILTER)
    assert told.text.splitlines()[0] == "look: accepted."
    assert attached() == 0


@pytest.mark.bpf
def test_a_macro_reaches_clang(shell: InteractiveShell) -> None:
    run(shell, "look --kind SOCKET_FILTER --define RESULT=0 --define ALSO", FILTER.replace("return 0", "return RESULT"))
    assert isinstance(shell.user_ns["look"], Program)


@pytest.mark.bpf
def test_no_attach_only_loads(shell: InteractiveShell) -> None:
    told = run(shell, "opens --no-attach", OPENS)
    assert "Not attached yet: opens.attach()" in told.text
    assert attached() == 0
    shell.user_ns["opens"].attach()
    assert attached() == 1


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.bpf
@pytest.mark.parametrize(
    ("line", "body", "kind", "says"),
    [
        ("x", "this is not C", CompileError, "x.c:2"),
        ("x", FILTER, BadArgument, "has no probe: the functions look do not say"),
        ("x", "/* nothing but words */", BadArgument, "has no probe: there is no function"),
        ("x --pid 1", UNTESTED.replace("*count += 1;", ""), BadArgument, "--pid has nothing to aim"),
        ("x --pid 999999999", OPENS, BadArgument, "not a running process"),
        ("x --kind KPROBE --function loko", FILTER, BadArgument, "did you mean 'look'"),
        ("x", "int kprobe__no_such_function(void *ctx)\n{\n\treturn 0;\n}\n", AttachError, "no_such_function"),
        ("x", "RAW_TRACEPOINT_PROBE(no_such_event)\n{\n\treturn 0;\n}\n", AttachError, "no_such_event"),
    ],
)
def test_an_error_leaves_nothing_attached(
    shell: InteractiveShell, line: str, body: str, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=re.escape(says)):
        run(shell, line, body)
    assert attached() == 0
    assert "x" not in shell.user_ns


@pytest.mark.bpf
def test_a_rerun_detaches_what_the_cell_held(shell: InteractiveShell) -> None:
    run(shell, "opens", OPENS)
    first = shell.user_ns["opens"]
    run(shell, "opens", OPENS.replace("u32 key = 1", "u32 key = 2"))
    assert shell.user_ns["opens"] is not first
    assert attached() == 1


@pytest.mark.bpf
def test_a_rerun_that_fails_detaches_too(shell: InteractiveShell) -> None:
    run(shell, "opens", OPENS)
    with pytest.raises(BadArgument):
        run(shell, "opens", "\n\n")
    assert attached() == 0
    assert "opens" not in shell.user_ns


@pytest.mark.bpf
def test_another_cell_of_the_same_name_detaches_the_older(shell: InteractiveShell) -> None:
    run(shell, "opens", OPENS)
    run(shell, "opens", UNTESTED)
    assert attached() == 0


@pytest.mark.bpf
def test_two_names_for_one_text_count_apart(shell: InteractiveShell) -> None:
    with Workload("hello", ["--open", "/dev/null", "--times", "23"]) as workload:
        run(shell, f"one --pid {workload.pid}", OPENS)
        run(shell, "two", OPENS)
        workload.go()
    assert shell.user_ns["one"].hash("counts") == {1: 23}
    assert shell.user_ns["two"].hash("counts") == {}


@pytest.mark.bpf
def test_unloading_the_extension_detaches(shell: InteractiveShell) -> None:
    run(shell, "opens", OPENS)
    magic.unload_ipython_extension(shell)
    assert attached() == 0


# -- what it sends and keeps ---------------------------------------------------------------------

SENDS = """#include "labkit.h"
struct opened { u32 flags; char comm[16]; };
BPF_RINGBUF_OUTPUT(events, 64);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	struct opened opened = {};

	if (!labkit_is_target())
		return 0;
	opened.flags = args->flags;
	bpf_get_current_comm(&opened.comm, sizeof(opened.comm));
	events.ringbuf_output(&opened, sizeof(opened), 0);
	return 0;
}
"""


@pytest.mark.bpf
def test_a_cells_records_are_rows(shell: InteractiveShell) -> None:
    with Workload("hello", ["--open", "/dev/null", "--times", "23"]) as workload:
        run(shell, f"opens --pid {workload.pid}", SENDS)
        workload.go()
    frame = shell.user_ns["opens"].events("events")
    assert list(frame.columns) == ["flags", "comm"]
    assert len(frame) == 23


@pytest.mark.bpf
def test_counting_moves_no_warning(shell: InteractiveShell) -> None:
    """clang's words about the text that counts name the learner's own line and column."""
    body = SENDS.replace("opened.flags = args->flags;", "int unused; opened.flags = unused;")
    line = 1 + next(at for at, text in enumerate(body.splitlines(), 1) if "int unused" in text)
    told = run(shell, "opens", body)
    assert f"Line {line}: " in told.text


@pytest.mark.bpf
def test_a_stack_that_has_no_room_for_counting_is_still_accepted(shell: InteractiveShell) -> None:
    body = SENDS.replace("char comm[16]", "char comm[500]").replace("sizeof(opened.comm)", "16")
    body = body.replace("opened.flags = args->flags;", "")
    run(shell, "opens", body.replace("\tif (!labkit_is_target())\n\t\treturn 0;\n", ""))
    assert isinstance(shell.user_ns["opens"], Program)
    assert attached() == 1


def test_a_machine_that_refuses_stops_no_notebook(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Missing("bpf(2) was refused.", "make container")

    monkeypatch.setattr(Program, "__enter__", refuse)
    shown = run(shell, "opens", OPENS)
    assert shown.text.splitlines() == ["bpf(2) was refused.", "Fix: make container"]
    told = check("06-q5", shell.user_ns["opens"])
    assert not told.ok and told.text.splitlines()[1] == "Fix: make container."
