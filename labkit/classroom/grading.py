# SPDX-License-Identifier: Apache-2.0
"""`labkit grade FOLDER`: every learner's notebooks are executed again and judged; what was graded stays as it is.

A class folder holds one folder per learner, with notebooks in it (or in its `notebooks/`), or the archives that
`labkit hand-in` made. Results go to `FOLDER/graded/LEARNER/NN-STEM.json`; `report` makes the class's tables of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.classroom import collect, places
from labkit.classroom.steps import LAB
from labkit.course import LESSONS, Lesson
from labkit.errors import BadArgument, LabkitError, check_int
from labkit.machine.folders import build_folder, repo_folder
from labkit.notebook.exercises import all_questions

__all__ = ["GRADED", "Graded", "grade", "learners", "points_of"]

GRADED = "graded"
_MOST_RESULT_BYTES = 5 << 20
Say = Callable[[str], None]


@dataclass(frozen=True)
class Graded:
    """What became of one notebook of one learner.

    Parameters
    ----------
    answers : question -> {"state": "right", "wrong" or "literal", "said", "cell"}; unanswered ones are not in it.
    ended : why the notebook did not run to its end, or an empty text.
    signs : what a teacher should look at.
    """

    learner: str
    lesson: Lesson
    answers: dict[str, dict[str, Any]]
    failures: list[dict[str, Any]]
    signs: list[str]
    ended: str
    seconds: float

    @property
    def points(self) -> int:
        """The number of exercises that were answered right."""
        return sum(answer["state"] == "right" for answer in self.answers.values())


def points_of(lesson: Lesson) -> list[str]:
    """Return the exercises of a lesson, in order; each is one point."""
    return [name for name in all_questions() if name.startswith(f"{lesson.number}-")]


def learners(folder: Path) -> dict[str, dict[str, Path]]:
    """Return learner -> lesson's number -> notebook, of a class folder; links are not followed."""
    found: dict[str, dict[str, Path]] = {}
    names = {lesson.notebook: lesson.number for lesson in LESSONS}
    for own in sorted(folder.iterdir()):
        if own.is_symlink() or not own.is_dir() or own.name == GRADED or own.name.startswith("."):
            continue
        paths = [path for part in (own, own / "notebooks") for path in sorted(part.glob("*.ipynb"))]
        files = [path for path in paths if not path.is_symlink() and path.is_file()]
        found[own.name] = {names[path.name]: path for path in files if path.name in names}
    return found


def grade(
    folder: Path,
    *,
    place: str = places.VM,
    wanted: Sequence[str] = (),
    again: bool = False,
    seconds: int = 600,
    kernel: Path | None = None,
    say: Say,
) -> list[Graded]:
    """Grade a class folder and return what became of each notebook, earlier results included.

    Parameters
    ----------
    place : one of `places.PLACES`.
    wanted : only these lessons, such as "01"; all that were handed in if empty.
    again : grade what was graded before, too.
    seconds : how long the learner's cells of a notebook may take on a quiet machine, 10 to 86400; a place that is
        slower gives as much more.
    kernel : the image that a virtual machine boots.
    say : prints a line of progress.

    Raises
    ------
    BadArgument : there is no such folder or lesson.
    Missing : the place is not possible on this machine.
    """
    seconds = check_int("seconds", seconds, 10, 86400, "seconds")
    unknown = sorted(set(wanted) - {lesson.number for lesson in LESSONS})
    if unknown:
        raise BadArgument(f"There is no lesson {unknown[0]}.", "name lessons as two digits, such as 01")
    if not folder.is_dir():
        raise BadArgument(f"{folder} is not a folder.", "labkit collect ARCHIVES --to FOLDER makes one")
    places.check_place(place, kernel)
    for each in collect.collect(sorted(folder.glob("*.tar.gz")), folder):
        say(each.line)
    found = learners(folder)
    if not found:
        raise BadArgument(f"There are no learners in {folder}.", "a folder per learner, or archives of labkit hand-in")
    _build()
    results: list[Graded] = []
    for number, (learner, notebooks) in enumerate(found.items(), 1):
        chosen = {name: path for name, path in notebooks.items() if not wanted or name in wanted}
        todo = {name: path for name, path in chosen.items() if again or not _result(folder, learner, path).is_file()}
        if todo:
            _grade_learner(folder, learner, list(todo.values()), place, seconds, kernel)
        own = [_read(folder, learner, name, path) for name, path in chosen.items()]
        results += own
        say(_line(number, len(found), learner, own, len(todo)))
    return results


def _build() -> None:
    """Build the C programs of the lessons: where notebooks are graded, the tree is read-only."""
    made = subprocess.run(["make", "-s", "-C", str(repo_folder() / "c")], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise LabkitError("The lab's C programs could not be built.", "make setup", made.stderr[-500:])


def _result(folder: Path, learner: str, notebook: Path) -> Path:
    return folder / GRADED / learner / f"{notebook.stem}.json"


def _grade_learner(
    folder: Path, learner: str, notebooks: list[Path], place: str, seconds: int, kernel: Path | None
) -> None:
    """Grade notebooks of one learner; a result takes its place in one step, when it is complete."""
    build_folder().mkdir(parents=True, exist_ok=True)
    to = folder / GRADED / learner
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="graded-", dir=build_folder()) as made:
        given, out = Path(made) / "given", Path(made) / "out"
        given.mkdir()
        out.mkdir()
        for path in notebooks:
            shutil.copyfile(path, given / path.name, follow_symlinks=False)
        ended = places.run_in_place(place, given.resolve(), out.resolve(), seconds, len(notebooks), kernel=kernel)
        for path in notebooks:
            told = _told(out / f"{path.stem}.json", ended)
            told |= {"place": place, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            fresh = to / f".{path.stem}.part"
            fresh.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            os.replace(fresh, _result(folder, learner, path))


def _told(result: Path, ended: str) -> dict[str, Any]:
    """Return what the place said of a notebook: short texts and numbers, whatever a stranger made of the place."""
    try:
        if result.is_symlink() or result.stat().st_size > _MOST_RESULT_BYTES:
            raise ValueError("it is no result")
        told = json.loads(result.read_text(encoding="utf-8"))
        return {
            "answers": {
                str(name): {"state": str(each["state"]), "said": str(each["said"])[:500], "cell": int(each["cell"])}
                for name, each in told["answers"].items()
            },
            "cells": [
                {"cell": int(each["cell"]), "kind": str(each["kind"]), "error": str(each["error"])[:1000]}
                for each in told["cells"]
            ],
            "signs": [str(sign)[:300] for sign in told["signs"]],
            "ended": str(told["ended"])[:500] or ended,
            "seconds": float(told["seconds"]),
            "kernel": str(told["kernel"])[:100],
            "slowness": float(told["slowness"]),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {"answers": {}, "cells": [], "signs": [], "ended": f"not graded: {ended or 'no result'}", "seconds": 0}


def _read(folder: Path, learner: str, number: str, notebook: Path) -> Graded:
    lesson = next(lesson for lesson in LESSONS if lesson.number == number)
    path = _result(folder, learner, notebook)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        known = {name: told["answers"][name] for name in points_of(lesson) if name in told["answers"]}
        signs = list(told["signs"])
        if told["sha256"] != hashlib.sha256(notebook.read_bytes()).hexdigest():
            signs.append("changed since it was graded: --again grades it again")
        return Graded(learner, lesson, known, told["cells"], signs, told["ended"], told["seconds"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LabkitError(f"The result {path} is damaged: {error!r}.", "remove it, and grade again") from None


def _line(number: int, of: int, learner: str, own: Sequence[Graded], fresh: int) -> str:
    """Return one line of progress, with a bar."""
    done = round(20 * number / of)
    most = sum(len(points_of(each.lesson)) for each in own)
    points = f"{sum(each.points for each in own)} of {most} points" if own else "no notebook of the lab"
    word = "" if fresh or not own else ", graded before"
    if any(failure["kind"] == LAB for each in own for failure in each.failures):
        word += ", a cell of the lab failed (see grades.html)"
    if any(each.ended for each in own):
        word += ", not to the end (see grades.html)"
    seconds = sum(each.seconds for each in own)
    return f"[{'#' * done}{'.' * (20 - done)}] {number}/{of} {learner}: {points}, {seconds:.0f} s{word}"
