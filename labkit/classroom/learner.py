# SPDX-License-Identifier: Apache-2.0
"""The learner's side of a graded notebook: `python -m labkit.classroom.learner FD SECONDS`, started by `box`.

Executes the cells that the learner wrote, without any privilege. What a lesson measures is a call to the lab's side:
`labkit.lessons.NAME` is a stand-in here. So are `labkit.check`, which sends the answer and gets no verdict, and
the programs of `%%bpf` cells. No truth is ever in this process. Nothing that it says about itself is believed.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import labkit
from labkit import errors
from labkit.classroom.wire import Ended, LearnerEnd, NotPlain, to_plain
from labkit.course import LESSONS
from labkit.notebook.render import Rendered, note

__all__ = ["main"]

_MOST_NAMES = 200


class _Lab:
    """The lab's side, as the learner's code may call it."""

    def __init__(self, end: LearnerEnd) -> None:
        self._end = end

    def ask(self, what: str, **more: Any) -> Any:
        """Send a request and return what comes back; an error of the lab's is raised here, too."""
        self._end.send({"ask": what, **{name: to_plain(value) for name, value in more.items()}})
        answer = self._end.receive()
        if "error" in answer:
            kind, said, fix = answer["error"]
            found = getattr(errors, kind, None)
            is_labs = isinstance(found, type) and issubclass(found, errors.LabkitError)
            raise found(said, fix) if is_labs and found is not None else RuntimeError(said)
        return self.decoded(answer["value"])

    def decoded(self, value: tuple[str, Any]) -> Any:
        """Return what the lab's side sent: ("value", object), ("module", name) or ("program", name)."""
        kind, held = value
        if kind == "module":
            return importlib.import_module(held)
        return _Program(self, held) if kind == "program" else held

    def check(self, question: str, answer: object = ..., **_: object) -> Rendered:
        """Send an answer; the verdict stays on the lab's side."""
        self.ask("check", question=question, answer=answer)
        return note("note", [f"{question}: sent to be judged."])


class _Program:
    """A program of a `%%bpf` cell that is loaded on the lab's side."""

    def __init__(self, lab: _Lab, name: str) -> None:
        self._lab = lab
        self._name = name

    @property
    def labkit_handle(self) -> str:
        return self._name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args, **kwargs: self._lab.ask(
            "method", program=self._name, method=method, args=args, kwargs=kwargs
        )


class _Lesson(ModuleType):
    """A lesson whose measurements are made on the lab's side."""

    def __init__(self, name: str, lab: _Lab) -> None:
        super().__init__(name)
        self.__dict__["_lab"] = lab

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        lab: _Lab = self.__dict__["_lab"]
        is_function, value = lab.ask("name", module=self.__name__, name=name)
        if not is_function:
            return lab.decoded(value)

        def call(*args: Any, **kwargs: Any) -> Any:
            return lab.ask("call", module=self.__name__, name=name, args=args, kwargs=kwargs)

        return call


def main(argv: list[str]) -> None:
    descriptor, seconds = int(argv[0]), int(argv[1])
    _limit(seconds)
    end = LearnerEnd(socket.socket(fileno=descriptor))
    lab = _Lab(end)
    labkit.check = lab.check  # type: ignore[assignment]
    for lesson in LESSONS:
        name = f"labkit.lessons.{lesson.stem}"
        sys.modules[name] = _Lesson(name, lab)
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    end.send({"ready": True})
    with contextlib.suppress(Ended):
        while True:
            _execute(shell, lab, end, end.receive())


def _limit(seconds: int) -> None:
    """Bound what this process and its children may take of memory, files, processes and CPU."""
    limits = {
        resource.RLIMIT_AS: 4 << 30,
        resource.RLIMIT_FSIZE: 64 << 20,
        resource.RLIMIT_NPROC: 64,
        resource.RLIMIT_CPU: 2 * seconds,
        resource.RLIMIT_CORE: 0,
    }
    os.nice(10)
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))


def _execute(shell: Any, lab: _Lab, end: LearnerEnd, message: dict[str, Any]) -> None:
    """Execute one cell and say which plain values it made, and its error."""
    for name, value in message["names"].items():
        shell.user_ns[name] = lab.decoded(value)
    before = dict(shell.user_ns)
    result = shell.run_cell(message["source"], store_history=False)
    error = result.error_before_exec or result.error_in_exec
    made: dict[str, Any] = {}
    for name, value in list(shell.user_ns.items()):
        if name.startswith("_") or (name in before and before[name] is value) or len(made) >= _MOST_NAMES:
            continue
        with contextlib.suppress(NotPlain):
            made[name] = to_plain(value)
    said = "" if error is None else f"{type(error).__name__}: {error}"[:500]
    end.send({"done": True, "error": said, "names": made})


if __name__ == "__main__":
    main(sys.argv[1:])
