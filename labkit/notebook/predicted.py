# SPDX-License-Identifier: Apache-2.0
"""What the learner predicted: the part "predictions" of the learner's own file.

`{"predictions": {"01-p2": {"question": "…", "choices": ["22", "23"], "said": "22", "measured": "23", "right": false,
"again_in": "02-p1", "again_right": true}}}`. The first answer counts. A record that cannot be read counts as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.errors import LabkitError
from labkit.notebook.own_file import changed, read

__all__ = ["Predicted", "note_again", "note_measured", "note_said", "note_shown", "predictions"]


@dataclass(frozen=True)
class Predicted:
    """One prediction of the learner, by its name ("01-p2").

    Parameters
    ----------
    said, measured : the first answer, and what was measured after it (empty: not yet).
    right : whether the two are the same; None before the measurement.
    again_in : the prediction below which its idea came back; empty if it did not.
    again_right : whether the answer was right then; None if there was none.
    """

    name: str
    question: str
    choices: tuple[str, ...]
    said: str
    measured: str = ""
    right: bool | None = None
    again_in: str = ""
    again_right: bool | None = None


def predictions() -> dict[str, Predicted]:
    """Return the learner's predictions by name."""
    return {name: made for name, record in _records(read()).items() if (made := _predicted(name, record)) is not None}


def note_said(name: str, question: str, choices: Sequence[str], said: str) -> str:
    """Keep the first answer; return why it could not be kept, or an empty text."""

    def change(record: dict[str, Any]) -> None:
        if "said" not in record:
            record |= {"question": question, "choices": list(choices), "said": said}

    return _change(name, change)


def note_measured(name: str, measured: str, right: bool) -> None:
    """Keep what was measured after the first answer; a later measurement changes nothing."""

    def change(record: dict[str, Any]) -> None:
        if "said" in record and "right" not in record:
            record |= {"measured": measured, "right": right}

    _change(name, change)


def note_shown(name: str, where: str) -> None:
    """Keep that the idea of a prediction has come back below the prediction `where`."""
    _change(name, lambda record: record.setdefault("again_in", where))


def note_again(name: str, right: bool) -> None:
    """Keep whether the answer was right when the idea came back."""
    _change(name, lambda record: record.setdefault("again_right", right))


def _change(name: str, change: Callable[[dict[str, Any]], object]) -> str:
    """Change the record of a prediction; return why it cannot be kept, or an empty text."""
    try:
        with changed() as parts:
            kept = _records(parts)
            if _predicted(name, kept.get(name)) is None:  # missing, or damaged
                kept[name] = {}
            change(kept[name])
            parts["predictions"] = kept
    except (OSError, LabkitError) as error:
        return f"(Your prediction could not be saved: {error}.)"
    return ""


def _records(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    kept = parts.get("predictions")
    return kept if isinstance(kept, dict) else {}


def _predicted(name: str, record: Any) -> Predicted | None:
    """Return a record as a `Predicted`, or None if it is not one."""
    try:
        question, choices, said = record["question"], record["choices"], record["said"]
        measured, again_in = record.get("measured", ""), record.get("again_in", "")
        flags = record.get("right"), record.get("again_right")
    except (KeyError, TypeError, AttributeError):
        return None
    texts = (question, said, measured, again_in, *(choices if isinstance(choices, list) else [None]))
    if not all(isinstance(each, str) for each in texts) or not all(each in (None, True, False) for each in flags):
        return None
    return Predicted(name, question, tuple(choices), said, measured, flags[0], again_in, flags[1])
