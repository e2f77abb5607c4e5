# SPDX-License-Identifier: Apache-2.0
"""The fixture that checks for leftovers finds each kind of them, and lets go what is not the test's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from leftovers import MARK, left_behind, snapshot

pytest_plugins = ["pytester"]


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(MARK, f"{os.getpid()}-own")
    return f"{os.getpid()}-own"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leftovers._FREEING_S", 0.0)


@pytest.fixture
def sleeper(mark: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_nothing_new_is_nothing_left(mark: str, tmp_path: Path) -> None:
    assert left_behind(snapshot(mark, tmp_path), mark, tmp_path) == []


def test_a_file_is_found(mark: str, tmp_path: Path) -> None:
    before = snapshot(mark, tmp_path)
    (tmp_path / "labkit-run").touch()
    assert left_behind(before, mark, tmp_path) == [f"file {tmp_path / 'labkit-run'}"]


def test_a_process_is_found_though_its_parent_is_gone(mark: str, tmp_path: Path) -> None:
    before = snapshot(mark, tmp_path)
    code = "import subprocess as s; print(s.Popen(['sleep', '600'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    try:
        assert left_behind(before, mark, tmp_path) == [f"process {pid} (sleep 600)"]
    finally:
        os.kill(pid, 9)


def test_a_process_of_others_is_not_ours(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert not any(line.startswith(f"process {sleeper.pid} ") for line in snapshot("another-mark", tmp_path))


@pytest.mark.bpf
def test_a_program_that_this_process_holds_is_found(mark: str, tmp_path: Path) -> None:
    from labkit.machine.bcc import load_bcc

    before = snapshot(mark, tmp_path)
    program = load_bcc().BPF(text=b"int labkit_left(void *ctx) { return 0; }")
    program.load_func(b"labkit_left", program.RAW_TRACEPOINT)
    found = left_behind(before, mark, tmp_path)
    program.cleanup()
    assert [line.split()[0] for line in found] == ["prog"]
    assert "(labkit_left)" in found[0]


@pytest.mark.bpf
def test_where_programs_stay_loaded_an_attached_one_is_found(mark: str, tmp_path: Path) -> None:
    from labkit.machine.bcc import load_bcc

    before = snapshot(mark, tmp_path, loaded=False)
    program = load_bcc().BPF(text=b"int labkit_left(void *ctx) { return 0; }")
    program.load_func(b"labkit_left", program.TRACEPOINT)
    only_loaded = left_behind(before, mark, tmp_path, loaded=False)
    program.attach_tracepoint(tp=b"syscalls:sys_enter_getppid", fn_name=b"labkit_left")
    found = left_behind(before, mark, tmp_path, loaded=False)
    program.cleanup()
    assert only_loaded == []
    assert [line.split()[:2] for line in found] == [["attached", "pid"]]


@pytest.mark.bpf
def test_a_program_that_another_lab_holds_is_not_ours(mark: str, tmp_path: Path) -> None:
    before = snapshot(mark, tmp_path)
    code = (
        "import sys; from labkit.machine.bcc import load_bcc\n"
        "program = load_bcc().BPF(text=b'int labkit_theirs(void *ctx) { return 0; }')\n"
        "program.load_func(b'labkit_theirs', program.RAW_TRACEPOINT); print(flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, MARK: "another"}
    )
    assert other.stdout is not None
    other.stdout.readline()
    loaded = [line for line in snapshot(mark, tmp_path) - before if "labkit_theirs" in line]
    found = left_behind(before, mark, tmp_path)
    other.communicate()
    assert len(loaded) == 1
    assert not set(loaded) & set(found)


def run_inner(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, body: str, *, conftest: str = "", **env: str
) -> pytest.RunResult:
    """Run one test file under this folder's conftest in a pytest of its own."""
    here = Path(__file__).parent
    pytester.makeconftest(conftest or (here / "conftest.py").read_text())
    pytester.makepyfile(f"import pytest\n{body}")
    pytester.makeini("[pytest]\nmarkers =\n    bpf\n    kernel\n    programs_kept\n")
    monkeypatch.setenv("PYTHONPATH", f"{here}:{here.parent}")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return pytester.runpytest_subprocess("-ra")


SKIPS = "@pytest.mark.bpf\n{more}\ndef test_it(): pytest.skip('absent here')"


@pytest.mark.bpf
@pytest.mark.parametrize(
    ("required", "more", "outcome"),
    [
        ("0", "", {"skipped": 1}),
        ("1", "", {"failed": 1}),
        ("1", "@pytest.mark.kernel", {"skipped": 1}),
    ],
)
def test_a_skip_fails_where_bpf_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, required: str, more: str, outcome: dict[str, int]
) -> None:
    ran = run_inner(pytester, monkeypatch, SKIPS.format(more=more), LABKIT_REQUIRE_BPF=required)
    ran.assert_outcomes(**outcome)


@pytest.mark.parametrize(("required", "outcome"), [("0", {"skipped": 1}), ("1", {"errors": 1})])
def test_a_machine_without_bpf_says_why(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, required: str, outcome: dict[str, int]
) -> None:
    body = "@pytest.mark.bpf\ndef test_it(): pass"
    without = Path(__file__).with_name("conftest.py").read_text().replace('which("bpftool")', 'which("nonesuch")')
    ran = run_inner(pytester, monkeypatch, body, conftest=without, LABKIT_REQUIRE_BPF=required)
    ran.assert_outcomes(**outcome)
    ran.stdout.fnmatch_lines(["*make setup*", "*LABKIT_REQUIRE_BPF*"] if os.geteuid() == 0 else ["*not root*"])


@pytest.mark.bpf
def test_a_leaking_test_is_an_error(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "import os, pathlib\n@pytest.mark.bpf\n"
        "def test_it(): pathlib.Path(os.environ['LABKIT_DATA'], 'labkit-left').touch()"
    )
    ran = run_inner(pytester, monkeypatch, body)
    ran.assert_outcomes(passed=1, errors=1)
    ran.stdout.fnmatch_lines(["*left behind*", "*file *labkit-left"])


@pytest.mark.bpf
def test_where_programs_stay_loaded_one_that_leaks_is_an_error_at_the_end_of_its_file(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "from labkit.machine.bcc import load_bcc\npytestmark = [pytest.mark.bpf, pytest.mark.programs_kept]\n"
        "held = []\ndef test_it():\n    held.append(load_bcc().BPF(text=b'int labkit_left(void *ctx) { return 0; }'))\n"
        "    held[0].load_func(b'labkit_left', held[0].RAW_TRACEPOINT)\n"
        "def test_the_next(): pass\n"
    )
    ran = run_inner(pytester, monkeypatch, body)
    ran.assert_outcomes(passed=2, errors=1)
    ran.stdout.fnmatch_lines(["*ERROR at teardown of test_the_next*", "*left behind*", "*prog_id:*"])
