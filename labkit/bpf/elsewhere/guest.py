# SPDX-License-Identifier: Apache-2.0
"""What runs in the emulated machine: load and attach one program there, and write what became of it.

    python -m labkit.bpf.elsewhere.guest /mnt/task.json

The program gets its text as everywhere (`labkit.bpf.text`), on the kernel that runs: its structures, its page size.
The task: file, flags, kind ("" or as of `Program.load_function`: that of all functions whose names do not say it). The
answer, /mnt/answer.json: release, verdict (one of VERDICTS), headline, fix, seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.bpf.load import prefix_of
from labkit.bpf.program import Program
from labkit.errors import AttachError, CompileError, LabkitError, VerifierError

__all__ = ["ACCEPTED", "NOT_TRIED", "NO_HOOK", "NO_PROGRAM", "REFUSED", "VERDICTS", "judge"]

ACCEPTED = "accepted"  # by the verifier, and attached where the functions' names say
NO_HOOK = "no hook"  # accepted by the verifier, but what it attaches to is not there
REFUSED = "refused"  # by the verifier
NO_PROGRAM = "does not compile"
NOT_TRIED = "not tried"
VERDICTS = (ACCEPTED, NO_HOOK, REFUSED, NO_PROGRAM, NOT_TRIED)
_VERDICT_OF = {AttachError: NO_HOOK, VerifierError: REFUSED, CompileError: NO_PROGRAM}


def judge(path: Path, flags: Mapping[str, str], kind: str = "") -> dict[str, str]:
    """Return verdict, headline and fix for a C file on the kernel that runs. Nothing stays loaded or attached."""
    try:
        with Program(source=path, flags=flags) as program:
            if kind:
                for function in [name for name in program.functions if not prefix_of(name)]:
                    program.load_function(function, kind)
            program.attach()
    except LabkitError as error:
        return {"verdict": _VERDICT_OF.get(type(error), NOT_TRIED), "headline": error.what, "fix": error.fix}
    return {"verdict": ACCEPTED, "headline": "", "fix": ""}


def main(task: Path) -> None:
    """Do a task, and write the answer next to it."""
    started = time.monotonic()
    told: dict[str, Any] = json.loads(task.read_text(encoding="utf-8"))
    found = judge(task.parent / told["file"], told["flags"], told["kind"])
    said = {**found, "release": os.uname().release, "seconds": round(time.monotonic() - started, 1)}
    (task.parent / "answer.json").write_text(json.dumps(said) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
