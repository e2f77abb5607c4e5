# SPDX-License-Identifier: Apache-2.0
"""`labkit lessons`: execute every lesson in a fresh kernel and write what a learner would see as HTML.

Each lesson runs in a scratch copy of `notebooks/`, so nothing there changes, with the Python that runs this program,
whatever kernels the system knows. The pages need no network when they are read.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat

from labkit.errors import Missing, unknown_name
from labkit.machine.folders import build_folder, repo_folder
from labkit.runner.lesson import Lesson, Say
from labkit.runner.pages import LessonRun, page, shows_recording, write_summary

__all__ = ["LessonRun", "find", "run"]

CELL_TIMEOUT_S = 300


def find(wanted: Sequence[str] = (), folder: Path | None = None) -> list[Path]:
    """Return the notebooks of the lessons ("07"), in order; all of them where none is named.

    Raises
    ------
    BadArgument : there is no such lesson.
    Missing : there are no lessons at all.
    """
    folder = folder or repo_folder() / "notebooks"
    lessons = {path.name[:2]: path for path in sorted(folder.glob("[0-9][0-9]-*.ipynb"))}
    if not lessons:
        raise Missing(f"There are no lessons in {folder}.", "run it in a complete copy of the lab")
    unknown = [name for name in wanted if name not in lessons]
    if unknown:
        raise unknown_name("lesson", unknown[0], lessons)
    return [path for number, path in lessons.items() if not wanted or number in wanted]


def run(
    notebooks: Sequence[Path],
    *,
    to: Path | None = None,
    quick: bool = False,
    timeout_s: float = CELL_TIMEOUT_S,
    say: Say,
) -> list[LessonRun]:
    """Execute notebooks one after another and write what came of them into the folder `to`.

    Each becomes a page and a notebook with its outputs (for `make docs`); `index.html` and `summary.json` list all.

    Parameters
    ----------
    notebooks : from `find`.
    to : `build/lessons` if None.
    quick : the smallest sizes that still show the point (`LABKIT_QUICK=1`).
    timeout_s : how long one cell may take.
    say : prints a line of progress.
    """
    to = to or build_folder() / "lessons"
    to.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for path in notebooks:
        outcomes.append(_run_one(path, to, quick=quick, timeout_s=timeout_s, say=say))
        write_summary(outcomes, to)
    return outcomes


def _run_one(path: Path, to: Path, *, quick: bool, timeout_s: float, say: Say) -> LessonRun:
    started_s = time.monotonic()
    recorded = False
    written = to / f"{path.stem}.html"
    executed = to / path.name
    for old in (written, executed):
        old.unlink(missing_ok=True)
    try:
        notebook = nbformat.read(path, as_version=4)
        with _scratch(path.parent) as folder:
            error = Lesson(path.stem, notebook, folder, quick=quick, timeout_s=timeout_s, say=say).execute()
        recorded = shows_recording(notebook)
        written.write_text(page(notebook, path.stem), encoding="utf-8")
        nbformat.write(notebook, executed)
    except Exception as raised:  # whatever a lesson does, the others have their turn
        error = f"{path.stem}: {type(raised).__name__}: {raised}"
    seconds = round(time.monotonic() - started_s, 1)
    outcome = LessonRun(path.stem, "failed" if error else "ok", seconds, recorded, error)
    say(f"{path.stem}: {outcome.status} in {seconds} s{', with RECORDED parts' if recorded else ''}")
    if error:
        say("\n".join(f"    {line}" for line in error.splitlines()))
    return outcome


@contextmanager
def _scratch(notebooks: Path) -> Iterator[Path]:
    """Yield a copy of the notebooks' folder, gone afterwards."""
    build_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lessons-", dir=build_folder()) as made:
        folder = Path(made) / "notebooks"
        shutil.copytree(notebooks, folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        yield folder
