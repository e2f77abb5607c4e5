# SPDX-License-Identifier: Apache-2.0
"""What common/workload.h promises for every program: ready, go, one JSON line, clear errors, a quiet end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Build = Callable[..., Any]
REPO = Path(__file__).parents[2]


def end(process: subprocess.Popen[str], text: str = "") -> tuple[int, str, str]:
    out, err = process.communicate(text, timeout=60)
    return process.returncode, out, err


def test_result_is_one_json_line_after_go(build: Build) -> None:
    status, out, err = end(build("hello").start("--runs", 3), "go\n")
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert json.loads(out)["runs"] == 3


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hello", ("--runs", 3)),
        ("io_engines", ("--ios", 3, "--file-bytes", "64k", "--folder", REPO / "build")),
        ("maps", ()),
        ("ping_pong", ("--round-trips", 3)),
        ("probes", ()),
        ("stream", ("--total-bytes", 1000)),
        ("uring", ("--file", __file__)),
        ("uring_tour", ("--stop", "nops", "--ios", 3)),
        ("usdt_app", ()),
    ],
)
def test_a_result_that_cannot_be_written_is_a_failure(build: Build, name: str, options: tuple[object, ...]) -> None:
    command = [str(build(name).path), "--go", *map(str, options)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "cannot write the result" in done.stderr


def test_end_of_file_instead_of_go_ends_it_quietly(build: Build) -> None:
    assert end(build("hello").start()) == (0, "", "")


def test_anything_but_go_is_refused(build: Build) -> None:
    for text in ("stop\n", "gone\n", "g\n"):
        status, out, err = end(build("hello").start(), text)
        assert (status, out) == (1, "")
        assert "something other than" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_go_ends_it_quietly(build: Build, number: signal.Signals) -> None:
    process = build("hello").start()
    process.send_signal(number)
    assert process.wait(60) == 0
    assert end(process)[1:] == ("", "")


def test_a_signal_while_it_works_still_gives_a_result(build: Build) -> None:
    process = build("hello").start("--getppid", 10**10, "--calls-per-s", 1000)
    process.stdin.write("go\n")
    process.stdin.flush()
    process.send_signal(signal.SIGTERM)
    status, out, _ = end(process)
    # The signal may arrive before "go" was read: then it leaves quietly, else it says how far it came.
    assert status == 0
    assert out == "" or json.loads(out)["calls"] < 10**10


def test_it_ends_with_the_process_that_started_it(build: Build) -> None:
    code = (
        "import subprocess, sys, os\n"
        "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "os.set_inheritable(child.stdin.fileno(), True)\n"
        # Something else holds the other end of the pipe open, so end of file cannot be what ends the workload.
        "keeper = subprocess.Popen(['cat'], stdin=sys.stdin, stdout=child.stdin, close_fds=False)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(build("hello").path)]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    watch = os.pidfd_open(pid) if Path(f"/proc/{pid}").exists() else None
    if watch is not None:
        import select

        assert select.select([watch], [], [], 60)[0], "the workload outlived its parent"
        os.close(watch)
    parent.communicate(timeout=60)


def test_help_names_unit_default_and_range(build: Build) -> None:
    done = build("hello").run("--help")
    assert done.status == 0
    assert "--runs" in done.stdout
    assert "0 to 100000 runs; default 23" in done.stdout
    assert "--cpu" in done.stdout


@pytest.mark.parametrize(
    ("options", "named", "fix"),
    [
        (("--runs", "-1"), '--runs cannot be "-1"', "Allowed: 0 to 100000 runs"),
        (("--runs", "100001"), '--runs cannot be "100001"', "Allowed: 0 to 100000 runs"),
        (("--runs", ""), '--runs cannot be ""', "Allowed: 0 to 100000 runs"),
        (("--runs", "7x"), '--runs cannot be "7x"', "Allowed: 0 to 100000 runs"),
        (("--runs", "99999999999999999999"), "99999999999999999999", "Allowed: 0 to 100000 runs"),
        (("--runs",), "--runs needs a value", "--seconds 2"),
        (("--nonesuch",), "there is no option --nonesuch", "--help"),
        (("word",), '"word" is not an option', "--help"),
        (("--cpu", "1023"), "--cpu 1023", "nproc"),
        (("--name", "a-name-that-is-too-long"), "a-name-that-is-too-long", "up to 15 characters"),
        (("--open", "/nonesuch"), "--open /nonesuch: No such file", "Name a file"),
    ],
)
def test_bad_input_is_refused_in_two_lines(build: Build, options: tuple[str, ...], named: str, fix: str) -> None:
    done = build("hello").run(*options)
    assert (done.status, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert named in first
    assert fix in second


def test_cpu_pins_the_program(build: Build) -> None:
    cpu = max(os.sched_getaffinity(0))
    process = build("hello").start("--cpu", cpu)
    assert os.sched_getaffinity(process.pid) == {cpu}
    end(process)


def test_make_check_passes() -> None:
    done = subprocess.run(["make", "-s", "-C", str(REPO / "c"), "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_make_does_nothing() -> None:
    command = ["make", "-C", str(REPO / "c"), "hello"]
    subprocess.run(command, capture_output=True, check=True)
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "CC" not in again.stdout


def test_make_builds_elsewhere(tmp_path: Path) -> None:
    subprocess.run(["make", "-s", "-C", str(REPO / "c"), f"BUILD={tmp_path}", "hello"], check=True)
    assert (tmp_path / "workloads" / "hello").exists()


HISTOGRAM_CHECK = r"""
#include <assert.h>
#include "json.h"

static struct histogram one, two;

static void check(uint64_t ns)
{
	unsigned int index = histogram_index(ns);
	uint64_t low = histogram_low_ns(index);

	assert(index < HISTOGRAM_BUCKETS);
	assert(low <= ns);
	assert(ns - low <= low / 64);
	if (index + 1 < HISTOGRAM_BUCKETS)
		assert(histogram_low_ns(index + 1) > ns);
}

int main(void)
{
	for (uint64_t ns = 0; ns < 100000; ns++)
		check(ns);
	for (int bit = 0; bit < 64; bit++) {
		check(UINT64_C(1) << bit);
		check((UINT64_C(1) << bit) - 1);
		check((UINT64_C(1) << bit) + 1);
	}
	check(UINT64_MAX);
	histogram_add(&one, 5);
	histogram_add(&one, 1000);
	histogram_add(&two, 1003);
	histogram_add(&two, 0);
	histogram_merge(&one, &two);
	json_open(NULL, '{');
	json_histogram("latency_ns", &one);
	json_text("text", "a \"quoted\" \\ back\tslash \x07");
	json_close('}');
	return 0;
}
"""


@pytest.fixture(scope="module")
def header_output(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("histogram")
    source, program = folder / "check.c", folder / "check"
    source.write_text(HISTOGRAM_CHECK)
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    common = REPO / "c" / "workloads" / "common"
    subprocess.run(["cc", *flags, f"-I{common}", "-o", str(program), str(source), str(common / "json.c")], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_histogram_merges_by_adding(header_output: dict[str, Any]) -> None:
    assert header_output["latency_ns"] == {
        # 1000 and 1003 share the bucket [1000, 1008): 8 ns wide, 0.8 % of its low end.
        "buckets": [[0, 1], [5, 1], [1000, 2]],
        "count": 4,
        "sum_ns": 2008,
        "min_ns": 0,
        "max_ns": 1003,
    }


def test_json_text_survives(header_output: dict[str, Any]) -> None:
    assert header_output["text"] == 'a "quoted" \\ back\tslash \x07'


def test_a_failed_pthread_call_is_explained_by_what_it_returned() -> None:
    """These functions return the error and leave errno as it was: "Success"."""
    wrong = re.compile(r"\bif \((?:\w+ \|\| )?pthread_\w+\([^;]*?\)\)\s*die\([^;]*strerror\(errno\)")
    assert wrong.search('if (pthread_create(&a, NULL, b, NULL))\n\tdie("no: %s", "", strerror(errno));')
    sources = [path for path in (REPO / "c").rglob("*.[ch]") if wrong.search(path.read_text())]
    assert sources == []
