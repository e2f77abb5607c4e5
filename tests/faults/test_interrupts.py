# SPDX-License-Identifier: Apache-2.0
"""Whatever ends a measurement early, the next one is right and nothing is left: SIGINT, the ■ button, SIGKILL, SIGSTOP.

`make faults` does the same many more times (LABKIT_FAULTS is the number of interrupts of each experiment).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.experiments import EXPERIMENTS, measured_right
from faults.prepared import Prepared, labkit_variables, prepared
from jupyter_client.manager import start_new_kernel
from leftovers import MARK, left_behind, snapshot
from tree import ROOT

from labkit.bpf.shelf import forget_loaded

pytestmark = pytest.mark.bpf
TIMES = int(os.environ.get("LABKIT_FAULTS", "2"))
SEED = int(os.environ.get("LABKIT_FAULTS_SEED", "20"))
A_TIME_S = 30


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "LABKIT_QUICK": "1", "PYTHONPATH": path}


@pytest.fixture(scope="module")
def lab() -> Iterator[Prepared]:
    with prepared(["faults.interrupted"]) as started:
        yield started


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if TIMES >= 10 or name != "exercise"])
def test_after_interrupts_the_next_measurement_is_right_and_nothing_is_left(
    lab: Prepared, name: str, tmp_path: Path
) -> None:
    code = f"from faults.interrupted import main; main({name!r}, {SEED}, {TIMES})"
    status, _, errors = lab.run([], code, labkit_variables(), tmp_path, limit_s=120 + TIMES * A_TIME_S)
    assert status == 0, errors[-4000:]


def _run(client: Any, code: str) -> None:
    """Run a cell to its end; fail where it raises anything but an interrupt."""
    reply = client.execute_interactive(code, timeout=120, output_hook=lambda _: None)["content"]
    assert reply["status"] == "ok" or reply["ename"] == "KeyboardInterrupt", "\n".join(reply.get("traceback", []))


def _wait_for_its_end(client: Any, asked: str) -> None:
    """Wait until the kernel says that it is idle again.

    Not for the cell's reply: of an interrupt that comes right at the cell's end, ipykernel 7 writes "KeyboardInterrupt
    caught in kernel." and sends no reply (`dispatch_shell`). 73 of 600 interrupts of a cell without the lab did that;
    each time the kernel was idle, and ran the next cell.
    """
    while True:
        message = client.get_iopub_msg(timeout=120)
        is_ours = message["parent_header"].get("msg_id") == asked
        if is_ours and message["content"].get("execution_state") == "idle":
            return


@pytest.mark.parametrize("name", ["hello", "usdt", "sockmap"] if TIMES < 10 else list(EXPERIMENTS))
def test_the_interrupt_button_leaves_nothing_in_a_kernel(name: str) -> None:
    moments = random.Random(SEED)
    manager, client = start_new_kernel(env=environment(), cwd=str(ROOT))
    try:
        _run(client, "import warnings; warnings.simplefilter('ignore'); from faults.experiments import *")
        check = f"measured_right({name!r})"
        _run(client, check)
        started_s = time.monotonic()
        _run(client, check)
        lasts_s = time.monotonic() - started_s
        _run(client, "before = held()")
        for _ in range(TIMES):
            asked = client.execute(f"EXPERIMENTS[{name!r}][0]()")
            time.sleep(moments.uniform(0, lasts_s))  # the moment itself is what is drawn
            manager.interrupt_kernel()
            _wait_for_its_end(client, asked)
            _run(client, check)
            _run(client, "after = held(); assert after == before, (before, after)")
        _run(client, "import labkit.bpf.shelf as p; p.forget_loaded(); assert bpf_objects() == [], bpf_objects()")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("name", ["hello", "sockmap", "capstone"] if TIMES < 10 else list(EXPERIMENTS))
def test_after_a_kill_the_next_measurement_sweeps(
    name: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")
    mark = f"killed-{os.getpid()}-{name}"
    moments = random.Random(SEED)
    code = f"from faults.experiments import *\nwhile True:\n    print('.', flush=True)\n    EXPERIMENTS[{name!r}][0]()"
    before = snapshot(mark, data_folder)
    for _ in range(max(2, TIMES // 10)):
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, env=environment() | {MARK: mark}, stdout=subprocess.PIPE, cwd=ROOT) as lab:
            assert lab.stdout is not None
            for _ in range(2):  # it has compiled and measured once
                lab.stdout.readline()
            time.sleep(moments.uniform(0, 0.5))
            lab.send_signal(signal.SIGKILL)
        measured_right(name)
    forget_loaded()
    assert left_behind(before, mark, data_folder) == []


@pytest.mark.parametrize("name", ["hello"] if TIMES < 10 else list(EXPERIMENTS))
def test_a_measurement_that_is_stopped_for_a_while_goes_on_and_is_right(name: str) -> None:
    """SIGSTOP and SIGCONT, in turn to the lab's process and to the processes that it has started."""
    moments = random.Random(SEED)
    loop = "for line in sys.stdin:\n    measured_right(name)\n    print(held() == before, flush=True)"
    code = (
        f"import sys\nfrom faults.experiments import *\nname = {name!r}\nmeasured_right(name)\nbefore = held()\n{loop}"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=ROOT,
    ) as lab:
        assert lab.stdin is not None
        assert lab.stdout is not None
        for number in range(max(2, TIMES // 10)):
            print("go", file=lab.stdin, flush=True)
            time.sleep(moments.uniform(0, 0.5))
            stopped = [lab.pid] if number % 2 else _descendants(lab.pid)
            _send(signal.SIGSTOP, stopped)
            time.sleep(0.2)
            _send(signal.SIGCONT, stopped)
            assert lab.stdout.readline() == "True\n", "untrue rows, or something is left"
        lab.stdin.close()
        assert lab.wait() == 0


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _send(number: int, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
