# SPDX-License-Identifier: Apache-2.0
"""One notebook in one fresh kernel: executed cell by cell, with the failing cell named and nothing left running."""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from labkit.machine.folders import repo_folder

__all__ = ["Lesson", "Say"]

RUN_MARK = "LABKIT_LESSONS_RUN"  # in the environment of the kernel, so of every process that it starts
TELL_EVERY_S = 10.0

Say = Callable[[str], None]


class Lesson:
    """A notebook about to be executed with `folder` as its working directory."""

    def __init__(self, name: str, notebook: Any, folder: Path, *, quick: bool, timeout_s: float, say: Say) -> None:
        self._name = name
        self._notebook = notebook
        self._say = say
        self._stderr = folder.parent / "stderr"
        self._mark = secrets.token_hex(8)
        self._numbers = _numbers(notebook)
        self._cell = 0
        self._running = False
        self._interrupted = False
        self._cells: asyncio.Task[Any] | None = None
        self._cell_started_s = 0.0
        self._environment = {
            **os.environ,
            RUN_MARK: self._mark,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(repo_folder()), os.environ.get("PYTHONPATH", "")])),
            "IPYTHONDIR": str(folder.parent / "ipython"),  # nobody's start-up files
            "LABKIT_PROGRESS": str(folder.parent / "progress.json"),  # the learner's own stays as it is
            "LABKIT_QUICK": "1" if quick else os.environ.get("LABKIT_QUICK", "0"),
        }
        self._kernel = _ThisPython(transport="ipc")  # over TCP, others on this machine could listen
        self._client = _Client(
            notebook,
            km=self._kernel,
            timeout=int(timeout_s),
            resources={"metadata": {"path": str(folder)}},
            on_cell_execute=self._on_start,
            on_cell_executed=self._on_end,
            store_widget_state=False,
        )
        self._client.owns_km = True
        self._client.on_interrupt = self._interrupt

    def execute(self) -> str:
        """Execute all cells; return what went wrong, or an empty text."""
        error = ""
        try:
            # the path of a socket has at most 107 letters, so it is not in the tree
            with tempfile.TemporaryDirectory(prefix="labkit-") as sockets, self._stderr.open("wb") as stderr:
                self._kernel.ip, self._kernel.connection_file = f"{sockets}/kernel", f"{sockets}/kernel.json"
                asyncio.run(self._execute(stderr))
        except CellExecutionError as raised:
            error = self._where(raised.evalue, f"{raised.ename}: ")
        except CellTimeoutError:
            error = self._where(f"It took longer than {self._client.timeout} s (see --timeout).")
        except DeadKernelError:
            error = self._where(f"{self._last_words()}\nThe kernel's process died.")
        except RuntimeError as raised:
            error = f"{self._name}: the kernel did not start: {raised}\n{self._last_words()}"
        except asyncio.CancelledError:  # by us, below
            self._interrupted = True
        finally:
            atexit.unregister(self._client._cleanup_kernel)  # nbclient leaves it there when a kernel does not start
            left = _end_left_over(self._mark)
            if self._interrupted:  # whatever nbclient has made of it
                raise KeyboardInterrupt
        return "\n".join(part for part in (error, *(f"Left behind, and ended now: {line}" for line in left)) if part)

    async def _execute(self, stderr: IO[bytes]) -> None:
        """Execute the cells; SIGINT and SIGTERM end this, and the kernel with it."""
        self._cells = asyncio.current_task()
        try:
            async with self._client.async_setup_kernel(env=self._environment, stderr=stderr):
                telling = asyncio.create_task(self._tell_while_it_takes_long())
                for index, cell in enumerate(self._notebook.cells):
                    await self._client.async_execute_cell(cell, index, execution_count=self._numbers.get(index, 0))
                telling.cancel()
        finally:
            if self._kernel.has_kernel:  # nbclient leaves one that it was still starting
                await self._kernel.shutdown_kernel(now=True)

    def _interrupt(self) -> None:
        assert self._cells is not None
        self._interrupted = True  # nbclient takes the cancelling for a dead kernel
        self._cells.cancel()

    async def _tell_while_it_takes_long(self) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            if self._running and time.monotonic() - self._cell_started_s >= TELL_EVERY_S:
                self._tell("still running after ")

    def _on_start(self, cell: Any, cell_index: int) -> None:
        self._cell, self._cell_started_s, self._running = cell_index, time.monotonic(), True

    def _on_end(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        self._running = False
        self._tell("")

    def _tell(self, state: str) -> None:
        place = f"{self._numbers.get(self._cell, 0)}/{len(self._numbers)}"
        gone_s = time.monotonic() - self._cell_started_s
        self._say(f"{self._name}: cell {place}, {state}{gone_s:.1f} s: {_first_line(self._notebook.cells[self._cell])}")

    def _last_words(self) -> str:
        """Return the end of what the kernel's process wrote to its stderr."""
        return self._stderr.read_text(errors="replace")[-500:].strip()

    def _where(self, error: str, kind: str = "") -> str:
        """Return which cell failed and the last lines of its error."""
        cell = self._notebook.cells[self._cell]
        lines = [line for line in error.strip().splitlines() if line.strip()][-6:] or [""]
        head = f"{self._name}, cell {self._numbers.get(self._cell, 0)}: {_first_line(cell)}"
        return "\n".join([head, f"{kind}{lines[0]}", *lines[1:]])


class _Client(NotebookClient):  # type: ignore[misc]
    """Hands SIGINT and SIGTERM on from the moment that a kernel starts: nbclient's own handling ends nothing but it."""

    on_interrupt: Callable[[], None]

    async def async_start_new_kernel(self, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.on_interrupt)
        await super().async_start_new_kernel(**options)


class _ThisPython(AsyncKernelManager):
    """Starts kernels with the Python that runs this program."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())


def _numbers(notebook: Any) -> dict[int, int]:
    """Return, for each code cell that has code, its number as a learner counts them, from 1."""
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
    return {index: number for number, index in enumerate(code, 1)}


def _first_line(cell: Any) -> str:
    return next((line for line in cell.source.splitlines() if line.strip()), "")[:80]


def _end_left_over(mark: str) -> list[str]:
    """End what a lesson's kernel left running, itself included, and return it as lines."""
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{RUN_MARK}={mark}".encode() in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                os.kill(int(folder.name), signal.SIGKILL)
                left.append(f"process {folder.name} ({command})")
        except OSError:  # it has just ended, or is not ours
            continue
    return left
