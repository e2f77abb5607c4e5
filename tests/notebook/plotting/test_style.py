# SPDX-License-Identifier: Apache-2.0
"""Axes speak of KiB and µs, styles differ in more than colour, figures carry twice the pixels."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from labkit import schema
from labkit.notebook.plotting import style


def tick_texts(column: str, values: list[float], **how: object) -> list[str]:
    drawn = style.figure()
    ax = style.axes(drawn.subplots())
    ax.plot(values, values)
    style.axis(ax, "x", column, **how)  # type: ignore[arg-type]
    drawn.draw_without_rendering()
    low, high = ax.get_xlim()
    return [label.get_text() for label in ax.get_xticklabels() if low <= label.get_position()[0] <= high]


def test_bytes_are_marked_at_powers_of_two() -> None:
    assert "4 KiB" in tick_texts("block_bytes", [512, 2**20], log=2, ticks=[512, 4096, 2**20])
    assert tick_texts("block_bytes", [0, 2**20])[-1] == "1 MiB"


def test_durations_are_marked_in_the_unit_people_say() -> None:
    assert {"10 µs", "100 µs"} <= set(tick_texts("latency_ns", [8_000, 300_000], log=10))


def test_a_short_logarithmic_axis_has_several_marks() -> None:
    assert {"5 µs", "10 µs", "20 µs"} <= set(tick_texts("latency_ns", [4_000, 40_000], log=10))
    assert {"8 µs", "10 µs", "15 µs"} <= set(tick_texts("latency_ns", [7_900, 16_000], log=10))
    assert {"300 µs", "1 ms", "3 ms"} <= set(tick_texts("latency_ns", [125_000, 4_200_000], log=10))


def test_marks_do_not_touch_next_to_names_of_rows() -> None:
    drawn = style.figure()
    made = style.split(style.axes(drawn.subplots()))
    for ax in made:
        ax.plot([225, 765], [0, 1])
        ax.set_yticks([0, 1], ["hash with increment()", "no program (again)"])
        style.axis(ax, "x", "ns_per_call")
    drawn.draw_without_rendering()
    for ax in made:
        boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
        assert all(left.x1 + left.height / 2 < right.x0 for left, right in pairwise(boxes))


def test_counts_are_marked_without_decimals() -> None:
    assert all("." not in text for text in tick_texts("count", [0, 23]))


def test_the_axis_says_what_the_schema_says() -> None:
    ax = style.axes(style.figure().subplots())
    style.axis(ax, "y", "latency_ns")
    assert ax.get_ylabel() == schema.label("latency_ns")


def test_too_many_ticks_are_thinned_to_what_fits() -> None:
    blocks = [2.0**n for n in range(9, 23)]
    assert len(tick_texts("block_bytes", blocks, log=2, ticks=blocks)) <= 11


def test_no_two_series_share_a_colour_a_marker_or_a_line() -> None:
    made = list(style.series(["a", "b", "c", "d", "e"]).values())
    for what in ("color", "marker", "linestyle"):
        assert len({str(how[what]) for how in made}) == 5


def test_bars_differ_in_hatching_too() -> None:
    assert len({how["hatch"] for how in style.bars("abcd").values()}) == 4


def test_the_picture_has_two_pixels_for_each_of_the_screen() -> None:
    drawn = style.figure()
    width, height = struct.unpack(">II", style.png(drawn)[16:24])
    assert (width, height) == tuple(2 * int(side * 100) for side in style.SIZE_IN)


def test_a_picture_comes_with_what_is_written_on_it() -> None:
    drawn = style.figure()
    for ax, title in zip(drawn.subplots(1, 2), ('Reads of 4 KiB & "more"', "Writes"), strict=True):
        for name in ("sync", "io_uring"):
            ax.plot([1, 2], [1, 2], label=name)
        style.axis(ax, "y", "latency_ns")
        style.finish(ax, pd.DataFrame(), title=title)
    assert style.words(drawn).startswith('Plot. Reads of 4 KiB & "more". Up: latency. Series: sync, io_uring. Writes.')
    assert 'alt="Plot. Reads of 4 KiB &amp; &quot;more&quot;. Up: ' in style.image(drawn)


def test_a_figure_without_a_layout_is_not_cut() -> None:
    import matplotlib.pyplot as plt

    drawn, ax = plt.subplots(figsize=(3, 2))
    ax.set_ylabel("a label\nof many\nlines\nbeside\nthe axis\nthat\nneeds\nroom")
    assert struct.unpack(">I", style.png(drawn)[16:20])[0] > 600
    plt.close(drawn)


def test_a_recording_says_so_on_the_picture() -> None:
    frame = pd.DataFrame()
    frame.attrs.update(recorded=True, kernel="1.2.3")
    ax = style.finish(style.axes(style.figure().subplots()), frame, title="Counts")
    assert "RECORDED on kernel 1.2.3" in ax.get_title(loc="left")


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 1), (2, 2)])
def test_split_puts_a_grid_in_the_place_of_the_axes(rows: int, columns: int) -> None:
    drawn = style.figure()
    made = style.split(style.axes(drawn.subplots()), rows, columns)
    assert drawn.axes == made and len(made) == rows * columns


def test_figures_for_panels_are_unknown_to_pyplot() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    style.axes(style.figure().subplots()).plot(np.arange(3))
    assert plt.get_fignums() == before


@pytest.mark.parametrize("name", ["$x{$", "cost $5 and $6", r"$\frac$", "a$b$c_d^e", "$$", "\\$1$2"])
def test_names_with_dollars_are_drawn_as_they_are(name: str) -> None:
    ax = style.axes(style.figure().subplots())
    ax.plot([1, 2], [3, 4], label=name)
    ax.set_title(name)
    ax.set_xlabel(name)
    ax.set_xticks([1, 2], [name, "b"])
    ax.annotate(name, (1, 3))
    ax.legend()
    drawn = ax.get_figure()
    assert style.png(drawn)
    assert not any(text.get_parse_math() for text in drawn.findobj(Text) if name in text.get_text())


def test_the_powers_at_a_logarithmic_axis_stay_powers() -> None:
    ax = style.axes(style.figure().subplots())
    ax.plot([1, 1000], [1, 1000])
    ax.set_yscale("log")
    assert style.png(ax.get_figure())
    labels = [label for label in ax.get_yticklabels() if "mathdefault" in label.get_text()]
    assert labels and all(label.get_parse_math() for label in labels)


def test_a_figure_of_the_learners_own_keeps_its_formulas() -> None:
    drawn = Figure()
    title = drawn.subplots().set_title("$x^2$")
    assert style.png(drawn)
    assert title.get_parse_math()


def test_no_line_strikes_a_value_label_through() -> None:
    drawn = style.figure()
    ax = style.axes(drawn.subplots())
    [label] = ax.bar_label(ax.bar([0], [23]))
    inside = ax.text(0, 10, "in the bar", ha="center", va="center")
    style.png(drawn)
    assert [type(effect).__name__ for effect in label.get_path_effects()] == ["withStroke"]
    assert inside.get_path_effects() == []


def test_titles_of_recordings_next_to_each_other_do_not_overlap() -> None:
    drawn = style.figure()
    kept = schema.frame({"latency_ns": [1]}, recorded=True, kernel="6.18.44-some-long-name")
    pair = style.split(style.axes(drawn.subplots()))
    for ax in pair:
        style.finish(ax, kept, title="Median, quartiles")
    drawn.draw_without_rendering()
    left, right = (next(text for text in ax.findobj(Text) if "RECORDED" in text.get_text()) for ax in pair)
    assert left.get_window_extent().x1 < right.get_window_extent().x0


@pytest.mark.parametrize("interval", [(0.6, 1.5), (0.25, 4.0), (0.02, 127.0), (0.5, np.inf)])
def test_marks_of_ratios_fit_and_one_is_among_them(interval: tuple[float, float]) -> None:
    drawn = style.figure()
    ax = style.axes(drawn.subplots())
    ax.errorbar([1.0], [0], xerr=[[1 - interval[0]], [interval[1] - 1]])
    style.ratio_axis(ax)
    drawn.draw_without_rendering()
    low, high = ax.get_xlim()
    shown = [label for label in ax.get_xticklabels() if low <= label.get_position()[0] <= high]
    places = [label.get_window_extent() for label in shown]
    assert "1" in [label.get_text() for label in shown]
    assert all(left.x1 < right.x0 for left, right in pairwise(places))
