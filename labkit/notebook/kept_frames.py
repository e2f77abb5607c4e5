# SPDX-License-Identifier: Apache-2.0
"""A few small frames that stay in the data folder when a lesson has measured them, for `labkit hand-in`.

`FRAMES` is the table of which: lesson, name, what is on the axes. A frame is `kept-frames/NN-NAME.csv` in the data
folder. The JSON of the same name says where it was measured. A later measurement replaces an earlier one.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from labkit.errors import LabkitError
from labkit.machine.folders import data_folder, is_quick

__all__ = ["FRAMES", "ClassFrame", "keep", "kept_folder"]

_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class ClassFrame:
    """A frame that machines are compared by.

    Parameters
    ----------
    lesson, name : as `labkit.measured` gets them.
    x, y : columns; a y with several rows per x and line is its median.
    line : the column that tells the lines of one machine apart; none has one line per machine, "all mechanisms".
    only : rows that count, as column -> value.
    """

    lesson: str
    name: str
    title: str
    x: str
    y: str
    line: str = ""
    only: tuple[tuple[str, object], ...] = ()

    @property
    def key(self) -> str:
        """Its file name without the suffix."""
        return f"{self.lesson}-{self.name}"


FRAMES = (
    ClassFrame("07", "sizes", "Block-size sweep", "block_bytes", "bytes_per_s", "engine"),
    ClassFrame("07", "curves", "Queue-depth curve", "queue_depth", "ios_per_s", "engine"),
    ClassFrame("09", "trips", "Round trips", "message_bytes", "rtt_ns", "arm", (("pinning", "same core"),)),
    ClassFrame("04", "cost", "A probed function, per call", "arm", "ns_per_call"),
    ClassFrame("06", "cost", "A probed system call, per call", "arm", "ns_per_call", "call"),
)


def kept_folder() -> Path:
    """Return the folder of the kept frames (it need not exist)."""
    return data_folder() / "kept-frames"


def keep(lesson: str, name: str, frame: pd.DataFrame) -> None:
    """Keep a frame that is in `FRAMES`; a full disk or a missing folder is no reason to fail a measurement."""
    if f"{lesson}-{name}" not in {known.key for known in FRAMES} or is_quick():
        return
    table = frame.to_csv(index=False)
    facts = json.dumps(frame.attrs, default=str, indent=1, sort_keys=True)
    if len(table) + len(facts) > _MOST_BYTES:
        return
    with contextlib.suppress(OSError, LabkitError):
        folder = kept_folder()
        folder.mkdir(mode=0o755, exist_ok=True)
        for suffix, text in ((".csv", table), (".json", facts)):
            fresh = folder / f".{lesson}-{name}{suffix}.part"
            fresh.write_text(text, encoding="utf-8")
            os.replace(fresh, folder / f"{lesson}-{name}{suffix}")
