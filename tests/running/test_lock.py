"""One measurement at a time on the machine; the second says for whom it waits."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from labkit.errors import Busy, Stopped
from labkit.running.lock import exclusive

HOLDER = """
import sys
from labkit.running.lock import exclusive
with exclusive("lesson 01: hello"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder() -> subprocess.Popen[str]:  # type: ignore[misc]
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_told_for_whom_it_waits(holder: subprocess.Popen[str]) -> None:
    notes: list[str] = []
    with pytest.raises(Busy, match="lesson 01: hello"):
        with exclusive("me", lambda _, note: notes.append(note), timeout_s=0):
            pass
    with pytest.raises(Stopped), exclusive("me", lambda _, note: _stop(notes, note)):
        pass
    assert notes[-1] == f"waiting for lesson 01: hello (process {holder.pid})"


def test_without_progress_a_warning_says_for_whom_it_waits(holder: subprocess.Popen[str]) -> None:
    with pytest.warns(UserWarning, match="Waiting for lesson 01: hello"), pytest.raises(Busy):
        with exclusive("me", timeout_s=1.5):
            pass


def test_a_killed_holder_lets_go(holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with exclusive("me", timeout_s=5):
        pass


def test_two_threads_of_one_process_take_turns() -> None:
    inside: list[int] = []

    def work() -> None:
        with exclusive("a thread"):
            inside.append(1)
            assert len(inside) == 1
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert inside == []


def _stop(notes: list[str], note: str) -> None:
    notes.append(note)
    raise Stopped
