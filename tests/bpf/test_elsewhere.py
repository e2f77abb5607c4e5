# SPDX-License-Identifier: Apache-2.0
"""`labkit elsewhere`: verdicts of other kernels side by side; a fake machine, and with a variable a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labkit.bpf.elsewhere import plan, trial
from labkit.bpf.elsewhere.guest import ACCEPTED, NO_HOOK, NO_PROGRAM, NOT_TRIED, REFUSED, judge
from labkit.bpf.elsewhere.plan import Boot, Candidate
from labkit.cli import main
from labkit.errors import BadArgument, CompileError, Missing, Stopped
from labkit.machine.kernels.emulated import Tick, ends_in_time

# bpf_get_attach_cookie came with Linux 5.15
NEWER = """
BPF_ARRAY(cookies, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
    int zero = 0;
    u64 cookie = bpf_get_attach_cookie(args);
    cookies.update(&zero, &cookie);
    return 0;
}
"""
REFUSED_EVERYWHERE = "int kprobe__do_nanosleep(struct pt_regs *ctx) { return *(int *)0; }\n"
NO_SUCH_EVENT = "int kprobe__labkit_is_not_there(struct pt_regs *ctx) { return 0; }\n"


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    path = tmp_path / "newer.c"
    path.write_text(NEWER)
    return path


def machine(told: dict[str, object] | None, *, output: str = "", ended: bool = True) -> Boot:
    def boot(out: Path, given: dict[str, str], timeout_s: float, tick: Tick) -> bool:
        out.mkdir(parents=True)
        tick(1.0)
        (out / "output").write_text(output)
        if told is not None:
            (out / "answer.json").write_text(json.dumps(told) + "\n")
        return ended

    return boot


def told(verdict: str, headline: str = "") -> dict[str, object]:
    return {"release": "5.10.0-x", "verdict": verdict, "headline": headline, "fix": "", "seconds": 1.0}


def test_each_kernel_has_a_row_with_its_own_headline(newer: Path) -> None:
    tried = [
        Candidate("5.10", machine(told(REFUSED, "newer.c:5: the kernel does not know the helper"))),
        Candidate("6.1", machine(told(ACCEPTED))),
        Candidate("sid", None, "not in the cache: labkit elsewhere --fetch --kernels sid"),
    ]
    found = list(trial.answers(newer, {}, tried))
    assert {one.kernel: one.verdict for one in found} == {"sid": NOT_TRIED, "5.10": REFUSED, "6.1": ACCEPTED}
    assert "does not know the helper" in trial.as_text(found)


def test_a_machine_without_an_answer_is_not_tried_and_says_what_it_said(newer: Path) -> None:
    broken = Candidate("6.1", machine(None, output="Traceback\nModuleNotFoundError: no numpy"))
    slow = Candidate("6.12", machine(None, ended=False))
    first, second = trial.answers(newer, {}, [broken, slow], limit_s=60)
    assert (first.verdict, second.verdict) == (NOT_TRIED, NOT_TRIED)
    assert "no numpy" in first.headline
    assert "no answer in 60 s" in second.headline


def test_the_machine_gets_the_text_and_the_flags(newer: Path) -> None:
    seen: dict[str, str] = {}

    def boot(out: Path, given: dict[str, str], timeout_s: float, tick: Tick) -> bool:
        seen.update(given)
        return True

    list(trial.answers(newer, {"STEP": "2"}, [Candidate("6.1", boot)]))
    assert seen["newer.c"] == NEWER
    assert json.loads(seen["task.json"]) == {"file": "newer.c", "flags": {"STEP": "2"}, "kind": ""}


def test_stop_ends_the_machine_and_leaves_no_process(tmp_path: Path) -> None:
    def stop(gone_s: float) -> None:
        if (tmp_path / "child").exists():
            raise Stopped

    words = ["sh", "-c", f"sleep 600 & echo $! >{tmp_path}/child; wait"]
    with pytest.raises(Stopped):
        ends_in_time(words, tmp_path / "log", 60.0, stop)
    assert_gone(int((tmp_path / "child").read_text()))


def test_a_killed_lab_leaves_no_machine(tmp_path: Path) -> None:
    words = ["sh", "-c", f"sleep 600 & echo $! >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/child; wait"]
    code = "from labkit.machine.kernels.emulated import *; from pathlib import Path; "
    code += f"ends_in_time({words}, Path('{tmp_path}/log'), 60)"
    lab = subprocess.Popen([sys.executable, "-c", code])
    while not (tmp_path / "child").exists():
        assert lab.poll() is None
        time.sleep(0.02)
    lab.kill()
    lab.wait()
    assert_gone(int((tmp_path / "child").read_text()))


def test_the_limit_ends_the_machine(tmp_path: Path) -> None:
    assert not ends_in_time(["sleep", "600"], tmp_path / "log", 0.3)
    assert ends_in_time(["true"], tmp_path / "log", 60.0)


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- bad input: two lines, before anything starts -------------------------------------------------


def test_no_such_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["elsewhere", "nothing.c"]) == 1
    assert (
        capsys.readouterr().err == "labkit: There is no file nothing.c.\nFix: name a C file: labkit elsewhere opens.c\n"
    )


def test_a_file_behind_the_kernels_is_taken_for_one_and_the_error_says_where_it_goes(
    newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["elsewhere", "--kernels", "5.10", str(newer)]) == 1
    assert "name it first: labkit elsewhere opens.c --kernels 5.10" in capsys.readouterr().err


def test_an_unknown_kernel() -> None:
    with pytest.raises(BadArgument, match=r"4\.19"):
        plan.candidates(["4.19"])


def test_no_kernel_in_the_cache_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(plan, "why_not", lambda: "")
    with pytest.raises(Missing, match=r"labkit elsewhere --fetch --kernels 5\.10 6\.1"):
        plan.candidates()


def test_no_emulator_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "why_not", lambda: "not installed: qemu-system-x86, virtme-ng (of the lab's .venv)")
    with pytest.raises(Missing, match=r"scripts/setup\.sh test"):
        plan.candidates()


@pytest.mark.bpf
@pytest.mark.anywhere
def test_what_does_not_compile_here_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text("TRACEPOINT_PROBE(syscalls, sys_enter_openat) { return nothing; }\n")
    with pytest.raises(CompileError, match="nothing"):
        trial.check_here(tmp_path / "bad.c", {})


# -- what the guest does, on the kernel that runs -------------------------------------------------


@pytest.mark.bpf
@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (NEWER, ACCEPTED),
        (REFUSED_EVERYWHERE, REFUSED),
        (NO_SUCH_EVENT, NO_HOOK),
        ("TRACEPOINT_PROBE(labkit, nothing) { return 0; }\n", NO_HOOK),
        ("int kprobe__do_nanosleep(void *ctx) { return nothing; }\n", NO_PROGRAM),
    ],
)
def test_a_verdict_is_one_of_four(tmp_path: Path, text: str, verdict: str) -> None:
    (tmp_path / "each.c").write_text(text)
    found = judge(tmp_path / "each.c", {})
    assert found["verdict"] == verdict, found
    assert bool(found["headline"]) == (verdict != ACCEPTED)


# -- a real machine -------------------------------------------------------------------------------


def real(name: str) -> list[Candidate]:
    if os.environ.get("LABKIT_TEST_ELSEWHERE") != "1":
        pytest.skip("boots other kernels, some minutes each: LABKIT_TEST_ELSEWHERE=1 runs it")
    try:
        return plan.candidates([name])
    except Missing as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("name", "verdict"), [("5.10", REFUSED), ("6.1", ACCEPTED)])
def test_a_newer_helper_is_refused_by_5_10_alone(newer: Path, name: str, verdict: str) -> None:
    (answer,) = trial.answers(newer, {}, real(name), limit_s=900)
    assert answer.verdict == verdict, answer
    assert answer.release.startswith(f"{name}."), answer
    assert verdict == ACCEPTED or "5" in answer.headline, answer
