# SPDX-License-Identifier: Apache-2.0
"""What the lab answers to one cell."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from labkit.bpf.bcc import program_type
from labkit.bpf.diagnose import refused
from labkit.bpf.diagnose.code import Code
from labkit.bpf.program import Program
from labkit.bpf.verifier import explain
from labkit.errors import LabkitError


@dataclass(frozen=True)
class Answer:
    """`line` is 0 where the answer names none; `text` is all that the learner reads."""

    accepted: bool
    line: int
    text: str


def answer(cell: str, folder: Path) -> Answer:
    """Return the answer to a cell; its first line is that of the magic."""
    first, _, _ = cell.partition("\n")
    options = argparse.ArgumentParser()
    options.add_argument("--kind")
    kind = options.parse_known_args(shlex.split(first.removeprefix("// ")))[0].kind
    path = folder / "cell.c"
    path.write_text(cell, encoding="utf-8")
    program = Program(source=path)
    told = explain.refused_by_clang(program.source, program_type(kind) if kind else 0)
    if told is not None:
        return Answer(False, told.line or 0, "\n".join((told.headline, told.fix, told.detail)))
    try:
        with program:
            for function in program.functions if kind else ():
                program.load_function(function, kind)
            remarks = refused.remarks(program.warnings, str(path), Code(cell))
    except LabkitError as error:
        line = re.match(r"cell\.c:(\d+)", error.what)
        return Answer(False, int(line[1]) if line else 0, "\n".join((error.what, error.fix, error.detail)))
    line = remarks[0].line if remarks else 0
    return Answer(True, line, "\n".join(f"{each.line}: {each.what}. {each.fix}" for each in remarks))
