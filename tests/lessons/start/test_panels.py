# SPDX-License-Identifier: Apache-2.0
"""Lesson 00's panel speaks of what the lesson asks about: the time for each byte."""

from __future__ import annotations

import pytest

from labkit import schema
from labkit.lessons.start.panels import finding


@pytest.mark.parametrize(
    ("size", "each"), [(1024, "took less than 512 ns: 0.5 ns for each byte."), (256, "512 ns: 2 ns for each byte.")]
)
def test_the_sentence_gives_the_time_for_each_byte(size: int, each: str) -> None:
    frame = schema.frame([{"block_bytes": size, "latency_ns": latency} for latency in (500, 512, 90_000)])
    assert finding(frame).endswith(each)
