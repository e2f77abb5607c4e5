# SPDX-License-Identifier: Apache-2.0
"""The workloads of lesson 05 do what they say; the witnesses are readelf and a semaphore raised by hand."""

from __future__ import annotations

import json
import platform
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "c" / "workloads" / "usdt_app.c"


def notes(binary: Path) -> dict[str, tuple[int, str]]:
    """Return probe -> (address of its semaphore, arguments), as readelf says."""
    text = subprocess.run(["readelf", "-n", "-W", binary], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"Name: (\S+)\s+Location: .*, Semaphore: (\S+)\s+Arguments: ?(.*)", text)
    return {name: (int(semaphore, 16), arguments) for name, semaphore, arguments in found}


def test_it_serves_23_requests_unless_told_otherwise(build: Callable) -> None:
    result = build("usdt_app").run().result
    assert (result["request_start"], result["request_done"], result["request_detail"]) == (23, 23, 0)
    assert result["latency_ns"]["count"] == 23


@pytest.mark.parametrize(("requests", "failed"), [(0, 0), (6, 0), (7, 1), (101, 14)])
def test_every_seventh_request_fails(build: Callable, requests: int, failed: int) -> None:
    assert build("usdt_app").run("--requests", requests, "--work-ns", 0).result["failed"] == failed


def test_a_request_takes_at_least_the_work_that_was_asked_for(build: Callable) -> None:
    result = build("usdt_app").run("--requests", 7, "--work-ns", 3_000_000).result
    assert result["latency_ns"]["min_ns"] >= 3_000_000
    assert result["elapsed_s"] >= 7 * 0.003


def test_one_request_can_take_longer(build: Callable) -> None:
    options = ("--requests", 11, "--work-ns", 0, "--slow-request", 5, "--slow-ns", 30_000_000)
    buckets = build("usdt_app").run(*options).result["latency_ns"]["buckets"]
    assert sum(count for low, count in buckets if low >= 29_000_000) >= 1


def test_its_notes_tell_probes_arguments_and_semaphores(build: Callable) -> None:
    found = notes(build("usdt_app").path)
    # aarch64 writes spaces inside of one: "-4@[sp, 16]"
    assert {name: arguments.count("@") for name, (_, arguments) in found.items() if "request" in name} == {
        "request_start": 3,
        "request_detail": 2,
        "request_done": 3,
    }
    assert {name for name, (semaphore, _) in found.items() if semaphore} == {"request_detail", "loop_guarded"}


def test_the_detail_is_prepared_only_while_the_semaphore_is_up(build: Callable) -> None:
    program = build("usdt_app")
    semaphore, _ = notes(program.path)["request_detail"]
    process = program.start("--requests", 13)
    start = int(Path(f"/proc/{process.pid}/maps").read_text().partition("-")[0], 16)
    with open(f"/proc/{process.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(start + semaphore)
        memory.write((1).to_bytes(2, "little"))
    out, _ = process.communicate("go\n", timeout=60)
    assert json.loads(out)["request_detail"] == 13


@pytest.mark.parametrize("loop", ["none", "plain", "guarded", "long"])
def test_a_loop_turns_as_often_as_asked(build: Callable, loop: str) -> None:
    if loop == "long" and platform.machine() != "x86_64":
        outcome = build("usdt_app").run("--loop", loop)
        assert outcome.status == 77
        return
    assert build("usdt_app").run("--loop", loop, "--iterations", 100_003).result["iterations"] == 100_003


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has nops of several lengths")
def test_the_long_nop_has_five_bytes_in_a_function_that_calls_another(build: Callable) -> None:
    command = ["objdump", "-d", "--disassemble=loop_long", build("usdt_app").path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "0f 1f 44 00 00" in text
    assert re.search(r"call .*<step>", text)


def test_a_signal_ends_a_loop_with_a_result(build: Callable) -> None:
    process = build("usdt_app").start("--loop", "plain", "--iterations", 10**10)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == "" or json.loads(out)["iterations"] < 10**10


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--requests", -1), "--requests cannot be"),
        (("--loop", "longest"), "none, plain, guarded, long"),
        (("--path", "x" * 116), "up to 115 bytes"),
        (("--work-ns", "2 s"), "--work-ns cannot be"),
    ],
)
def test_a_wrong_option_is_named(build: Callable, options: tuple[object, ...], told: str) -> None:
    outcome = build("usdt_app").run(*options)
    assert outcome.status == 1
    assert told in outcome.stderr


def test_without_sys_sdt_h_it_says_so(tmp_path: Path) -> None:
    common = SOURCE.parent / "common"
    command = ["cc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I", common]
    subprocess.run([*command, "-o", tmp_path / "bare", SOURCE, *common.glob("*.c")], check=True)
    done = subprocess.run([tmp_path / "bare", "--go"], capture_output=True, text=True, check=False)
    assert done.returncode == 77
    assert "systemtap-sdt-dev" in done.stderr


@pytest.mark.parametrize("name", ["usdt_app", "usdt_throw"])
def test_the_sanitised_build_works_too(build: Callable, name: str) -> None:
    assert build(name, san=True).run().status == 0


def test_each_throw_is_caught_and_some_are_thrown_on(build: Callable) -> None:
    result = build("usdt_throw").run("--range", 11, "--runtime", 7, "--own", 5).result
    assert result == {"throw": 23, "catch": 30, "rethrow": 7}
