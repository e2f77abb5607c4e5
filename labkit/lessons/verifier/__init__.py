# SPDX-License-Identifier: Apache-2.0
"""Lesson 03: programs that the verifier rejects, and their fixes. What the notebook calls."""

from __future__ import annotations

from labkit.bpf.verifier.explain import Verdict
from labkit.lessons.verifier.exercises import log_of_a_mask, log_without_a_name, open_files, row_of_secret_size
from labkit.lessons.verifier.gallery import (
    BODIES,
    GALLERY,
    VERSIONS,
    Exhibit,
    judge,
    judge_file,
    loops,
    measure,
    source_of,
)
from labkit.lessons.verifier.panel_repair import workshop
from labkit.lessons.verifier.panels import panel
from labkit.lessons.verifier.plots import plot
from labkit.notebook.verdict_box import verdict_box

__all__ = [
    "BODIES",
    "GALLERY",
    "VERSIONS",
    "Exhibit",
    "Verdict",
    "judge",
    "judge_file",
    "log_of_a_mask",
    "log_without_a_name",
    "loops",
    "measure",
    "open_files",
    "panel",
    "plot",
    "row_of_secret_size",
    "source_of",
    "verdict_box",
    "workshop",
]
