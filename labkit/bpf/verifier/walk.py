# SPDX-License-Identifier: Apache-2.0
"""The path that the verifier walked, one moment per instruction: what it changed, and what was known after it.

The log is that of one refused path, or of all paths of an accepted program, in the order in which they were walked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.bpf.verifier import log as verifier_log
from labkit.bpf.verifier import notation

__all__ = ["Change", "Moment", "Walk", "walk"]

_SLOT = re.compile(r"[m0ir?]{8}")  # one letter per byte


@dataclass(frozen=True)
class Change:
    """What an instruction changed: a register such as R1 or a stack slot such as fp-8, in the log's notation.

    `before` is empty for what was not known before, `after` for what is not known any more.
    """

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name} {'becomes ' + in_words(self.name, self.after) if self.after else 'is not known any more'}"


@dataclass(frozen=True)
class Moment:
    """One instruction of the path.

    Attributes
    ----------
    number, text : of the instruction, in the log's notation.
    line : in the learner's file, that it came from; 0 where that is not known.
    changes : what it changed, or what the branch told that was taken after it.
    state : what was known after it: register or stack slot -> the log's notation.
    then : the number of the next instruction of this path; -1 for the last.
    """

    number: int
    text: str
    line: int
    changes: tuple[Change, ...]
    state: Mapping[str, str]
    then: int = -1

    @property
    def does(self) -> str:
        """What the instruction does, in words; of a branch, which way the path goes."""
        if not self.text.startswith("if ") or self.then < 0:
            return notation.instruction(self.text)
        return "compares, and goes on" if self.then == self.number + 1 else f"compares, and jumps to {self.then}"


@dataclass(frozen=True)
class Walk:
    """The last moments of a path.

    Attributes
    ----------
    moments : in the order walked; of a refused program, the last is where the verifier stopped.
    said : the verifier's last words; none for an accepted program.
    left_out : how many moments before the first one are not here.
    """

    moments: tuple[Moment, ...]
    said: tuple[str, ...]
    left_out: int

    def origin(self, at: int, name: str) -> int | None:
        """Return the moment before `at` that last changed a register or a stack slot; None where it is not here."""
        earlier = range(min(at, len(self.moments)) - 1, -1, -1)
        return next((each for each in earlier if any(one.name == name for one in self.moments[each].changes)), None)

    def before(self, at: int) -> Mapping[str, str]:
        """Return what was known before a moment."""
        if at > 0:
            return self.moments[at - 1].state
        here = self.moments[at]
        given = {one.name: one.before for one in here.changes}
        known = {**here.state, **given}
        return {name: value for name, value in known.items() if value}


def walk(log: str, lines: Mapping[int, int], *, accepted: bool = False) -> Walk:
    """Read a log as a walk.

    Parameters
    ----------
    log : what the verifier printed, at log level 1 or 2.
    lines : instruction number -> line in the learner's file. An instruction without one counts to the line before it.
    accepted : the log is that of an accepted program: what it says besides instructions is no verdict.
    """
    trace = verifier_log.read(log)
    kept = trace.steps[len(trace.steps) - len(trace.states) :]
    states = [*trace.states, trace.after]
    moments, line = [], 0
    following = [step.number for step in kept[1:]] + [-1]
    for step, then, before, after in zip(kept, following, states, states[1:], strict=False):
        line = lines.get(step.number, line)
        names = sorted(before.keys() | after.keys(), key=_rank)
        changes = tuple(
            Change(name, before.get(name, ""), after.get(name, ""))
            for name in names
            if before.get(name) != after.get(name)
        )
        moments.append(Moment(step.number, step.text, line, changes, after, then))
    return Walk(tuple(moments), () if accepted else tuple(trace.said), len(trace.steps) - len(kept))


def in_words(name: str, known: str) -> str:
    """Return what the log knows of a register or a stack slot in words."""
    if known == verifier_log.GIVEN_BACK:
        return "a pointer to what was given back"
    if name.startswith("fp") and _SLOT.fullmatch(known):
        written = len(known) - known.count("?")
        if known == "00000000":
            return "8 bytes of zeros"
        return f"{written} of 8 bytes written" if written else "bytes that were not written"
    return notation.value(known)


def _rank(name: str) -> tuple[bool, int]:
    """Return the place of a name in a list: the registers, then the stack from its top, then the rest."""
    found = re.search(r"\d+$", name)
    return not name.startswith("R"), int(found[0]) if found else 1 << 16
