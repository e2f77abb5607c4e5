# SPDX-License-Identifier: Apache-2.0
"""The lab's side of one graded notebook: `python -m labkit.classroom.session NOTEBOOK RESULT SECONDS`.

Executes the lab's own cells, with the lab's privileges and with fresh secrets; compiles the learner's `%%bpf` cells;
judges the answers that come out of the box in which the learner's Python runs. RESULT is a JSON file, written anew
after each cell, so that what was judged before a failure counts:
{"answers": {"01-q1": {"state", "said", "cell"}}, "cells": [{"cell", "error"}], "signs": [...], "ended": "..."}.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import labkit
from labkit.classroom.box import Box
from labkit.classroom.limits import MOST_TIMES
from labkit.classroom.steps import BPF, LAB, Step, checked, code_of, is_literal, signs, steps
from labkit.classroom.wire import Ended, LabEnd, NotPlain, Overtime, from_plain
from labkit.course import LESSONS
from labkit.errors import BadArgument, LabkitError
from labkit.machine.folders import repo_folder
from labkit.notebook.cell import NotebookCell
from labkit.notebook.check import check
from labkit.notebook.exercises import all_questions
from labkit.notebook.refused import Refused
from labkit.notebook.render import Rendered, note
from labkit.running import truths

__all__ = ["DAMAGED", "FILES", "LITERAL", "RIGHT", "WRONG", "Session", "main"]

RIGHT, WRONG, LITERAL, DAMAGED = "right", "wrong", "literal", "damaged"

_METHODS = (
    "aim",
    "attach",
    "clear",
    "counters",
    "detach",
    "events",
    "hash",
    "losses",
    "map",
    "price",
    "set",
)
# parameters of lessons that name a file, or a program to run: from a learner's cell they are refused
FILES = frozenset({"arguments", "binary", "command", "path", "python", "script"})
_MOST_REQUESTS = 5000
_MOST_VALUE_BYTES = 32 << 20


class Session:
    """One notebook that is graded.

    Parameters
    ----------
    path : of the notebook; its name says which lesson it is.
    result : where the JSON goes.
    seconds : how long the learner's cells may take altogether. What the lab's side takes, such as waiting for another
        measurement on this kernel, is not counted, up to `MOST_TIMES` as much.
    """

    def __init__(self, path: Path, result: Path, seconds: int) -> None:
        self._path = path
        self._result = result
        self._ends_s = self._last_s = 0.0
        self._seconds = seconds
        self._sent: dict[str, int] = {}
        self._requests = 0
        self._cell = 0
        self._literals: dict[int, set[str]] = {}
        self._found: dict[str, Any] = {"answers": {}, "cells": [], "signs": [], "ended": ""}

    def run(self) -> dict[str, Any]:
        """Execute and judge the notebook; return what was written to the result."""
        from IPython.core.interactiveshell import InteractiveShell

        try:
            cells, warnings = code_of(self._path)
            originals = [cell["source"] for cell in code_of(repo_folder() / "notebooks" / self._path.name)[0]]
        except LabkitError as error:
            self._found["ended"], self._found["state"] = str(error), DAMAGED
            self._write()
            return self._found
        found = steps(cells, originals)
        self._found["signs"] = [*warnings, *(sign for step in found for sign in signs(step))]
        own = {source.strip() for source in originals}
        kept = sum(cell["source"].strip() in own for cell in cells)
        if kept < len(originals) // 2:
            self._found["signs"].append(f"of another version of the lab: {kept} of its {len(originals)} cells are here")
        sources = [cell["source"] for cell in cells]
        for step in found:
            pairs = checked(step.source)
            self._literals[step.number] = {name for name, answer in pairs if is_literal(answer, sources)}
        self._shell = InteractiveShell.instance()
        self._shell.run_line_magic("load_ext", "labkit")
        labkit.check = self._judge  # type: ignore[assignment]
        try:
            with Box(self._seconds) as box:
                self._ends_s = time.monotonic() + self._seconds
                self._last_s = time.monotonic() + MOST_TIMES * self._seconds
                for step in found:
                    self._cell = step.number
                    self._execute(step, box.end)
                    self._write()
        except Overtime:
            self._found["ended"] = f"cell {self._cell}: it took longer than {self._seconds} s"
        except Ended as error:
            self._found["ended"] = f"cell {self._cell}: its kernel died: {error}"
        except LabkitError as error:
            self._found["ended"], self._found["state"] = str(error), "refused"
        finally:
            self._write()
            self._shell.run_line_magic("unload_ext", "labkit")
        return self._found

    def _write(self) -> None:
        fresh = self._result.with_suffix(".part")
        fresh.write_text(json.dumps(self._found), encoding="utf-8")
        os.replace(fresh, self._result)

    def _execute(self, step: Step, end: LabEnd) -> None:
        error = ""
        if step.kind == BPF:
            with self._not_counted():
                error = self._compile(step.source)
        elif step.kind == LAB:
            with self._not_counted():
                result = self._shell.run_cell(step.source, store_history=False)
            raised = result.error_before_exec or result.error_in_exec
            error = "" if raised is None else f"{type(raised).__name__}: {raised}"
        else:
            error = self._ask(step, end)
        if error:
            self._found["cells"].append({"cell": step.number, "kind": step.kind, "error": error[:1000]})

    @contextmanager
    def _not_counted(self) -> Iterator[None]:
        """Add the time that the lab's side takes to what the learner's side may take."""
        started_s = time.monotonic()
        try:
            yield
        finally:
            self._ends_s = min(self._ends_s + time.monotonic() - started_s, self._last_s)

    def _compile(self, source: str) -> str:
        """Load a `%%bpf` cell; its line is never expanded, as IPython would: it may hold an expression."""
        head, _, text = source.partition("\n")
        magic = self._shell.find_cell_magic("bpf")
        try:
            magic(head.removeprefix("%%bpf").strip(), text)
        except Exception as error:  # whatever a learner's C makes the compiler do
            return f"{type(error).__name__}: {error}"
        return ""

    def _ask(self, step: Step, end: LabEnd) -> str:
        """Let the box execute a learner's cell, answer its requests meanwhile, and return its error."""
        end.send({"source": step.source, "names": self._news()})
        while True:
            message = end.receive(self._ends_s)
            if message.get("done"):
                self._take(message.get("names"))
                return str(message.get("error", ""))[:500]
            self._requests += 1
            if self._requests > _MOST_REQUESTS:
                raise Ended(f"it made more than {_MOST_REQUESTS} requests")
            try:
                with self._not_counted():
                    answer = {"value": self._answer(message)}
            except LabkitError as error:
                answer = {"error": (type(error).__name__, error.what, error.fix)}
            except Exception as error:  # whatever a learner passes to a lesson
                answer = {"error": (type(error).__name__, f"{type(error).__name__}: {error}"[:500], "")}
            end.send(answer)

    def _news(self) -> dict[str, tuple[str, Any]]:
        """Return the names of the lab's cells that the box does not have yet, as it decodes them."""
        news = {}
        for name, value in self._shell.user_ns.items():
            if name.startswith("_") or name in ("In", "Out", "exit", "quit", "get_ipython", "open"):
                continue
            if self._sent.get(name) != id(value):
                self._sent[name] = id(value)
                if (packed := self._packed(value, name)) is not None:
                    news[name] = packed
        return news

    def _packed(self, value: Any, name: str = "") -> tuple[str, Any] | None:
        """Return a value as the box decodes it, or None where it stays here: a panel, an open file."""
        import pickle

        if isinstance(value, ModuleType):
            return ("module", value.__name__)
        if isinstance(value, (NotebookCell, Refused)):
            return ("program", name)
        try:
            return ("value", value) if len(pickle.dumps(value)) <= _MOST_VALUE_BYTES else None
        except Exception:  # what a class of somebody else's raises when it cannot be pickled
            return None

    def _take(self, names: object) -> None:
        """Take plain values over that the learner's cells made, for the lab's cells below them."""
        for name, plain in names.items() if isinstance(names, dict) else ():
            held = self._shell.user_ns.get(name)
            is_free = str(name).isidentifier() and not str(name).startswith("_") and not callable(held)
            if is_free and not isinstance(held, (ModuleType, NotebookCell, Refused)):
                try:
                    self._shell.user_ns[name] = value = from_plain(plain, self._programs())
                except NotPlain:
                    continue
                self._sent[name] = id(value)

    def _programs(self) -> dict[str, Any]:
        held = self._shell.user_ns.items()
        return {name: value for name, value in held if isinstance(value, (NotebookCell, Refused))}

    def _answer(self, message: dict[str, Any]) -> Any:
        """Do what the box asks for, and return it as the box decodes it."""
        asked = message.get("ask")
        if asked == "check":
            self._judge(message["question"], from_plain(message["answer"], self._programs()))
            return ("value", None)
        if asked == "name":
            value = self._offered(message)
            return ("value", (callable(value), ("value", None) if callable(value) else self._packed(value)))
        if asked not in ("call", "method"):
            raise LabkitError("This is not offered while a notebook is graded.", "use what the lesson's page uses")
        args = from_plain(message["args"], self._programs())
        kwargs = from_plain(message["kwargs"], self._programs())
        if asked == "call":
            made = _without_files(self._offered(message), args, kwargs)(*args, **kwargs)
        else:
            program = from_plain({"$program": message["program"]}, self._programs())
            if isinstance(program, Refused) or message["method"] not in _METHODS:
                raise LabkitError(f"{message['program']} has no {message['method']} here.", f"one of {_METHODS}")
            made = getattr(program, message["method"])(*args, **kwargs)
        return self._packed(made) or ("value", None)

    def _offered(self, message: dict[str, Any]) -> Any:
        """Return what a lesson offers to its notebook by this name."""
        modules = {f"labkit.lessons.{lesson.stem}" for lesson in LESSONS}
        if message["module"] in modules:
            module = import_module(message["module"])
            if message["name"] in module.__all__:
                return getattr(module, message["name"])
        raise LabkitError(f"{message['module']} offers no {message['name']}.", "use what the lesson's page uses")

    def _judge(self, question: str, answer: object = ..., **_: object) -> Rendered:
        """Judge an answer and keep the verdict; a later answer to the same question replaces it."""
        if not isinstance(question, str) or question not in all_questions():
            return note("warning", ["There is no exercise of this name."])
        verdict = check(question, answer)
        state = RIGHT if verdict.ok else WRONG
        if verdict.ok and question in self._literals.get(self._cell, ()) and _is_drawn(question):
            state = LITERAL
        if answer is not ...:
            said = verdict.text if state != LITERAL else f"{question}: right by chance; it is a literal, not computed."
            self._found["answers"][question] = {"state": state, "said": said[:500], "cell": self._cell}
        return verdict


def _without_files(function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Return a function of a lesson; raise BadArgument where it would open or run a file that the learner names."""
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    if named := FILES & set(given):
        what = f"{function.__name__} takes no {sorted(named)[0]} while a notebook is graded."
        raise BadArgument(what, "leave it out: the default is what the lesson uses")
    return function


def _is_drawn(question: str) -> bool:
    """Return whether the truth of a question was drawn in this run."""
    try:
        truths.expected(question)
    except truths.Unknown:
        return False
    return True


def main(argv: list[str]) -> None:
    sys.stdout = open(os.devnull, "w")  # what cells print is nobody's business here
    Session(Path(argv[0]), Path(argv[1]), int(argv[2])).run()


if __name__ == "__main__":
    main(sys.argv[1:])
