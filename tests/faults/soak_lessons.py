# SPDX-License-Identifier: Apache-2.0
"""Run all lessons in a loop in one kernel, and look whether anything grows: python -m faults.soak_lessons [MINUTES]

As a learner who never restarts the kernel: each round runs every code cell of every lesson, plots and panels included,
then clears the names (`%reset -f`). What the kernel's process holds after each round is judged as in `faults.soak`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from faults.soak import judged
from jupyter_client.manager import start_new_kernel
from tree import ROOT

from labkit.runner import find

LEAST_ROUNDS = 3
CELL_TIMEOUT_S = 600
LOOK = (
    "get_ipython().run_line_magic('reset', '-f')\n"
    "import json; from faults.soak import holdings; print(json.dumps(holdings()))"
)


def main(minutes: float) -> int:
    """Print what the kernel holds after each round, and the slopes; return 1 where something grows."""
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="soak-", dir=ROOT / "build") as made:
        folder = Path(made)
        shutil.copytree(ROOT / "notebooks", folder / "notebooks")
        manager, client = start_new_kernel(env=_environment(folder), cwd=str(folder / "notebooks"))
        try:
            end_s = time.monotonic() + 60 * minutes
            while time.monotonic() < end_s or len(rounds) < LEAST_ROUNDS:
                for path in find():
                    _run_all(client, path)
                rounds.append(json.loads(_said(client, LOOK)))
                print(f"round {len(rounds)}: {rounds[-1]}", flush=True)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    return judged(pd.DataFrame(rounds))


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a kernel with its own temporary files, answers and start-up files."""
    temporary = folder / "tmp"
    temporary.mkdir()
    return {
        **os.environ,
        "LABKIT_QUICK": "1",
        "LABKIT_PROGRESS": str(folder / "progress.json"),
        "IPYTHONDIR": str(folder / "ipython"),
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    }


def _run_all(client: Any, path: Path) -> None:
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        may_raise = "raises-exception" in cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            reply = client.execute_interactive(cell.source, timeout=CELL_TIMEOUT_S, output_hook=lambda _: None)
            told = reply["content"]
            words = "\n".join(told.get("traceback", []))
            assert told["status"] == "ok" or may_raise, f"{path.name}, cell {number}: {words}"


def _said(client: Any, code: str) -> str:
    """Return what a cell prints."""
    lines: list[str] = []
    reply = client.execute_interactive(
        code, timeout=CELL_TIMEOUT_S, output_hook=lambda message: lines.append(message["content"].get("text", ""))
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60))
