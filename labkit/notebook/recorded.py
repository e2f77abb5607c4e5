# SPDX-License-Identifier: Apache-2.0
"""Small recordings for machines that cannot measure something: always labelled RECORDED, with their kernel.

A recording is `notebooks/recorded/NN-NAME.csv`, and `NN-NAME.json` next to it for what the frame carries. Its frame has
`attrs["recorded"] = True`, so every plot, table and sentence made of it says so.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import display

from labkit import schema
from labkit.errors import Missing
from labkit.machine.folders import repo_folder
from labkit.notebook.kept_frames import keep
from labkit.notebook.render import note

__all__ = ["MARK", "has_recordings", "measured", "recorded", "save_recording"]

MARK = "labkit_recorded"  # in the metadata of an output that shows a recording; `labkit lessons` looks for it


def recordings() -> Path:
    """Return the folder of the recordings."""
    return repo_folder() / "notebooks" / "recorded"


def has_recordings(lesson: str) -> bool:
    """Return whether a lesson ("07") can show recordings: some are about the machine itself, and have none."""
    return any(recordings().glob(f"{lesson}-*.csv"))


def measured(lesson: str, name: str, measure: Callable[..., pd.DataFrame], /, **params: Any) -> pd.DataFrame:
    """Measure here, or, where this machine lacks what that needs, return the recording and say why.

    Parameters
    ----------
    lesson, name : which recording: "01", "events".
    measure : the experiment; `params` are passed to it.

    Raises
    ------
    LabkitError : as `measure` does, except for `Missing`.
    """
    try:
        frame = measure(**params)
    except Missing as error:
        return recorded(lesson, name, because=error)
    keep(lesson, name, frame)
    return frame


def recorded(lesson: str, name: str, *, because: Missing | None = None) -> pd.DataFrame:
    """Return a recording as a frame, and tell the learner that it is one.

    Raises
    ------
    Missing : there is no such recording.
    """
    table = recordings() / f"{lesson}-{name}.csv"
    try:
        attrs = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
        rows = _read(table)
        kept = {"lost_events": 0, "warnings": [], **attrs, "recorded": True}
        made = schema.frame({str(name): rows[name].tolist() for name in rows}, **kept)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        what = because.what if because else f"There is no recording {table.name}."
        fix = because.fix if because else "run `git checkout notebooks/recorded` to bring it back"
        raise Missing(what, fix, f"(No recording either: {error})") from error
    lines = [f"RECORDED on kernel {kept.get('kernel', '?')}: these numbers are not from this machine."]
    if because:
        lines += [f"Why: {because.what}", f"Fix: {because.fix}"]
    display(note("warning", lines), metadata={MARK: f"{lesson}-{name}"})
    return made


def save_recording(frame: pd.DataFrame, lesson: str, name: str) -> Path:
    """Keep a frame as a recording and return its path; for authors of lessons, on a machine that can measure."""
    table = recordings() / f"{lesson}-{name}.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(table, index=False)
    facts = {"kernel": platform.release(), **frame.attrs}
    attrs = json.dumps(facts, indent=1, sort_keys=True, default=str, ensure_ascii=False)
    here = f"{repo_folder()}/"  # whose it was is nobody's business
    table.with_suffix(".json").write_text(attrs.replace(here, "") + "\n", encoding="utf-8")
    return table


def _read(table: Path) -> pd.DataFrame:
    """Return the rows of a recording: a text stays as it was, even an empty one or one that looks like a number."""
    texts = {name for name, column in schema.COLUMNS.items() if column.dtype == "str"}
    unknown = {name: [""] for name in schema.COLUMNS if name not in texts}
    return pd.read_csv(table, dtype=dict.fromkeys(texts, "str"), keep_default_na=False, na_values=unknown)
