# SPDX-License-Identifier: Apache-2.0
"""A process that the tests of lesson 12 give orders to while it is watched."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from labkit.lessons.your_program.target import check_target
from labkit.lessons.your_program.watching import look_at
from labkit.running.progress import silent

# a process that runs one line of Python at each line that it gets, and says so when it is done
# a limit for what hangs; on an emulated machine a million calls take minutes
PATIENCE_S = 600.0

OBEYS = "import sys\nfor line in sys.stdin:\n exec(line)\n print('done', flush=True)\n"


class Obedient:
    """A process of the test's own that runs one line of Python at a time."""

    def __enter__(self) -> Obedient:
        words = ["/usr/bin/python3", "-c", OBEYS]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self("import os, mmap, time, socket")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def __call__(self, line: str) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def read(self, file: str) -> str:
        return Path(f"/proc/{self.process.pid}/{file}").read_text()

    def watched(self, what: str, meanwhile: Callable[[], object]) -> pd.DataFrame:
        """Look at it while `meanwhile` runs."""
        return look_at(check_target(self.process.pid, None, None), [what], PATIENCE_S, silent, meanwhile)[what]
