"""Lesson 10: watch a real application. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.capstone.exercises import count_transactions, log_size, which_journal, who_commits
from labkit.lessons.capstone.panels import panel
from labkit.lessons.capstone.plots import plot
from labkit.lessons.capstone.servers import measure as redis
from labkit.lessons.capstone.servers import summary as redis_summary
from labkit.lessons.capstone.sqlite import JOURNALS, SYNCHRONOUS
from labkit.lessons.capstone.transactions import measure, ratios, steadiness, summary, transaction, witnesses

__all__ = [
    "JOURNALS",
    "SYNCHRONOUS",
    "count_transactions",
    "log_size",
    "measure",
    "panel",
    "plot",
    "ratios",
    "redis",
    "redis_summary",
    "steadiness",
    "summary",
    "transaction",
    "which_journal",
    "who_commits",
    "witnesses",
]
