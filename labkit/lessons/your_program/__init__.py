# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: Watch your own program. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.your_program.exercises import hidden_delay, hidden_memory
from labkit.lessons.your_program.panels import panel
from labkit.lessons.your_program.plots import plot
from labkit.lessons.your_program.programs import git_status, sqlite_query, web_server
from labkit.lessons.your_program.watching import VIEWS, cost, watch, watch_all

__all__ = [
    "VIEWS",
    "cost",
    "git_status",
    "hidden_delay",
    "hidden_memory",
    "panel",
    "plot",
    "sqlite_query",
    "watch",
    "watch_all",
    "web_server",
]
