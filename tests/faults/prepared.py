# SPDX-License-Identifier: Apache-2.0
"""A Python that has imported the lessons once, and forks: a test of a broken machine does not wait for the imports.

    python -m faults.prepared MODULE...

It reads one task per line, forks, and breaks the machine for the child alone (broken.py); it answers with the child's
exit status. The child has the descriptors 0, 1 and 2 alone, as a process that has just started.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from faults import broken
from tree import ROOT

_NEWNS = 0x00020000  # CLONE_NEWNS of <linux/sched.h>
_MOST_DESCRIPTORS = 4096


class Prepared:
    """The process that forks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self, faults: Sequence[str], code: str, variables: Mapping[str, str], folder: Path, *, limit_s: int = 240
    ) -> tuple[int, str, str]:
        """Run code on a broken machine; return its exit status, and what it wrote to stdout and to stderr."""
        out, err = folder / "stdout", folder / "stderr"
        task = {"faults": list(faults), "code": code, "variables": dict(variables), "limit_s": limit_s}
        task |= {"out": str(out), "err": str(err)}
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(task), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        return status, out.read_text(), err.read_text()


def labkit_variables() -> dict[str, str]:
    """Return the variables of a task: the lab's own in this process now, and the smallest sizes."""
    own = {name: value for name, value in os.environ.items() if name.startswith("LABKIT_")}
    return own | {"LABKIT_QUICK": "1"}


@contextmanager
def prepared(modules: Sequence[str]) -> Iterator[Prepared]:
    """Start the process that forks; it ends with its standard input."""
    environment = {**os.environ, "LABKIT_QUICK": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-m", "faults.prepared", *modules]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=ROOT) as process:
        yield Prepared(process)


def _child(task: dict[str, Any]) -> NoReturn:
    """Be the process that measures on the broken machine; never return."""
    signal.alarm(task["limit_s"])  # which ends it
    try:
        for number, path in ((1, task["out"]), (2, task["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.closerange(3, _MOST_DESCRIPTORS)
        os.environ.update(task["variables"], LABKIT_APART="1")
        assert ctypes.CDLL(None, use_errno=True).unshare(_NEWNS) == 0
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        sys.argv = [broken.__file__, *task["faults"], "--", task["code"]]
        broken.main()
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def main(modules: Sequence[str]) -> None:
    """Import the modules, then do one task after the other."""
    for name in modules:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _child(json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
