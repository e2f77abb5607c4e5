# SPDX-License-Identifier: Apache-2.0
"""Lesson 03: programs that the verifier rejects, and their fixes.

Each file of `c/bpf/verifier/` has one small mistake, and -DFIXED corrects it. They are loaded, never attached.
`labkit.bpf.verifier.explain` reads what the verifier says.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from labkit import schema
from labkit.bpf.bcc import program_type
from labkit.bpf.privilege import less_trusted
from labkit.bpf.text import BPF_FOLDER, Source
from labkit.bpf.verifier import explain
from labkit.bpf.verifier.explain import Verdict
from labkit.errors import check_choice, check_choices, check_ints
from labkit.machine.folders import quick, repo_folder
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress

__all__ = ["BODIES", "GALLERY", "VERSIONS", "Exhibit", "judge", "judge_file", "loops", "measure", "source_of"]


@dataclass(frozen=True)
class Exhibit:
    """One program of the gallery.

    Attributes
    ----------
    cause : the kind of verdict that it gets.
    trusted : False where root's programs may do it, so that it is loaded with CAP_BPF alone.
    """

    cause: str
    trusted: bool = True


GALLERY = {
    "null_test": Exhibit("null"),
    "off_by_one": Exhibit("bounds"),
    "past_value": Exhibit("bounds"),
    "pointer_too_far": Exhibit("bounds"),
    "no_result": Exhibit("uninitialised"),
    "never_set": Exhibit("uninitialised", trusted=False),
    "large_stack": Exhibit("stack"),
    "unbounded_loop": Exhibit("loop"),
    "not_submitted": Exhibit("reference"),
    "used_after_submit": Exhibit("reference"),
    "foreign_address": Exhibit("pointer"),
    "leaked_pointer": Exhibit("leak", trusted=False),
    "context_written": Exhibit("context"),
    "wrong_helper": Exhibit("helper"),
    "no_licence": Exhibit("licence"),
}
VERSIONS = {"as written": (), "fixed": ("FIXED",)}
BODIES = {"plain": (), "with a branch": ("BRANCH",)}

_FOLDER = BPF_FOLDER / "verifier"
_MOST_ROUNDS = 10_000_000


def judge(program: str, *, fixed: bool = False, trusted: bool | None = None) -> Verdict:
    """Return the verdict on one program of the gallery.

    Parameters
    ----------
    program : a name of `GALLERY`.
    fixed : load the program with its fix.
    trusted : True to load it as root, False with CAP_BPF alone; None as the gallery says.
    """
    check_choice("program", program, GALLERY)
    trusted = GALLERY[program].trusted if trusted is None else trusted
    return judge_file(_FOLDER / f"{program}.c", ["FIXED"] if fixed else [], trusted=trusted)


def judge_file(path: Path, macros: Sequence[str] = (), *, trusted: bool = True) -> Verdict:
    """Return the verdict on the first function of a file: a tracepoint's, or a socket filter named `look`.

    Parameters
    ----------
    path : a BCC C file that stands alone.
    macros : names for -D.
    """
    text = path.read_text(encoding="utf-8")
    if probe := re.search(r"^TRACEPOINT_PROBE\((\w+), (\w+)\)", text, re.MULTILINE):
        function, kind = f"tracepoint__{probe[1]}__{probe[2]}", program_type("TRACEPOINT")
    else:
        function, kind = "look", program_type("SOCKET_FILTER")
    with contextlib.nullcontext() if trusted else less_trusted():
        return explain.judge(Source.of(path, dict(macro.partition("=")[::2] for macro in macros)), function, kind)


def measure(
    programs: str | Sequence[str] | None = None,
    versions: str | Sequence[str] = tuple(VERSIONS),
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Load the programs of the gallery as written and fixed, and record the verdicts.

    Parameters
    ----------
    programs : one or several names of `GALLERY`; all of them if None.
    versions : one or several names of `VERSIONS`.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per program and version: program, version, loader ("root", or "CAP_BPF alone"), verdict ("rejected" or
    "accepted"), cause (the kind of rejection, or ""), source_line, source_column (0: none), walked (instructions that
    the verifier walked through, 0 if it did not say), said (the last words of the kernel, or of clang).
    """
    chosen = check_choices("programs", GALLERY if programs is None else programs, GALLERY)
    wanted = check_choices("versions", versions, VERSIONS)
    rows: list[dict[str, str | int]] = []
    with exclusive("lesson 03: the gallery", progress) as report:
        for name in chosen:
            for version in wanted:
                report(len(rows) / (len(chosen) * len(wanted)), name)
                told = judge(name, fixed=bool(VERSIONS[version]))
                loader = "root" if GALLERY[name].trusted else "CAP_BPF alone"
                rows.append({"program": name, "version": version, "loader": loader, **_row(told)})
    return schema.frame(rows, **provenance())


def loops(
    rounds: int | Sequence[int] | None = None,
    bodies: str | Sequence[str] = tuple(BODIES),
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Load loops of several lengths and record how far the verifier walked (c/bpf/verifier_rounds.c).

    Parameters
    ----------
    rounds : one limit of the loop or several, each 1 to 10 million; None is 10 to a million.
    bodies : one or several names of `BODIES`.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per loop: rounds, body, verdict, cause, walked, said.
    """
    defaults = quick((10, 100, 1000, 5000, 10_000, 100_000, 1_000_000), (10, 1000, 100_000))
    limits = check_ints("rounds", defaults if rounds is None else rounds, 1, _MOST_ROUNDS, "rounds")
    chosen = check_choices("bodies", bodies, BODIES)
    rows: list[dict[str, str | int]] = []
    with exclusive("lesson 03: loops", progress) as report:
        for body in chosen:
            for limit in limits:
                report(len(rows) / (len(limits) * len(chosen)), f"{limit} rounds, {body}")
                told = judge_file(BPF_FOLDER / "verifier_rounds.c", [f"ROUNDS={limit}", *BODIES[body]])
                row = _row(told)
                rows.append(
                    {"rounds": limit, "body": body, **{key: row[key] for key in ("verdict", "cause", "walked", "said")}}
                )
    return schema.frame(rows, **provenance())


def source_of(program: str) -> str:
    """Return the path of a program of the gallery, relative to the tree, for `labkit.source`."""
    check_choice("program", program, GALLERY)
    return str((_FOLDER / f"{program}.c").relative_to(repo_folder()))


def _row(told: Verdict) -> dict[str, str | int]:
    accepted = told.kind == explain.ACCEPTED
    return {
        "verdict": "accepted" if accepted else "rejected",
        "cause": "" if accepted else told.kind,
        "source_line": told.line or 0,
        "source_column": told.column or 0,
        "walked": told.processed or 0,
        "said": told.said,
    }
