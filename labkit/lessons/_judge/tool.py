# SPDX-License-Identifier: Apache-2.0
"""Try a learner's program: one case after another, each with numbers that are drawn at that moment.

    ENDS = Tool("01", (Kept("events", ...),), truth, CASES)
    ENDS.judge(program)             # a Judgement

The truth is what the workload itself reports, so a constant, or a number that was seen before, does not pass.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from labkit.bpf import bcc
from labkit.bpf.cell import Cell
from labkit.bpf.program import Program
from labkit.bpf.usdt.tracer import Usdt
from labkit.errors import BadArgument, Missing
from labkit.lessons._judge.cases import Act, Case, acts_of, drawn
from labkit.lessons._judge.kept import Kept, Key, Unfit
from labkit.running.judgement import Judgement
from labkit.running.lock import exclusive
from labkit.running.workload import Workload, build

__all__ = ["Difference", "Expected", "Tool", "Truth", "differences", "fit", "summed", "watcher"]

Expected = int | tuple[int, int]  # a count, or the least and the most that is right
Truth = Mapping[str, Mapping[Key, Expected]]  # by map, then by key; a key that is missing has the count 0
_LEAST = "Does the event happen at all, and did you count it under the right key?"
_NOTHING = "main: getppid 0"
_MOST = "Something is counted that the exercise does not ask for, or it is counted twice."


def fit(answer: object, *, aimed: bool = True) -> Cell:
    """Return a learner's program that can be tried; raise Unfit, with the fix, for anything else.

    Parameters
    ----------
    aimed : it must ask whom it watches.
    """
    if not isinstance(answer, Cell):
        raise Unfit(
            f"This is not a program ({type(answer).__name__}).",
            "pass the name after %%bpf, without quotation marks",
        )
    if not answer.is_loaded:
        raise Unfit(f"{answer.name} is not loaded any more.", f"run the cell of %%bpf {answer.name} again")
    if aimed and "labkit_target" not in answer.map_names:
        raise Unfit(
            f"{answer.name} does not ask whom it watches.",
            'add #include "labkit.h", and in the probe: if (!labkit_is_target()) return 0;',
        )
    return answer


def watcher(answer: object) -> Program | str:
    """Return a learner's program that can watch an experiment, or why it cannot, in words."""
    if not isinstance(answer, Program):
        return "Your program is not loaded yet: correct it, run its cell again, and then this one."
    if "labkit_target" not in answer.map_names:
        return 'Your program does not ask whom it watches: it needs #include "labkit.h" and labkit_is_target().'
    return answer


def summed(pairs: Iterable[tuple[Key, int]]) -> Counter[Key]:
    """Return the sum of the numbers under each key: the truth of most exercises."""
    sums: Counter[Key] = Counter()
    for key, number in pairs:
        sums[key] += number
    return sums


@dataclass(frozen=True)
class Tool:
    """What an exercise asks of a program, and the cases in which it is tried.

    Parameters
    ----------
    lesson : its number.
    keeps : the maps that are compared.
    truth : what they must hold, from what the workload reports.
    cases : tried in this order; the first that is wrong is shown.
    uprobes : function of the program -> (function of the workload, whether at its return): attached for the trial.
    usdt : function of the program -> (probe of the workload, arguments that it reads): the same.
    """

    lesson: str
    keeps: tuple[Kept, ...]
    truth: Callable[[list[Act]], Truth]
    cases: tuple[Case, ...]
    uprobes: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    usdt: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def judge(self, answer: object) -> Judgement:
        """Try a program in all cases, and return what became of it.

        Raises
        ------
        Unfit : it cannot be tried: not loaded, not attached, a map is missing or of another shape.
        LabkitError : the workload cannot run here, or cannot be probed.
        """
        program = fit(answer)
        for kept in self.keeps:
            kept.check(program)
        passed: list[str] = []
        with exclusive(f"lesson {self.lesson}: testing a program"), self._attached(program):
            for case in self.cases:
                if wrong := self._try(program, case, tuple(passed)):
                    return self._of_strangers(program, case, tuple(passed)) or wrong
                passed.append(case.name)
        return Judgement(True, tuple(passed))

    def _of_strangers(self, program: Cell, failed: Case, passed: tuple[str, ...]) -> Judgement | None:
        """Return whether the program counts processes that it does not watch: on a busy machine any case shows that."""
        for case in self.cases:
            if case.beside and case is not failed:
                found = self._try(program, replace(case, script=_NOTHING), passed)
                return found if found is not None and found.hint == (case.more or _MOST) else None
        return None

    @contextlib.contextmanager
    def _attached(self, program: Cell) -> Iterator[None]:
        wanted = {**self.uprobes, **self.usdt}
        if not wanted:
            if not bcc.is_attached(program.bcc):
                raise Unfit(f"{program.name} is not attached to anything.", f"attach it: {program.name}.attach()")
            yield
            return
        for function in wanted:
            if function not in program.functions:
                raise Unfit(
                    f"{program.name} has no function named {function}.",
                    f"write one: int {function}(struct pt_regs *ctx) {{ ... return 0; }}",
                )
        binary = build("script")
        program.detach()
        try:
            with Usdt(program) as tracer:
                for function, (symbol, at_return) in self.uprobes.items():
                    program.attach_uprobe(function, binary, symbol, at_return=at_return)
                for function, (probe, reads) in self.usdt.items():
                    try:
                        tracer.attach(function, binary, probe, reads=reads)
                    except BadArgument:
                        raise Missing(
                            "The hidden workload has no probes: it was compiled without sys/sdt.h.",
                            "sudo apt-get install systemtap-sdt-dev, then: make setup",
                        ) from None
                yield
        finally:
            program.detach()

    def _try(self, program: Cell, case: Case, passed: tuple[str, ...]) -> Judgement | None:
        """Run one case; return None where the program was right."""
        chance = random.SystemRandom()
        scripts = [drawn(text, chance) for text in (case.script, case.beside) if text]
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(Workload("script", ["--script", text])) for text in scripts]
            program.aim(pid=runs[0].pid)
            for name in (*program.own_maps, *({"labkit_lost"} & set(program.map_names))):
                with contextlib.suppress(BadArgument):  # a map that cannot be emptied, such as one of programs
                    program.clear(name)
            for run in reversed(runs):
                run.start()
            told = [run.result() for run in runs]
        truth = self.truth(acts_of(told[0]))
        for kept in self.keeps:
            wrong = differences(truth.get(kept.name, {}), kept.read(program))
            if not wrong:
                continue
            said = [each.told(kept) for each in wrong[:2]]
            said.append(f"The watched process did: {scripts[0]}.")
            if case.beside:
                said.append(f"Another process, not watched, did: {scripts[1]}.")
            if lost := program.lost_events:
                said.append(f"Your program lost {lost} events: {program.name}.losses() says why.")
            hint = (case.less or _LEAST) if wrong[0].found < wrong[0].least else (case.more or _MOST)
            return Judgement(False, passed, case.name, tuple(said), hint)
        return None


@dataclass(frozen=True)
class Difference:
    """A count that is not what it must be."""

    key: Key
    least: int
    most: int
    found: int

    def told(self, kept: Kept) -> str:
        where = f"{kept.name}, {kept.label} {self.key!r}" if kept.key or kept.columns else kept.name
        right = str(self.least) if self.least == self.most else f"{self.least} to {self.most}"
        return f"{where}: {right} expected, {self.found} found."


def differences(expected: Mapping[Key, Expected], found: Mapping[Key, int]) -> list[Difference]:
    """Return what is wrong; first one key that should not be there at all, if there is one: it says the most."""
    wrong = []
    for key in dict.fromkeys([*expected, *found]):
        right = expected.get(key, 0)
        least, most = right if isinstance(right, tuple) else (right, right)
        if not least <= found.get(key, 0) <= most:
            wrong.append(Difference(key, least, most, found.get(key, 0)))
    strange = [each for each in wrong if each.key not in expected]
    return strange[:1] + [each for each in wrong if each not in strange] + strange[1:]
