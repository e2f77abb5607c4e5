# SPDX-License-Identifier: Apache-2.0
"""Errors of the lab: the first line says what failed, the second how to fix it.

Everything the lab raises on purpose is a `LabkitError`, so a notebook can show its two lines and nothing else.
"""

from __future__ import annotations

import difflib
import operator
import os
import random
from collections.abc import Iterable, Mapping
from itertools import islice
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

_SHOWN_LETTERS = 100
_WORD_BYTES = 1 << 17  # MAX_ARG_STRLEN, <linux/binfmts.h>
_MOST_VALUES = 1000  # more settings than anybody waits for; an endless iterator ends here


class LabkitError(Exception):
    """Something failed and the reader can fix it.

    Parameters
    ----------
    what : what failed, one line.
    fix : the command or the change that fixes it, one line.
    detail : evidence to read afterwards, such as a compiler's diagnostics; may have many lines.
    """

    advice = "Fix"  # the word before the fix

    def __init__(self, what: str, fix: str, detail: str = "") -> None:
        self.what = what
        self.fix = fix
        self.detail = detail.rstrip()
        super().__init__(what, fix, detail)

    def __str__(self) -> str:
        lines = [self.what, f"{self.advice}: {self.fix}"]
        if self.detail:
            lines += ["", self.detail]
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """Show the two lines instead of a stack trace (a protocol of IPython; imported nowhere here)."""
        return [f"{type(self).__name__}: {self}"]


class BadArgument(LabkitError, ValueError):
    """An argument is outside what is allowed. Nothing has been started."""


class Missing(LabkitError):
    """This machine lacks something that the lesson needs, or refuses it."""


class _ProgramError(LabkitError):
    """A BPF program was refused. What was not tried on a copy of the program is a suggestion, not a fix."""

    def __init__(self, what: str, fix: str, detail: str = "", *, log: str = "", verified: bool = False) -> None:
        super().__init__(what, fix, detail)
        self.log = log
        self.advice = advice(verified)


class CompileError(_ProgramError):
    """clang refused the BPF C; `detail` holds its diagnostics with the learner's file and line."""


class VerifierError(_ProgramError):
    """The kernel's verifier refused the program; `detail` explains and `log` is the raw log.

    `lines` says from which line of the learner's file an instruction of the log came: number -> line.
    """

    lines: Mapping[int, int] = MappingProxyType({})


def advice(verified: bool) -> str:
    """Return the word before a change of a program: one that the lab has tried on a copy is a fix."""
    return "Fix" if verified else "Suggestion"


class AttachError(LabkitError):
    """A loaded program could not be attached to the event it names."""


class WorkloadError(LabkitError):
    """A C workload failed: exit 1, a signal, a time-out, or output that is not its JSON line."""


class WorkloadUnable(WorkloadError, Missing):
    """A C workload said (exit 77) that it cannot run on this machine, and why."""


class Busy(LabkitError):
    """Another measurement holds the machine."""


class Stopped(LabkitError):
    """The learner pressed Stop."""

    def __init__(self, what: str = "The measurement was stopped before its end.") -> None:
        super().__init__(what, "press Run, or run the cell again, to measure again")


def bad_argument(name: str, value: object, allowed: str) -> BadArgument:
    """Return the `BadArgument` that names the value and says what is allowed."""
    return BadArgument(f"{name}={shown(value)} is not allowed.", f"pass {name} as {allowed}")


def unknown_name(name: str, value: object, known: Iterable[str]) -> BadArgument:
    """Return the `BadArgument` for a value that must be one of `known`, with the nearest suggested."""
    names = [str(k) for k in known]
    near = difflib.get_close_matches(value[:_SHOWN_LETTERS], names, n=1) if isinstance(value, str) else []
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return BadArgument(f"{name}={shown(value)} is not known{hint}.", f"pass {name} as one of: {', '.join(names)}")


def shown(value: object) -> str:
    """Return a value in one short line, whatever it is: a table, a number of 5000 digits, a text of 100 kB."""
    try:
        text = repr(value)
    except Exception:  # somebody else's code; and Python writes no whole number of more than 4300 digits
        text = f"<{type(value).__name__}>"
    lines = text.splitlines()
    if len(lines) > 1:
        text = f"<{type(value).__name__}: {lines[0].strip()} …>"
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…"


def check_int(name: str, value: object, low: int, high: int, unit: str = "") -> int:
    """Return `value` as an int within [low, high], or raise `BadArgument`."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        raise bad_argument(name, value, f"a whole number from {low} to {high} {unit}".rstrip())
    return number


def check_ints(name: str, values: object, low: int, high: int, unit: str = "") -> list[int]:
    """Return one whole number or several within [low, high] as a list, each once, or raise `BadArgument`."""
    allowed = f"one whole number or several from {low} to {high} {unit}".rstrip()
    return [check_int(name, value, low, high, unit) for value in several(name, values, allowed)]


def check_seed(seed: object) -> int:
    """Return `seed` as an int, one drawn by chance where it is None, or raise `BadArgument`."""
    return random.randrange(2**32) if seed is None else check_int("seed", seed, 0, 2**32 - 1)


def check_float(name: str, value: object, low: float, high: float, unit: str = "") -> float:
    """Return `value` as a float within [low, high], or raise `BadArgument`."""
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not low <= number <= high:
        raise bad_argument(name, value, f"a number from {low:g} to {high:g} {unit}".rstrip())
    return number


def check_bool(name: str, value: object) -> bool:
    """Return `value` if it is True or False, or raise `BadArgument`."""
    if not isinstance(value, bool):
        raise bad_argument(name, value, "True or False")
    return value


def check_choice(name: str, value: object, known: Iterable[str]) -> str:
    """Return `value` if it is one of `known`, or raise `BadArgument` with the nearest suggested."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise unknown_name(name, value, names)
    return str(value)


def check_choices(name: str, values: object, known: Iterable[str]) -> list[str]:
    """Return one name or several of `known` as a list, each once, or raise `BadArgument`."""
    names = list(known)
    return [check_choice(name, value, names) for value in several(name, values, f"one or more of: {', '.join(names)}")]


def check_file(name: str, value: object, allowed: str = "the path of a file that exists") -> Path:
    """Return `value` as the path of a plain file, or raise `BadArgument`: a NUL or 100 000 letters in it, too."""
    try:
        path = Path(value)  # type: ignore[arg-type]
        is_file = path.is_file()
    except (TypeError, ValueError, OSError):
        is_file = False
    if not is_file:
        raise bad_argument(name, value, allowed)
    return path


def check_words(name: str, values: object) -> list[str]:
    """Return one value or several as words of a command line, or raise `BadArgument`."""
    try:
        words = [str(value) for value in one_or_more(values)]
        is_plain = all("\0" not in word and len(os.fsencode(word)) < _WORD_BYTES for word in words)
    except ValueError:  # a number of 5000 digits; half a letter
        is_plain = False
    if not is_plain or len(words) > _MOST_VALUES:
        raise bad_argument(name, values, "a list of words for the command line")
    return words


def several(name: str, values: object, allowed: str = "one value or several") -> list[Any]:
    """Return one value or several as a list, each once; none, or what cannot be one, is a `BadArgument`."""
    try:
        made = list(dict.fromkeys(one_or_more(values)))
    except (TypeError, ValueError):  # a list in the list; a table in it
        made = []
    if not 0 < len(made) <= _MOST_VALUES:
        raise bad_argument(name, values, allowed)
    return made


def one_or_more(values: object) -> list[Any]:
    """Return what was passed as one value or as several as a list."""
    is_one = isinstance(values, (str, bytes)) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0
    return [values] if is_one else list(islice(values, _MOST_VALUES + 1))  # type: ignore[call-overload]
