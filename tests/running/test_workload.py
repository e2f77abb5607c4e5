# SPDX-License-Identifier: Apache-2.0
"""Ready, go, result; and every way in which a workload can go wrong has its two lines."""

from __future__ import annotations

import os
import select
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.errors import BadArgument, Stopped, WorkloadError, WorkloadUnable
from labkit.machine.folders import repo_folder
from labkit.running import workload
from labkit.running.workload import Workload, build


def script(folder: Path, body: str) -> Path:
    """Write a shell program that is no better than `body` makes it."""
    path = folder / "odd"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ends(descriptor: int) -> bool:
    """Return whether the process of a pidfd ends within ten seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(10_000))


def test_a_prime_number_of_runs_is_told_as_it_was() -> None:
    with Workload("hello", ["--runs", "23"]) as run:
        assert run.go()["runs"] == 23


def test_it_waits_for_go() -> None:
    with Workload("hello", ["--runs", "3"]) as run:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text()
        assert children == ""
        assert alive(run.pid)


def test_leaving_ends_the_process_and_its_children(tmp_path: Path) -> None:
    program = script(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; echo ready; read go; wait")
    with Workload(program) as run:
        run.start()
        child = int((tmp_path / "child").read_text())
        descriptor = os.pidfd_open(child)
        pid = run.pid
    assert not alive(pid)
    assert ends(descriptor)
    os.close(descriptor)


def test_an_interrupt_ends_the_process(tmp_path: Path) -> None:
    def interrupt(gone_s: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Workload(script(tmp_path, "echo ready; read go; sleep 600")) as run:
        pid = run.pid
        run.go(tick=interrupt)
    assert not alive(pid)


def test_an_interrupt_in_the_midst_of_ending_does_not_keep_it_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = subprocess.Popen.terminate

    def interrupted(process: subprocess.Popen[bytes]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        plain(process)

    monkeypatch.setattr(subprocess.Popen, "terminate", interrupted)
    with pytest.raises(KeyboardInterrupt), Workload(script(tmp_path, "echo ready; sleep 600")) as run:
        pid = run.pid
    assert not alive(pid)


def test_stop_ends_the_process(tmp_path: Path) -> None:
    def stop(gone_s: float) -> None:
        raise Stopped

    with pytest.raises(Stopped), Workload("hello", ["--runs", "100", "--interval-us", "100000"]) as run:
        pid = run.pid
        run.go(tick=stop)
    assert not alive(pid)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("echo hallo", "printed 'hallo' where ready was due"),
        ("echo ready; read go; echo '{half'", "one line of JSON"),
        ("echo ready; read go; echo 7", "a JSON object"),
        ("echo ready; read go; kill -SEGV $$", "ended by SIGSEGV"),
        ("echo ready; read go; echo 'odd: no luck' >&2; echo 'try again' >&2; exit 1", "odd: no luck"),
        ("exit 0", "ended with status 0 and no answer"),
        ("exit 3", "ended with status 3"),
        ("echo ready; read go; echo '{}'; exit 1", "ended with status 1"),
    ],
)
def test_what_goes_wrong_is_told(tmp_path: Path, body: str, told: str) -> None:
    with pytest.raises(WorkloadError) as caught, Workload(script(tmp_path, body)) as run:
        run.go(timeout_s=10)
    assert told in caught.value.what
    assert caught.value.fix


def test_exit_77_carries_its_reason(tmp_path: Path) -> None:
    with pytest.raises(WorkloadUnable, match="this machine has no libaio"):
        with Workload(script(tmp_path, "echo 'odd: this machine has no libaio' >&2; exit 77")):
            pass


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"took more than 0\.3 s"):
        with Workload(script(tmp_path, "echo ready; read go; sleep 600")) as run:
            pid = run.pid
            run.go(timeout_s=0.3)
    assert not alive(pid)


def test_one_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="to get ready"):
        with Workload(script(tmp_path, "sleep 600"), ready_timeout_s=0.3):
            pass


def test_the_workload_dies_with_its_parent() -> None:
    code = (
        "from labkit.running.workload import Workload; import sys\n"
        "with Workload('hello', ['--runs', '1000', '--interval-us', '100000']) as run:\n"
        "    run.start(); print(run.pid, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        descriptor = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    assert ends(descriptor)
    os.close(descriptor)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(BadArgument, match="did you mean 'hello'"):
        build("helo")


def test_make_is_asked_once_after_another_workloads_source_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(repo_folder() / "c", tmp_path / "c")
    monkeypatch.setattr(workload, "repo_folder", lambda: tmp_path)
    monkeypatch.setattr(workload, "build_folder", lambda: tmp_path / "build")
    build("hello")
    (tmp_path / "c/workloads/maps.c").touch()
    build("hello")
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no make
    assert build("hello").is_file()
    (tmp_path / "c/workloads/hello.c").touch()
    with pytest.raises(WorkloadError, match="make is not installed"):
        build("hello")


def test_a_folder_is_a_workload_and_each_of_its_files_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(repo_folder() / "c", tmp_path / "c")
    monkeypatch.setattr(workload, "repo_folder", lambda: tmp_path)
    monkeypatch.setattr(workload, "build_folder", lambda: tmp_path / "build")
    program = build("io_engines")
    assert subprocess.run([program, "--help"], capture_output=True, check=False).returncode == 0
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no make
    assert build("io_engines") == program
    for changed in ("io_engines/pool.c", "io_engines/engine.h", "common/json.c"):
        os.utime(program)
        assert build("io_engines") == program
        (tmp_path / "c/workloads" / changed).touch()
        with pytest.raises(WorkloadError, match="make is not installed"):
            build("io_engines")
    with pytest.raises(BadArgument, match="name='common'"):  # what they share is not a workload
        build("common")


@pytest.mark.parametrize(
    ("asked", "reported"),
    [
        (["--block-bytes", "4096"], '"block_bytes": 512'),
        (["--queue-depth", "32"], '"queue_depth": 1'),
        (["--engine", "io_uring"], '"engine": "sync"'),
        (["--rate", "1000"], '"rate": 0'),
    ],
)
def test_a_workload_that_did_something_else_than_asked_is_an_error(
    tmp_path: Path, asked: list[str], reported: str
) -> None:
    program = script(tmp_path, f"echo ready; read go; echo '{{{reported}, \"ios\": 3}}'")
    with Workload(program, asked) as run, pytest.raises(WorkloadError) as caught:
        run.go()
    assert f"was asked for {asked[0]} {asked[1]} and reports" in str(caught.value)


def test_settings_that_are_as_asked_and_counts_that_are_not_pass(tmp_path: Path) -> None:
    said = '{"engine": "sync", "block_bytes": 4096, "rate": 1000, "ios": 3}'
    program = script(tmp_path, f"echo ready; read go; echo '{said}'")
    asked = ["--engine", "sync", "--block-bytes", "4096", "--rate", "1000.0", "--ios", "5", "--batch", "7"]
    with Workload(program, asked) as run:
        assert run.go()["ios"] == 3


@pytest.mark.parametrize("cpu", [-1, 4096, "0", 1.5, True])
def test_a_bad_cpu_is_named(cpu: object) -> None:
    with pytest.raises(BadArgument, match="cpu="):
        Workload("hello", cpu=cpu)  # type: ignore[arg-type]


def test_the_cpus_that_may_be_used_are_asked_for_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 4, 6})
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert Workload("hello", cpu=6).command[-2:] == ["--cpu", "6"]
    with pytest.raises(BadArgument, match=r"cpu=1 is not allowed\.\nFix: pass cpu as one that .*: 0, 2, 4, 6$"):
        Workload("hello", cpu=1)


def test_a_bad_option_carries_what_the_program_says() -> None:
    with pytest.raises(WorkloadError, match="runs"), Workload("hello", ["--runs", "-5"]):
        pass
