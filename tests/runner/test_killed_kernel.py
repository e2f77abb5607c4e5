# SPDX-License-Identifier: Apache-2.0
"""A notebook's kernel that is killed in mid-measurement leaves nothing, at the latest when the next one measures."""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from labkit.lessons import hello

pytestmark = pytest.mark.bpf

MEASURE = """
from labkit.running.owned import run_folder
from labkit.lessons import hello

def tell(share, note):
    if share > 0.02:
        print("it runs", flush=True)

with run_folder() as folder:
    (folder / "part").write_text("half")
    hello.measure(runs=1000, interval_us=20_000, progress=tell)
"""


class ThisPython(KernelManager):
    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())


@pytest.fixture
def manager() -> Iterator[KernelManager]:
    manager = ThisPython()
    manager.start_kernel(env=dict(os.environ))
    yield manager
    manager.shutdown_kernel(now=True)


def wait_until_under_way(manager: KernelManager) -> None:
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    client.execute(MEASURE)
    while True:
        message = client.get_iopub_msg(timeout=60)
        assert message["msg_type"] != "error", message["content"]
        if message["msg_type"] == "stream" and "it runs" in message["content"]["text"]:
            client.stop_channels()
            return


def held(pid: int) -> list[str]:
    """Return the BPF programs and links that a process holds, as the kernel tells them."""
    found = []
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            found += re.findall(r"^(?:prog|link)_id:\s+\d+", path.read_text(), re.MULTILINE)
        except OSError:
            continue
    return found


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_nothing_remains_after_sigkill_and_the_next_measurement(manager: KernelManager, data_folder: Path) -> None:
    wait_until_under_way(manager)
    pid = manager.provisioner.pid  # type: ignore[union-attr]
    assert held(pid), "the program was not attached when the kernel was killed"
    workload = os.pidfd_open(children(pid)[0])
    os.kill(pid, signal.SIGKILL)
    manager.provisioner.process.wait()  # type: ignore[union-attr]
    poll = select.poll()
    poll.register(workload, select.POLLIN)
    assert poll.poll(10_000), "the workload outlived its notebook by ten seconds"
    os.close(workload)
    assert list(data_folder.glob("labkit-*")), "the run's folder should have been left by the killed process"
    assert len(hello.measure(runs=3)) == 3  # sweeps
    assert list(data_folder.glob("labkit-*")) == []


def test_an_interrupted_cell_leaves_nothing(manager: KernelManager, data_folder: Path) -> None:
    wait_until_under_way(manager)
    pid = manager.provisioner.pid  # type: ignore[union-attr]
    client = manager.blocking_client()
    client.start_channels()
    manager.interrupt_kernel()
    while client.get_iopub_msg(timeout=60)["msg_type"] != "error":
        pass
    client.stop_channels()
    assert children(pid) == []
    assert list(data_folder.glob("labkit-*")) == []
