# SPDX-License-Identifier: Apache-2.0
"""Lesson 00's panel reports what the lesson asks about: the time per byte."""

from __future__ import annotations

import pandas as pd
import pytest

from labkit import schema
from labkit.lessons.start.panels import by_run, finding
from labkit.lessons.start.plots import plot
from labkit.notebook.plotting import style


@pytest.mark.parametrize(
    ("size", "each"), [(1024, "took 512 ns or less: 0.5 ns per byte."), (256, "512 ns or less: 2 ns per byte.")]
)
def test_the_sentence_gives_the_time_for_each_byte(size: int, each: str) -> None:
    frame = schema.frame([{"block_bytes": size, "latency_ns": latency} for latency in (500, 512, 90_000)])
    assert finding(frame).endswith(each)


def runs(*sizes: int) -> pd.DataFrame:
    rows = [
        {"run": number, "block_bytes": size, "time_ns": 1_000_000 + at, "latency_ns": size // 2}
        for number, size in enumerate(sizes, 1)
        for at in range(3)
    ]
    return schema.frame(rows)


def test_the_table_has_one_row_per_run_and_the_newest_first() -> None:
    shown = by_run(runs(1024, 65536))
    assert shown[["run", "block_bytes", "blocks"]].to_numpy().tolist() == [[2, 65536, 3], [1, 1024, 3]]
    assert shown["ns_per_byte"].tolist() == [0.5, 0.5]
    assert finding(runs(65536, 1024)).startswith("Half of the 3 reads of 1 KiB")
    assert finding(runs(1024).head(1)).startswith("The one read of 1 KiB took 512 ns: ")


def test_the_plot_names_each_run_and_its_block_size() -> None:
    ax = plot(runs(1024, 65536), style.figure().subplots())
    assert [name.partition(":")[0] for name in ax.get_legend_handles_labels()[1]] == ["run 1, 1 KiB", "run 2, 64 KiB"]


def test_a_single_read_has_an_axis_of_time_that_can_be_read() -> None:
    ax = plot(runs(1024).head(1), style.figure().subplots())
    assert ax.get_xlim()[1] >= 1000
