# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: targets that end, exec, start threads, are in a container or call a million times; and no privileges."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuse import FuseFile, reader, unanswered_file
from obedient import PATIENCE_S, Obedient
from running_kernel import since

import labkit
from labkit import schema
from labkit.errors import BadArgument, LabkitError
from labkit.lessons import your_program
from labkit.lessons.your_program.look import Look
from labkit.lessons.your_program.target import Running, check_target
from labkit.lessons.your_program.watching import look_at
from labkit.machine import ending
from labkit.running import workload
from labkit.running.progress import silent
from labkit.running.workload import Workload, build

pytestmark = pytest.mark.programs_kept
bpf = pytest.mark.bpf
anywhere = pytest.mark.anywhere
needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and util-linux")
SLEEP = ["sleep", "30"]


# -- threads, exec, end ------------------------------------------------------------------------------------


@bpf
def test_calls_of_threads_that_come_and_go_are_counted(obedient: Obedient) -> None:
    order = "[(t.start(), t.join()) for t in [threading.Thread(target=lambda: os.getpgid(0)) for _ in range(97)]]"
    obedient("import threading")
    found = look_at(
        check_target(obedient.process.pid, None, None), ["calls", "waits"], PATIENCE_S, silent, lambda: obedient(order)
    )
    assert found["calls"].set_index("call")["count"]["getpgid"] == 97
    assert found["waits"].set_index("wait")["count"]["for a CPU (run queue)"] >= 97
    assert all("lost" in line for line in found["calls"].attrs["warnings"])


@bpf
def test_a_process_that_execs_is_watched_on_and_reported() -> None:
    words = ["sh", "-c", "read -r _; exec dd if=/dev/zero of=/dev/null bs=1 count=23 status=none"]
    execs = subprocess.Popen(words, stdin=subprocess.PIPE, text=True)
    long = subprocess.Popen(["sh", "-c", "read -r _; exec sleep 600"], stdin=subprocess.PIPE, text=True)

    def start(process: subprocess.Popen[str], until: str) -> None:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        while until and Path(f"/proc/{process.pid}/comm").read_text() != until:
            pass

    frame = look_at(
        check_target(execs.pid, None, None), ["calls"], PATIENCE_S, silent, lambda: (start(execs, ""), execs.wait())
    )["calls"]
    execs.communicate()
    assert frame.set_index("call")["count"]["write"] == 23
    found = look_at(check_target(long.pid, None, None), ["calls"], PATIENCE_S, silent, lambda: start(long, "sleep\n"))
    long.kill()
    long.communicate()
    assert any("'sleep' (exec)" in line for line in found["calls"].attrs["warnings"])


@bpf
def test_a_process_that_ends_is_reported_and_a_long_command_is_ended() -> None:
    ends = subprocess.Popen(["sleep", "0.2"])
    said = labkit.watch(pid=ends.pid, seconds=20).attrs["warnings"]
    ends.wait()
    assert any("ended after" in line for line in said)
    said = labkit.watch(command=SLEEP, seconds=0.2).attrs["warnings"]
    assert any("ended by the lab" in line for line in said)


def test_a_process_that_has_ended_before_the_programs_are_loaded_is_refused_in_words() -> None:
    short = subprocess.Popen(["sleep", "600"])
    target = check_target(short.pid, None, None)
    short.kill()
    short.wait()
    with pytest.raises(BadArgument, match="has ended meanwhile"), Running(target):
        pass


def test_the_number_of_a_thread_is_no_process() -> None:
    ready, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (ready.set(), end.wait()))
    thread.start()
    ready.wait()
    try:
        with pytest.raises(BadArgument, match=f"is a thread of process {os.getpid()}"):
            labkit.watch(pid=thread.native_id)
    finally:
        end.set()
        thread.join()


# -- children ----------------------------------------------------------------------------------------------


def ended(command: list[str], patience_s: float = PATIENCE_S) -> list[str]:
    """Run a command as a target for so long, and return what is said of its end."""
    with Running(check_target(None, command, None)) as running:
        running.go()
        is_over = running.wait(patience_s)
        running.note_time()
        running.finish(is_over)
    return running.warnings


def still_runs(mark: str) -> list[str]:
    return [
        folder.name
        for folder in Path("/proc").glob("[0-9]*")
        if mark.encode() in (folder / "cmdline").read_bytes().split(b"\0")
    ]


@pytest.mark.parametrize("last", ["exit 3", "sleep 600.1 & wait"])
def test_what_a_command_has_started_ends_with_it(last: str) -> None:
    script = f"sleep 600.1 & (sleep 600.1 & sleep 600.1) & {last}"
    said = ended(["sh", "-c", script], 0.3)
    assert still_runs("600.1") == []
    if last == "exit 3":
        assert re.fullmatch(r"sh had ended, and \d that it had started still ran: the lab ended them\.", said[0])
        assert said[1] == "sh ended with status 3."
    else:
        assert re.fullmatch(r"sh still ran after .*, and was ended by the lab\.", said[0])


def test_a_command_that_a_signal_ended_says_which() -> None:
    assert ended(["sh", "-c", "echo 'too late' >&2; kill -SEGV $$"]) == ["sh ended by SIGSEGV. It said: too late"]


def test_a_command_that_may_not_be_executed_is_not_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    with pytest.raises(BadArgument, match="may not be executed"):
        check_target(None, [str(tmp_path / "text")], None)


def test_a_stopped_process_is_said_to_be_stopped(obedient: Obedient) -> None:
    obedient.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, obedient.process.pid, os.WSTOPPED)
    with Running(check_target(obedient.process.pid, None, None)) as running:
        assert running.warnings == [f"process {running.pid} is stopped: `kill -CONT {running.pid}` lets it go on."]


def test_of_too_many_children_those_that_are_not_watched_are_counted() -> None:
    script = "i=0; while [ $i -lt 300 ]; do sleep 600.2 & i=$((i + 1)); done; echo ready; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        try:
            assert parent.stdout and parent.stdout.readline() == "ready\n"
            with Running(check_target(parent.pid, None, None)) as running:
                assert len(running.pids) == 256
                (said,) = running.warnings
            assert said.startswith("45 of its 300 descendants are not watched")
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def test_an_ancestor_of_the_notebook_is_watched_without_it() -> None:
    with Running(check_target(os.getppid(), None, None)) as running:
        assert os.getpid() not in running.pids and running.pids[0] == os.getppid()
    assert f"This notebook is a descendant of process {os.getppid()}" in running.warnings[0]


@bpf
def test_a_wait_from_before_to_after_is_as_long_as_the_look(obedient: Obedient) -> None:
    """Attaching the other programs takes its time: it is no part of the wait."""
    found = look_at(check_target(obedient.process.pid, None, None), ["waits", "on_cpu", "tcp"], 1.0, silent)
    (row,) = found["waits"].to_dict("records")
    assert row["wait"] == "in read() (still waiting at the end)" and row["count"] == 1
    assert row["total_ns"] == pytest.approx(row["elapsed_s"] * 1e9, rel=0.3)


@bpf
def test_a_program_that_was_deleted_is_said_to_be_deleted(tmp_path: Path) -> None:
    shutil.copy(build("probes"), tmp_path / "burn")
    work = "--go --work burn --seconds 0.3 --apple 100 --pear 0 --plum 0"
    script = f"exec 7<{tmp_path}/burn; rm {tmp_path}/burn; exec /proc/self/fd/7 {work}"
    warnings = labkit.watch("on_cpu", command=["sh", "-c", script]).attrs["warnings"]
    (said,) = [line for line in warnings if "[burn (deleted)]" in line]
    assert "was deleted" in said and "stripped" not in said


@bpf
def test_a_child_that_begins_while_the_programs_are_attached_is_watched(
    obedient: Obedient, monkeypatch: pytest.MonkeyPatch
) -> None:
    obedient("begin, go = os.pipe()")
    work = "os.read(begin, 1), [os.getpgid(0) for _ in range(23)], os._exit(0)"
    real = Look.aim

    def late(look: Look, running: Running) -> None:
        obedient(f"child = os.fork() or ({work})")  # after its children were listed
        real(look, running)

    monkeypatch.setattr(Look, "aim", late)
    frame = obedient.watched("calls", lambda: obedient("os.write(go, b'!'); os.waitpid(child, 0)"))
    assert frame.set_index("call")["count"]["getpgid"] == 23


@bpf
def test_a_program_whose_name_cannot_be_printed_is_watched_in_every_way(tmp_path: Path) -> None:
    odd = os.fsdecode(bytes(tmp_path) + b"/an odd name \xff")
    shutil.copy(build("probes"), odd)
    command = [odd, "--go", "--work", "burn", "--seconds", "0.2", "--apple", "100", "--pear", "0", "--plum", "0"]
    found = your_program.watch_all(your_program.VIEWS, command=command)
    stacks = found["on_cpu"]
    assert stacks[stacks["stack"].str.contains("apple")]["count"].sum() > 0.5 * stacks["count"].sum() > 0
    assert all("\n" not in text for frame in found.values() for text in frame.attrs["warnings"])


# -- a million calls, and more files than there is room for ---------------------------------------------------


@bpf
def test_a_million_calls_at_full_speed_are_counted_and_what_each_costs_is_said() -> None:
    arguments = ["--opens", "0", "--missing", "0", "--writes", "1000000", "--failed-writes", "0", "--pages", "0"]
    told: dict[str, int] = {}
    with Workload("your_program", arguments) as run:
        target = check_target(run.pid, None, None)
        frame = look_at(target, ["calls"], PATIENCE_S, silent, lambda: told.update(run.go(timeout_s=PATIENCE_S)))
    calls, lost = frame["calls"].set_index("call"), frame["calls"].attrs["lost_events"]
    row = calls.loc["pwrite64"]
    assert told["written_bytes"] == sum(n % 4096 + 1 for n in range(1_000_000))  # the program has done its work
    assert row["count"] <= 1_000_000 <= row["count"] + lost and row["errors"] == 0
    assert row["bytes"] == told["written_bytes"] or lost
    each_ns = row["probe_ns"] / calls["count"].sum()
    assert f"{schema.si_ns(each_ns)} per call of the program" in your_program.cost(frame["calls"])


@bpf
def test_what_has_no_room_is_counted_as_lost(obedient: Obedient) -> None:
    order = (
        "[os.close(os.open('/dev' + ''.join('/.' if n >> b & 1 else '//' for b in range(16)) + '/null', 0))"
        " for n in range(33_997)]"
    )
    frame = obedient.watched("files", lambda: obedient(order))
    kept = frame[frame["path"].str.startswith("/dev")]["opens"].sum()
    # the orders themselves come and go through files, too
    assert kept < 33_997 <= kept + frame.attrs["lost_events"]
    # from 6.19 on the kernel may skip a probe of any process, and counts it here, too
    assert since("6.19") or kept + frame.attrs["lost_events"] <= 33_997 + 20
    assert any("events were lost" in line for line in frame.attrs["warnings"])


# -- containers ---------------------------------------------------------------------------------------------


@bpf
@needs_root
def test_a_process_in_namespaces_has_the_names_of_its_own_files() -> None:
    """As a container's: numbers of its own, and a program and a file that only its own mounts have."""
    work = "--work burn --seconds 0.3 --apple 100 --pear 0 --plum 0"
    script = (
        f"mount -t tmpfs none /mnt && cp {build('probes')} /mnt/own && touch /mnt/before && exec 7>/mnt/before "
        f"&& echo started && read -r _ && echo x >&7 && dd if=/mnt/before of=/mnt/after status=none "
        f"&& /mnt/own --go {work}"
    )
    words = ["unshare", "--pid", "--fork", "--mount", "--mount-proc", "sh", "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as outside:
        assert outside.stdin and outside.stdout and outside.stdout.readline() == "started\n"
        (inside,) = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        target = check_target(int(inside), None, None)

        def work_on() -> None:
            assert outside.stdin
            outside.stdin.write("\n")
            outside.stdin.flush()
            outside.wait()

        found = look_at(target, ["on_cpu", "files"], PATIENCE_S, silent, work_on)
    stacks, files = found["on_cpu"], found["files"].set_index("path")
    assert stacks[stacks["stack"].str.contains(";apple")]["count"].sum() > 0.5 * stacks["count"].sum() > 0
    assert files["read_bytes"]["/mnt/before"] == 2 and files["written_bytes"]["/mnt/after"] == 2
    assert not Path("/mnt/own").exists()


# -- without privileges ------------------------------------------------------------------------------------------

REFUSED = """
import labkit
from labkit import schema
from labkit.errors import Missing
from labkit.lessons import your_program
for what in ("calls", "on_cpu", "tcp"):
    try:
        labkit.watch(what, command=["true"])
    except Missing as error:
        print(what, "IS MISSING:", error)
made = your_program.panel()
made.run()
made.wait(600)
print("PANEL:", made._message.value)
print("RECORDED:", labkit.measured("12", "faults", labkit.watch, what="faults", command=["true"]).attrs["recorded"])
"""


@bpf
@needs_root
def test_without_its_capabilities_it_says_so_in_plain_words_and_the_lesson_shows_a_recording() -> None:
    command = ["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin", sys.executable, "-c", REFUSED]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0 and "Traceback" not in done.stdout + done.stderr, done.stderr
    for what in ("calls", "on_cpu", "tcp"):
        assert f"{what} IS MISSING: " in done.stdout
    assert "--privileged" in done.stdout.partition("PANEL:")[2] and "RECORDED: True" in done.stdout


@bpf
@anywhere  # the refusal is made up
@needs_root
def test_where_perf_events_are_refused_the_timer_is_missing() -> None:
    code = REFUSED.replace('("calls", "on_cpu", "tcp")', '("on_cpu", "faults")').partition("made =")[0]
    broken = Path(__file__).parents[2] / "faults" / "broken.py"
    command = [sys.executable, str(broken), "refuse:perf_event_open:EPERM", "--", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0 and "Traceback" not in done.stdout + done.stderr, done.stderr
    assert "on_cpu IS MISSING: " in done.stdout and "faults IS MISSING: " in done.stdout


def test_the_panel_refuses_a_wrong_process_in_words() -> None:
    made = your_program.panel()
    made.controls["pid"].value = 4_000_000
    made.run()
    made.wait(600)
    assert "pid=4000000 is not a running process" in made._message.value


# -- a process that cannot be ended: it waits for a read that is never answered (tests/fuse.py) -------------


@pytest.fixture
def unanswered(monkeypatch: pytest.MonkeyPatch) -> Iterator[FuseFile]:
    monkeypatch.setattr(ending, "END_S", 0.3)
    with unanswered_file() as file:
        yield file


def test_a_command_that_hangs_in_the_kernel_is_named(unanswered: FuseFile) -> None:
    running = Running(check_target(None, reader(unanswered), None))
    with pytest.raises(LabkitError) as caught, running:
        running.go()
        assert unanswered.waiting.wait(PATIENCE_S)
    pid = running.pids[0]
    assert Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "D"
    assert re.match(rf"Process {pid} \(dd\) was killed and has not ended: it is in state D", caught.value.what)
    assert f"/proc/{pid}/stack" in caught.value.fix
    unanswered.answer_all()
    assert os.waitpid(pid, 0)[0] == pid


def test_a_child_that_hangs_in_the_kernel_is_named(unanswered: FuseFile) -> None:
    script = f"{' '.join(reader(unanswered))} & exec sleep 0.3"
    with Running(check_target(None, ["sh", "-c", script], None)) as running:
        running.go()
        assert unanswered.waiting.wait(PATIENCE_S)
        assert running.wait(PATIENCE_S)
        running.note_time()
        running.finish(ended=True)
    assert re.match(r"Process \d+ \(dd\) was killed and has not ended: it is in state D", running.warnings[0])


def test_a_workload_that_hangs_in_the_kernel_is_named(unanswered: FuseFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "ENDING_GRACE_S", 0.1)
    path = f"/proc/{os.getpid()}/fd/{unanswered.descriptor}"
    getting_ready = Workload("io_engines", ["--file", path, "--cache", "warm"], ready_timeout_s=0.5)
    with pytest.raises(LabkitError, match=r"^Process \d+ \(io_engines\) was killed and has not ended") as caught:
        getting_ready.__enter__()
    assert "it is in state D" in caught.value.what
    unanswered.answer_all()
    pid = int(caught.value.what.split()[1])
    assert os.waitpid(pid, 0)[0] == pid
