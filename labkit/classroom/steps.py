# SPDX-License-Identifier: Apache-2.0
"""A handed-in notebook as steps: which cells are the lab's own, which are the learner's, and which are not needed.

A cell that is the lab's own to the letter may run with the lab's privileges. Any other Python is the learner's. A
`%%bpf` cell is C, which the verifier judges, and is compiled on the lab's side whoever wrote it.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from labkit.errors import LabkitError

__all__ = ["BPF", "LAB", "LEARNER", "Step", "checked", "code_of", "is_literal", "signs", "steps"]

LAB, LEARNER, BPF = "lab", "learner", "bpf"
MOST_BYTES = 20 << 20
MOST_CELLS = 2000
_UNANSWERED = re.compile(r"\s*labkit\.check\(\s*([\"'])[\w-]+\1\s*(,\s*\.\.\.\s*)?\)\s*;?\s*")
_EXERCISES = re.compile(r"^#+ .*(exercise|your turn)", re.IGNORECASE | re.MULTILINE)
_INSIDES = re.compile(
    r"_VAULT|\btruths\b|\b(?:un)?expected\(|verdict_box|gc\.get_objects|__globals__|__closure__|progress\.json"
    r"|os\.kill|os\.fork|ptrace|/proc/|labkit\.classroom"
)
_ACTS = re.compile(r"\bbpf_(?:probe_write_user|send_signal(?:_thread)?|override_return)\b")
_PATCHES = re.compile(r"\blabkit\.check\s*=|setattr\(\s*labkit|notebook\.check|\bcheck\.__code__")


@dataclass(frozen=True)
class Step:
    """One code cell that is to be executed.

    Parameters
    ----------
    number : of the code cell, from 1, as the learner counts them.
    kind : `LAB`, `LEARNER` or `BPF`.
    source : its text; of a `%%bpf` cell, with the line of the magic.
    """

    number: int
    kind: str
    source: str
    binds: frozenset[str] = field(default=frozenset())
    uses: frozenset[str] = field(default=frozenset())


def code_of(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the cells of a notebook that have code, and the texts of all others before and between them.

    Returns
    -------
    code cells (each a dict with "source", "execution_count" and "after_exercises"), and warnings.

    Raises
    ------
    LabkitError : it is damaged, or too large.
    """
    fix = f"labkit reset {path.name[:2]} gives a fresh copy; yours is kept"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise LabkitError(f"{path.name} is larger than {MOST_BYTES >> 20} MiB.", "clear its outputs, and save it")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found: list[dict[str, Any]] = []
        after = False
        for cell in cells[:MOST_CELLS]:
            source = cell["source"]
            source = source if isinstance(source, str) else "".join(source)
            if cell["cell_type"] == "code" and source.strip():
                count = cell.get("execution_count")
                count = count if isinstance(count, int) else 0
                found.append({"source": source, "execution_count": count, "after_exercises": after})
            elif cell["cell_type"] == "markdown":
                after = after or bool(_EXERCISES.search(source))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LabkitError(f"{path.name} is damaged: {type(error).__name__}: {str(error)[:100]}.", fix) from None
    counts: list[int] = [cell["execution_count"] for cell in found if cell["execution_count"]]
    out_of_order = sum(later < earlier for earlier, later in pairwise(counts))
    return found, [f"cells were run out of order in {out_of_order} places"] if out_of_order else []


def steps(cells: Sequence[dict[str, Any]], originals: Iterable[str]) -> list[Step]:
    """Return what must be executed of a notebook, in order.

    Left out are unanswered checks, and those of the lab's own cells on which no later learner's cell depends: panels,
    plots, and measurements whose frames no answer uses.
    """
    own = {_bare(source) for source in originals}
    every = []
    for number, cell in enumerate(cells, 1):
        source = cell["source"]
        if _UNANSWERED.fullmatch(source):
            continue
        if source.lstrip().startswith("%%bpf"):
            name = bpf_name(source)
            every.append((cell, Step(number, BPF, source.lstrip(), frozenset([name]), frozenset())))
            continue
        binds, uses = _names(source)
        every.append((cell, Step(number, LAB if _bare(source) in own else LEARNER, source, binds, uses)))
    programs = {name for _, step in every if step.kind == BPF for name in step.binds}
    needed = {"labkit"}
    kept = []
    for cell, step in reversed(every):
        is_wanted = step.kind != LAB or step.binds & needed or step.uses & programs or cell["after_exercises"]
        if step.kind == BPF and not cell["after_exercises"] and not step.binds & needed:
            is_wanted = False
        if is_wanted:
            needed |= step.uses
            kept.append(step)
    return kept[::-1]


def bpf_name(source: str) -> str:
    """Return the name of the program of a `%%bpf` cell."""
    words = [word for word in source.lstrip().splitlines()[0].split()[1:] if word.isidentifier()]
    return words[0] if words else "program"


def _bare(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _tree(source: str) -> ast.Module | None:
    try:
        tree: ast.Module = ast.parse(TransformerManager().transform_cell(source))
        return tree
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _names(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that a cell binds, and those that it uses."""
    tree = _tree(source)
    if tree is None:
        return frozenset(), frozenset(re.findall(r"[A-Za-z_]\w*", source))
    binds: set[str] = set()
    uses: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (uses if isinstance(node.ctx, ast.Load) else binds).add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            binds |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            binds.add(node.name)
    return frozenset(binds), frozenset(uses)


def checked(source: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield (question, expression of the answer) for each call of `check` that is written in a cell."""
    tree = _tree(source)
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        name = node.args[0]
        if called == "check" and isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value, node.args[1]


def is_literal(answer: ast.expr, sources: Sequence[str]) -> bool:
    """Return whether an answer is written as a literal, or is a name that is bound to nothing but literals."""
    if isinstance(answer, ast.Name):
        bound = [held for source in sources for name, held in _assigned(source) if name == answer.id]
        return bool(bound) and all(_is_constant(held) for held in bound)
    return _is_constant(answer)


def _is_constant(answer: ast.expr) -> bool:
    """Return whether an expression consists of constants and operators only."""
    named = [node for node in ast.walk(answer) if isinstance(node, (ast.Name, ast.Attribute))]
    return all(isinstance(node, ast.Name) and node.id in ("int", "float", "str", "round") for node in named)


def _assigned(source: str) -> Iterator[tuple[str, ast.expr]]:
    tree = _tree(source)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, (ast.AugAssign, ast.NamedExpr)) and isinstance(node.target, ast.Name):
            yield node.target.id, node.value


def signs(step: Step) -> list[str]:
    """Return what in a learner's cell a teacher should look at, one line each."""
    if step.kind == BPF and (helper := _ACTS.search(step.source)):
        return [f"cell {step.number} has a BPF program that acts on other processes: {helper[0]}"]
    if step.kind != LEARNER:
        return []
    found = []
    if patch := _PATCHES.search(step.source):
        found.append(f"cell {step.number} patches the check: {patch[0]}")
    if inside := _INSIDES.search(step.source):
        found.append(f"cell {step.number} reaches for the lab's insides: {inside[0]}")
    return found
