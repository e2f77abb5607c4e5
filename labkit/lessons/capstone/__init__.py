# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: watch a real application. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.capstone.arms import call_table
from labkit.lessons.capstone.call_by_call import transaction, which_transaction, witnesses
from labkit.lessons.capstone.exercises import count_transactions, log_size, which_journal, who_commits
from labkit.lessons.capstone.panels import panel
from labkit.lessons.capstone.plots import plot
from labkit.lessons.capstone.servers import measure as redis
from labkit.lessons.capstone.servers import ratios as redis_ratios
from labkit.lessons.capstone.servers import summary as redis_summary
from labkit.lessons.capstone.sqlite import JOURNALS, SYNCHRONOUS
from labkit.lessons.capstone.transactions import measure, ratios, steadiness, summary

__all__ = [
    "JOURNALS",
    "SYNCHRONOUS",
    "call_table",
    "count_transactions",
    "log_size",
    "measure",
    "panel",
    "plot",
    "ratios",
    "redis",
    "redis_ratios",
    "redis_summary",
    "steadiness",
    "summary",
    "transaction",
    "which_journal",
    "which_transaction",
    "who_commits",
    "witnesses",
]
