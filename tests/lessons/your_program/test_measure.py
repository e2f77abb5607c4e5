# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: what `watch` says is what strace, /proc and ss say of the same program."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from obedient import PATIENCE_S, Obedient
from witness import strace_sums

import labkit
from labkit.errors import BadArgument
from labkit.lessons import your_program
from labkit.lessons.your_program import tcp
from labkit.lessons.your_program.target import Running, check_target
from labkit.lessons.your_program.watching import look_at
from labkit.running.cgroup import Cgroup
from labkit.running.progress import silent
from labkit.running.workload import Workload

pytestmark = pytest.mark.programs_kept
bpf = pytest.mark.bpf
anywhere = pytest.mark.anywhere
SLEEP = ["sleep", "30"]

# -- calls and bytes ---------------------------------------------------------------------------------------


@bpf
def test_the_calls_are_those_that_strace_counts(tmp_path: Path) -> None:
    words = ["cat", "/etc/passwd", "/etc/group", "/nowhere/else"]
    frame = labkit.watch(command=words)
    subprocess.run(
        ["strace", "-f", "-c", "-o", tmp_path / "sums", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    told = {name: both for name, both in strace_sums(tmp_path / "sums").items() if name != "execve"}
    ours = {str(call): (int(count), int(errors)) for call, count, errors in frame[["call", "count", "errors"]].values}
    ours.pop("execve", None)
    # what ends a process never returns
    assert ours == {name: both for name, both in told.items() if name != "exit_group"}
    assert "status 1" in frame.attrs["warnings"][0]


OF_32_BITS = """
.globl _start
_start: movl $997, %esi
again:  movl $20, %eax          # getpid; for 64 bits 20 is writev
        int $0x80
        decl %esi
        jnz again
        movl $1, %eax           # exit
        xorl %ebx, %ebx
        int $0x80
"""


@bpf
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the program is for x86")
def test_calls_of_a_32_bit_program_have_the_names_of_their_own_numbers(tmp_path: Path) -> None:
    (tmp_path / "small.s").write_text(OF_32_BITS)
    subprocess.run(["as", "--32", tmp_path / "small.s", "-o", tmp_path / "small.o"], check=True)
    subprocess.run(["ld", "-m", "elf_i386", tmp_path / "small.o", "-o", tmp_path / "small"], check=True)
    try:
        subprocess.run([tmp_path / "small"], check=True)
    except OSError as error:
        pytest.skip(f"this kernel runs no 32-bit programs: {error.strerror}")
    frame = labkit.watch(command=[str(tmp_path / "small")])
    assert frame.set_index("call")["count"]["getpid"] == 997 and "writev" not in set(frame["call"])
    assert "32-bit" in frame.attrs["warnings"][0]


@bpf
def test_the_calls_of_children_and_threads_are_counted() -> None:
    frame = labkit.watch(command=["sh", "-c", "cat /dev/null; cat /dev/null; exit 0"]).set_index("call")
    script = (
        "import threading\nfor n in range(23):\n t = threading.Thread(target=lambda: __import__('os').getpgid(0))\n"
    )
    many = labkit.watch(command=[sys.executable, "-S", "-c", script + " t.start(); t.join()"]).set_index("call")
    assert frame["count"]["wait4"] >= 2 and frame["count"]["fadvise64"] == 2
    assert many["count"]["getpgid"] == 23


@bpf
def test_the_bytes_are_those_of_proc_io(obedient: Obedient, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 1_000_003)
    told: dict[str, int] = {}

    order = f"f = open({str(tmp_path / 'big')!r}, 'rb', 0); f.read(600000); f.read(600000); f.close()"

    def io() -> dict[str, int]:
        return {name: int(n) for name, n in re.findall(r"(rchar|wchar): (\d+)", obedient.read("io"))}

    def work() -> None:
        before = io()
        obedient(order)
        told.update({name: value - before[name] for name, value in io().items()})

    frame = obedient.watched("files", work)
    (row,) = frame[frame["path"] == str(tmp_path / "big")].to_dict("records")
    assert (row["opens"], row["reads"], row["read_bytes"]) == (1, 2, 1_000_003)
    # the read of the order itself began before
    assert frame["read_bytes"].sum() + len(order) + 1 == told["rchar"]
    assert frame["written_bytes"].sum() == told["wchar"]


@bpf
def test_a_workload_that_counts_itself_agrees() -> None:
    arguments = ["--opens", "23", "--missing", "13", "--writes", "97", "--failed-writes", "7", "--pages", "0"]
    with Workload("your_program", arguments) as run:
        told: dict[str, int] = {}
        target = check_target(run.pid, None, None)
        found = look_at(target, ["calls", "files"], PATIENCE_S, silent, lambda: told.update(run.go()))
    calls, files = found["calls"].set_index("call"), found["files"].set_index("path")
    assert (calls["count"]["pwrite64"], calls["errors"]["pwrite64"]) == (97 + 7, 7)
    assert calls["bytes"]["pwrite64"] == told["written_bytes"] == files["written_bytes"]["/dev/null"]
    assert calls["errors"]["openat"] == told["not_found"] == 13
    assert (found["calls"]["probe_runs"] > 0).all()


# -- waits -------------------------------------------------------------------------------------------------


@bpf
def test_the_wait_for_a_cpu_is_that_of_schedstat(obedient: Obedient) -> None:
    told: list[int] = []

    def delay() -> int:
        return int(obedient.read("schedstat").split()[1])

    with Obedient() as rival:
        for each in (obedient, rival):
            each("os.sched_setaffinity(0, {0})")
        busy = "end = time.monotonic() + 0.4\nwhile time.monotonic() < end: pass".replace("\n", "\\n")

        def work() -> None:
            before = delay()
            other = threading.Thread(target=rival, args=(f'exec("{busy}")',))
            other.start()
            obedient(f'exec("{busy}")')
            told.append(delay() - before)
            other.join()

        frame = obedient.watched("waits", work).set_index("wait")
    ours = frame["total_ns"]["for a CPU (run queue)"]
    # two clocks, read a moment apart at each switch: a moment is at most as long as the probes ran in all
    assert ours == pytest.approx(told[0], abs=0.02 * told[0] + frame["probe_ns"].iloc[0])


@bpf
def test_a_sleep_has_the_name_of_the_call_and_its_length(obedient: Obedient) -> None:
    frame = obedient.watched("waits", lambda: obedient("time.sleep(0.25)")).set_index("wait")
    assert frame["count"]["in clock_nanosleep()"] == 1
    assert frame["total_ns"]["in clock_nanosleep()"] >= 240e6


# -- stacks, faults, TCP -----------------------------------------------------------------------------------


@bpf
def test_the_page_faults_are_those_of_proc_stat(obedient: Obedient) -> None:
    told: list[int] = []

    def minor() -> int:
        return int(obedient.read("stat").rpartition(")")[2].split()[7])

    def work() -> None:
        before = minor()
        touch = "[m.__setitem__(p * n, 1) for n in range(997)]"
        obedient(f"p = mmap.PAGESIZE; m = mmap.mmap(-1, p * 997); {touch}; m.close()")
        told.append(minor() - before)

    frame = obedient.watched("faults", work)
    assert told[0] >= 997
    assert frame[frame["fault"] == "minor"]["count"].sum() == told[0]


@bpf
def test_the_stacks_of_a_busy_function_have_its_name() -> None:
    with Workload(
        "probes", ["--work", "burn", "--seconds", "0.3", "--apple", "100", "--pear", "0", "--plum", "0"]
    ) as run:
        target = check_target(run.pid, None, None)
        found = look_at(target, ["on_cpu", "off_cpu"], PATIENCE_S, silent, run.go)
    stacks = found["on_cpu"]
    assert stacks[stacks["stack"].str.contains("apple")]["count"].sum() > 0.5 * stacks["count"].sum() > 0


@bpf
@pytest.mark.parametrize("event", ["as it is", pytest.param("without a cookie", marks=anywhere)])
def test_the_round_trip_is_that_of_ss(obedient: Obedient, event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if event != "as it is":
        monkeypatch.setattr(tcp, "event_flags", lambda: {"NO_COOKIE": 1})
    told: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        obedient(f"s = socket.create_connection(('127.0.0.1', {port}))")
        peer, _ = server.accept()

        def work() -> None:
            for _ in range(23):
                peer.sendall(b"x")
                obedient("s.sendall(s.recv(10))")
                peer.recv(10)
            said = "unacked:"
            while "unacked:" in said:  # until the last acknowledgement has come
                said = subprocess.run(["ss", "-tinH", f"dport = :{port}"], capture_output=True, text=True).stdout
            told.append(float(re.findall(r"\brtt:([\d.]+)/", said)[0]))
            peer.sendall(b"x")  # the kernel shows its estimate before it looks at the segment
            obedient("s.recv(10)")

        frame = obedient.watched("tcp", work)
        peer.close()
    (row,) = frame[frame["remote_port"] == port].to_dict("records")
    assert row["count"] >= 23
    assert row["rtt_ns"] == pytest.approx(told[0] * 1e6, abs=1000)  # the event has whole microseconds


# -- whom ---------------------------------------------------------------------------------------------------


@bpf
def test_a_cgroup_is_watched_and_its_neighbour_is_not() -> None:
    with Cgroup() as cgroup, Obedient() as inside, Obedient() as outside:
        cgroup.add(inside.process.pid)

        def work() -> None:
            inside("[os.getpgid(0) for _ in range(23)]")
            outside("[os.getpgid(0) for _ in range(97)]")

        found = look_at(check_target(None, None, str(cgroup.path)), ["calls"], PATIENCE_S, silent, work)["calls"]
    assert found.set_index("call")["count"]["getpgid"] == 23


@bpf
def test_processes_below_a_cgroup_are_said_not_to_be_watched(obedient: Obedient) -> None:
    with Cgroup() as cgroup:
        below = cgroup.path / "below"
        with Running(check_target(None, None, str(cgroup.path))) as nobody:
            assert nobody.warnings == [f"No process is in {cgroup.path}: only those that join it are watched."]
        below.mkdir()
        (below / "cgroup.procs").write_text(str(obedient.process.pid))
        try:
            with Running(check_target(None, None, str(cgroup.path))) as running:
                (said,) = running.warnings
        finally:
            cgroup.add(obedient.process.pid)
            below.rmdir()
        assert said.startswith(f"1 process is in cgroups below {cgroup.path}, and not watched")
        with Running(check_target(None, None, str(cgroup.path))) as running:
            assert running.warnings == []


@bpf
@anywhere
def test_the_target_runs_on_after_the_watcher_was_killed(obedient: Obedient) -> None:
    script = f"import labkit\nprint('begins', flush=True)\nlabkit.watch(pid={obedient.process.pid}, seconds=60)"
    watcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert watcher.stdout and watcher.stdout.readline() == "begins\n"
    obedient("x = 1")
    watcher.send_signal(signal.SIGKILL)
    watcher.communicate()
    obedient("x = 2")
    assert "TracerPid:\t0" in obedient.read("status")


# -- what is refused ---------------------------------------------------------------------------------------


def test_a_bad_target_is_refused_before_anything_is_started() -> None:
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    try:
        for given, said in {
            (("pid", 4_000_000),): "not a running process",
            (("pid", os.getpid()),): "this notebook",
            (("pid", 2),): "thread of the kernel" if Path("/proc/2/comm").exists() else "not a running",
            (("pid", zombie.pid),): "zombie",
            (("command", ("no-such-command",)),): "does not exist",
            (("command", "git status"),): "list of words",
            (("cgroup", "/tmp"),): "cgroup.procs",
            (("pid", 1), ("command", ("true",))): "needs one target",
            (): "needs one target",
            (("pid", 1), ("what", "everything")): "what=",
            (("pid", 1), ("seconds", 0)): "seconds=",
        }.items():
            with pytest.raises(BadArgument, match=said):
                labkit.watch(**dict(given))  # type: ignore[arg-type]
    finally:
        zombie.wait()


# -- the three programs ------------------------------------------------------------------------------------


@bpf
@anywhere  # the notebook shows the same on each kernel, as do the next two
@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_git_reads_every_byte_of_a_copied_tree_and_then_none() -> None:
    frame = your_program.git_status(199).set_index(["phase", "call"])
    assert frame["bytes"]["first", "read"] - frame["bytes"]["second", "read"] == 199 * 1000
    assert frame["count"]["first", "openat"] - frame["count"]["second", "openat"] >= 199  # and its own files


@bpf
@anywhere
@pytest.mark.skipif(not shutil.which("sqlite3"), reason="sqlite3 is not installed")
def test_sqlite_reads_its_file_once_per_lookup_and_with_an_index_hardly_at_all() -> None:
    frame = your_program.sqlite_query(5)
    database = frame[frame["path"] == "shop.db"].set_index("phase")
    times = database["read_bytes"] / database["database_bytes"]
    assert times["no index"] == pytest.approx(5, rel=0.05) and times["index"] < 0.1


@bpf
@anywhere
def test_the_web_server_waits_for_a_slow_client() -> None:
    made = your_program.web_server(30, 7)
    frame = made.set_index(["phase", "wait"])
    # next to a busy neighbour the kernel skips a program now and then: each wait that is left out is a counted loss
    assert 7 - made.attrs["lost_events"] <= frame["count"]["slow", "in recvfrom()"] <= 7
    assert frame["mean_ns"]["slow", "in recvfrom()"] >= 25e6
