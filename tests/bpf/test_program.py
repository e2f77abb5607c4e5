# SPDX-License-Identifier: Apache-2.0
"""Load, aim, attach, read, detach: checked with prime numbers of events and with bpftool."""

from __future__ import annotations

import json
import mmap
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from labkit.bpf import maps, program
from labkit.bpf.program import Program
from labkit.bpf.shelf import forget_loaded
from labkit.errors import AttachError, BadArgument, CompileError, LabkitError, VerifierError
from labkit.running.workload import Workload
from labkit.stats import histogram

pytestmark = pytest.mark.bpf

COUNT_OPENS = """
#include "labkit.h"
BPF_PERCPU_ARRAY(opens, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	int first = 0;
	u64 *count;

	if (!labkit_is_target())
		return 0;
	count = opens.lookup(&first);
	if (count)
		*count += STEP;
	return 0;
}
"""


def written(folder: Path, text: str, name: str = "learner.c") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def loaded_programs() -> set[int]:
    """Return the ids of the programs that this process holds, as the kernel tells them."""
    found = set()
    for path in Path("/proc/self/fdinfo").iterdir():
        try:
            found.update(int(number) for number in re.findall(r"^prog_id:\s+(\d+)", path.read_text(), re.MULTILINE))
        except FileNotFoundError:  # the descriptor with which we read the folder
            continue
    return found


def opens(program: Program, times: int, *, pid: int | None = None) -> int:
    """Let the workload open a file `times` times; return how many opens the program has counted so far."""
    with Workload("hello", ["--open", "/etc/hostname", "--times", str(times)]) as run:
        program.aim(pid=pid or run.pid)
        assert run.go()["opens"] == times
    return int(program.counters("opens")[0])


def test_a_prime_number_of_events_is_counted(tmp_path: Path) -> None:
    with Program(source=written(tmp_path, COUNT_OPENS), flags={"STEP": 1}) as program:
        program.attach()
        assert opens(program, 23) == 23


def test_nothing_is_counted_before_attach_and_after_detach(tmp_path: Path) -> None:
    with Program(source=written(tmp_path, COUNT_OPENS), flags={"STEP": 1}) as program:
        assert opens(program, 23) == 0
        program.attach()
        assert opens(program, 29) == 29
        program.detach()
        assert opens(program, 31) == 29


def test_a_new_aim_needs_no_new_program(tmp_path: Path) -> None:
    with Program(source=written(tmp_path, COUNT_OPENS), flags={"STEP": 1}) as program:
        program.attach()
        before = loaded_programs()
        assert [opens(program, 5), opens(program, 7)] == [5, 12]
        assert loaded_programs() == before


def test_other_processes_are_not_recorded(tmp_path: Path) -> None:
    with Program(source=written(tmp_path, COUNT_OPENS), flags={"STEP": 1}) as program:
        program.attach()
        assert opens(program, 23, pid=1) == 0


def test_several_processes_can_be_watched(tmp_path: Path) -> None:
    one, two = (["--open", "/etc/hostname", "--times", str(n)] for n in (11, 13))
    with Program(source=written(tmp_path, COUNT_OPENS), flags={"STEP": 1}) as program:
        program.attach()
        with Workload("hello", one) as a, Workload("hello", two) as b, Workload("hello", two) as other:
            program.aim(pid=[a.pid, b.pid])
            for run in (a, b, other):
                run.go()
        assert program.counters("opens")[0] == 24


def test_flags_are_macros(tmp_path: Path) -> None:
    with Program(source=written(tmp_path, COUNT_OPENS), flags={"STEP": 3}) as program:
        program.attach()
        assert opens(program, 7) == 21


def test_a_rerun_takes_the_loaded_program_with_its_maps_emptied(tmp_path: Path) -> None:
    path = written(tmp_path, COUNT_OPENS)
    with Program(source=path, flags={"STEP": 1}) as program:
        program.attach()
        opens(program, 5)
        before = loaded_programs()
    with Program(source=path, flags={"STEP": 1}) as program:
        assert loaded_programs() == before
        assert program.counters("opens")[0] == 0
        program.attach()
        assert opens(program, 7) == 7


def test_two_at_once_do_not_share_their_maps(tmp_path: Path) -> None:
    path = written(tmp_path, COUNT_OPENS)
    with Program(source=path, flags={"STEP": 1}) as one, Program(source=path, flags={"STEP": 1}) as two:
        one.attach()
        assert opens(one, 5) == 5
        assert two.counters("opens")[0] == 0


def test_an_edited_file_is_compiled_again(tmp_path: Path) -> None:
    path = written(tmp_path, COUNT_OPENS.replace("STEP", "1"))
    with Program(source=path) as program:
        program.attach()
        assert opens(program, 5) == 5
    written(tmp_path, COUNT_OPENS.replace("STEP", "2"))
    with Program(source=path) as program:
        program.attach()
        assert opens(program, 5) == 10


def test_forgetting_unloads_the_program(tmp_path: Path) -> None:
    before = loaded_programs()
    with Program(source=written(tmp_path, COUNT_OPENS), flags={"STEP": 1}):
        assert loaded_programs() - before
    forget_loaded()
    assert not loaded_programs() - before


def test_an_error_inside_the_block_detaches(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Program(source=written(tmp_path, COUNT_OPENS), flags={"STEP": 1}) as program:
        program.attach()
        raise ZeroDivisionError
    with Program(source=tmp_path / "learner.c", flags={"STEP": 1}) as program:
        assert opens(program, 5) == 0


def test_a_killed_process_leaves_no_program(tmp_path: Path) -> None:
    path = written(tmp_path, COUNT_OPENS)
    code = (
        "import sys\nfrom labkit.bpf.program import Program\n"
        f"with Program(source={str(path)!r}, flags={{'STEP': 1}}) as program:\n"
        "    program.attach(); print('attached', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == "attached\n"
        p.send_signal(signal.SIGKILL)
    # that no program, map or process remains is what the fixture of every such test checks


THREE_PROBES = """
#include "labkit.h"
TRACEPOINT_PROBE(syscalls, sys_enter_openat) { return 0; }
TRACEPOINT_PROBE(syscalls, sys_exit_openat) { return 0; }
TRACEPOINT_PROBE(sched, sched_switch) { return 0; }
"""


def attached_programs() -> int:
    """Return how many programs this process has attached to tracepoints, as bpftool tells it."""
    told = subprocess.run(["bpftool", "-j", "perf", "list"], capture_output=True, text=True, check=True)
    return sum(entry["pid"] == os.getpid() for entry in json.loads(told.stdout))


def test_an_interrupt_in_the_midst_of_detaching_leaves_nothing_attached(tmp_path: Path) -> None:
    program = Program(source=written(tmp_path, THREE_PROBES))
    with pytest.raises(KeyboardInterrupt), program:
        program.attach()
        assert attached_programs() == 3
        plain = program.bcc.detach_tracepoint

        def interrupted(event: bytes) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            plain(event)

        program.bcc.detach_tracepoint = interrupted
    assert attached_programs() == 0


def test_a_probe_that_cannot_be_detached_keeps_no_other_attached(tmp_path: Path) -> None:
    before = loaded_programs()
    program = Program(source=written(tmp_path, THREE_PROBES))
    with pytest.raises(ZeroDivisionError), program:
        program.attach()
        plain = program.bcc.detach_tracepoint

        def failing(event: bytes) -> None:
            plain(event)
            raise ZeroDivisionError

        program.bcc.detach_tracepoint = failing
    assert attached_programs() == 0
    assert not loaded_programs() - before


def test_an_interrupt_while_it_is_attached_leaves_nothing_attached(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Program(source=written(tmp_path, THREE_PROBES)) as program:
        plain = program.bcc.attach_tracepoint

        def interrupted(**arguments: bytes) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            plain(**arguments)

        program.bcc.attach_tracepoint = interrupted
        program.attach()
    assert attached_programs() == 0


def test_an_interrupt_while_it_is_compiled_leaves_nothing_that_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, plain = loaded_programs(), program.compile_source

    def interrupted(*arguments: object) -> object:
        module = plain(*arguments)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGINT)
        return module

    monkeypatch.setattr(program, "compile_source", interrupted)
    with pytest.raises(KeyboardInterrupt), Program(source=written(tmp_path, THREE_PROBES)):
        pass
    forget_loaded()  # it was loaded as a whole, and is kept for a rerun
    assert not loaded_programs() - before
    # that no map remains either is what the fixture of every such test checks


def test_two_threads_that_compile_both_get_their_diagnostics(tmp_path: Path) -> None:
    path = written(tmp_path, "this is not C\n")
    both, stderr, told = threading.Barrier(2), os.stat(2), []

    def compile_it() -> None:
        for _ in range(3):
            both.wait()
            with pytest.raises(CompileError) as caught, Program(source=path):
                pass
            told.append(caught.value.what)

    threads = [threading.Thread(target=compile_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [what.startswith("learner.c:1:") for what in told] == [True] * 6
    assert os.path.samestat(os.stat(2), stderr)


def test_a_syntax_error_names_the_file_the_line_and_what_clang_said(tmp_path: Path) -> None:
    path = written(tmp_path, COUNT_OPENS.replace("return 0;\n\tcount", "return 0\n\tcount"))
    with pytest.raises(CompileError) as caught, Program(source=path, flags={"STEP": 1}):
        pass
    line = COUNT_OPENS[: COUNT_OPENS.index("return 0;\n\tcount")].count("\n") + 1
    assert f"learner.c:{line}:" in caught.value.what
    assert "a semicolon is missing" in caught.value.what and "expected ';'" in caught.value.detail
    assert "Fix: " in str(caught.value) and "Verified: this change passes" in caught.value.detail


def test_a_rejected_program_says_why(tmp_path: Path) -> None:
    # a hash, since newer kernels know that slot 0 of an array is always there
    text = COUNT_OPENS.replace("PERCPU_ARRAY(opens, u64, 1)", "HASH(opens, int, u64)").replace("\tif (count)\n\t", "")
    with pytest.raises(VerifierError) as caught, Program(source=written(tmp_path, text), flags={"STEP": 1}):
        pass
    line = text[: text.index("*count += STEP")].count("\n") + 1
    assert f"learner.c:{line}" in str(caught.value)
    assert "map_value_or_null" in caught.value.log


@pytest.mark.parametrize(
    ("probe", "near"),
    [
        ("TRACEPOINT_PROBE(syscalls, sys_enter_opnat)", "syscalls:sys_enter_openat"),
        ("RAW_TRACEPOINT_PROBE(no_such_event)", "no_such_event"),
        ("int kprobe__no_such_function(struct pt_regs *ctx)", "no_such_function"),
    ],
)
def test_an_event_that_does_not_exist_is_named(tmp_path: Path, probe: str, near: str) -> None:
    path = written(tmp_path, f'#include "labkit.h"\n{probe}\n{{\n\treturn 0;\n}}\n')
    with pytest.raises((AttachError, CompileError)) as caught, Program(source=path) as program:
        program.attach()
    assert near in str(caught.value)
    assert caught.value.fix


def test_the_compiler_names_what_a_learner_can_use(tmp_path: Path) -> None:
    path = written(tmp_path, "this is not C\n")
    with pytest.raises(CompileError, match=r"learner\.c:1:"), Program(source=path):
        pass


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "a name or a source"),
        ({"name": "hello", "source": "x.c"}, "a name or a source"),
        ({"name": "helo"}, "did you mean 'hello'"),
        ({"source": "/nowhere/x.c"}, "/nowhere/x.c"),
        ({"name": "hello", "flags": {"not a name": 1}}, "not a name"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(BadArgument, match=told):
        Program(**arguments)  # type: ignore[arg-type]


def test_bad_aims_are_named(tmp_path: Path) -> None:
    with Program(source=written(tmp_path, COUNT_OPENS), flags={"STEP": 1}) as program:
        with pytest.raises(BadArgument, match="one target"):
            program.aim()
        with pytest.raises(BadArgument, match="pid=4194999"):
            program.aim(pid=4194999)
        with pytest.raises(BadArgument, match="did you mean 'opens'"):
            program.map_fd("open")


def test_a_program_outside_its_block_is_an_error() -> None:
    with pytest.raises(LabkitError, match="not loaded"):
        Program("hello").attach()


BUCKETS = """
#include "labkit.h"
BPF_ARRAY(values, u64, 64);
BPF_ARRAY(buckets, u32, 64);
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	if (!labkit_is_target())
		return 0;
	for (int i = 0; i < 64; i++) {
		int slot = i;
		u64 *value = values.lookup(&slot);
		u32 *bucket = buckets.lookup(&slot);

		if (value && bucket)
			*bucket = labkit_bucket(*value);
	}
	return 0;
}
"""


def test_the_kernel_puts_values_in_the_same_buckets_as_python(tmp_path: Path) -> None:
    chance = np.random.default_rng(23)
    values = np.array([0, 1, 63, 64, 127, 128, 129, 2**42 - 1, 2**42, 2**62, *(2 ** chance.uniform(0, 45, 54))], "u8")
    with Program(source=written(tmp_path, BUCKETS)) as program:
        program.attach()
        maps.write_array(program.map_fd("values"), values)
        with Workload("hello", ["--open", "/etc/hostname", "--times", "1"]) as run:
            program.aim(pid=run.pid)
            run.go()
        found = program.counters("buckets", np.uint32)
    assert found.tolist() == histogram.bucket_of(values.astype(np.int64)).tolist()


def test_a_pid_is_right_inside_a_pid_namespace(tmp_path: Path) -> None:
    path = written(tmp_path, COUNT_OPENS)
    code = (
        "import os\nfrom labkit.bpf.program import Program\nfrom labkit.running.workload import Workload\n"
        f"with Program(source={str(path)!r}, flags={{'STEP': 1}}) as program:\n"
        "    with Workload('hello', ['--open', '/etc/hostname', '--times', '23']) as run:\n"
        "        assert run.pid < 100\n"
        "        program.aim(pid=run.pid); program.attach(); run.go()\n"
        "    print(program.counters('opens')[0])\n"
    )
    made = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.stdout.strip() == "23", made.stderr


@pytest.mark.parametrize("page_bytes", [4096, 16384, 65536])
def test_a_ring_buffer_is_counted_in_pages_of_the_kernel_and_not_of_the_headers(
    page_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mmap, "PAGESIZE", page_bytes)
    text = "#include <linux/mm.h>\nBPF_RINGBUF_OUTPUT(events, 8);\nint nothing(void *ctx) { return 0; }\n"
    with Program(source=written(tmp_path, text)) as program:
        known = Path(f"/proc/self/fdinfo/{program.map_fd('events')}").read_text()
    assert re.search(rf"^max_entries:\s+{8 * page_bytes}$", known, re.MULTILINE)
