# SPDX-License-Identifier: Apache-2.0
"""Witnesses that have nothing of the lab's: bpftrace (tracepoints, in a language of its own) and strace (ptrace)."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_TICK = 'interval:ms:100 { printf("ready\\n"); }'
_TICKS = 100  # this many are waited for a line
_ENDING_S = 30.0


class Bpftrace:
    """A script that watches."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def read(self, word: str, times: int = 1) -> str:
        """Return its lines until they hold a word this many times, it has ended, or ten seconds have passed."""
        told = ""
        assert self._process.stdout is not None
        while told.count(word) < times and told.count("ready") < _TICKS:
            line = self._process.stdout.readline()
            if not line:
                break
            told += line
        return told

    def end(self) -> str:
        """End it as Ctrl-C does, and return what it prints last: its maps. Lines not printed yet are lost."""
        self._process.send_signal(signal.SIGINT)
        return self._process.communicate(timeout=_ENDING_S)[0]


@contextmanager
def bpftrace(script: str) -> Iterator[Bpftrace]:
    """Let a script watch, from before the block to its end; skip the test where there is no bpftrace.

    It names the program that it watches by `comm`: inside a container, bpftrace knows processes by other numbers than
    we do, and with -p it leaves, and forgets, when the process ends.
    """
    if shutil.which("bpftrace") is None:
        pytest.skip("bpftrace is not installed: run `make setup`")
    command = ["bpftrace", "-B", "none", "-e", f"{script}\n{_TICK}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            witness = Bpftrace(process)
            said = witness.read("ready\n")
            if "install BTF information" in said:  # an emulated 5.10 has none
                pytest.skip(f"bpftrace cannot read this event on this kernel: {said.splitlines()[-1]}")
            assert said.endswith("ready\n"), f"bpftrace does not watch: {said}"
            yield witness
        finally:
            process.kill()


def strace_sums(file: Path) -> dict[str, tuple[int, int]]:
    """Return call -> how often, and how often it failed, from what `strace -c` wrote."""
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(\d*) +(\w+)$", file.read_text(), re.MULTILINE)
    return {name: (int(count), int(errors or 0)) for count, errors, name in rows if name != "total"}
