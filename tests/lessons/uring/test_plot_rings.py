# SPDX-License-Identifier: Apache-2.0
"""The drawing of the two rings: each read is in one place, and the words say which."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from labkit import schema
from labkit.lessons.uring.panel_rings import player
from labkit.lessons.uring.plot_rings import moments, picture, pictures
from labkit.lessons.uring.plots import plot
from labkit.notebook.plotting.style import figure

# what the reader does with three blocks at depth two; (action, sq_head, sq_tail, cq_head, cq_tail, request)
STEPS = [
    ("fill", 0, 0, 0, 0, 0),
    ("fill", 0, 0, 0, 0, 1),
    ("submit", 2, 2, 0, 0, -1),
    ("wait", 2, 2, 0, 1, -1),
    ("seen", 2, 2, 1, 1, 1),
    ("fill", 2, 2, 1, 1, 1),
    ("submit", 2, 3, 1, 1, -1),
    ("wait", 3, 3, 1, 3, -1),
    ("seen", 3, 3, 2, 3, 0),
    ("wait", 3, 3, 2, 3, -1),
    ("seen", 3, 3, 3, 3, 1),
]


def steps() -> pd.DataFrame:
    names = ("action", "sq_head", "sq_tail", "cq_head", "cq_tail", "request")
    rows = [
        {"step": number, **dict(zip(names, step, strict=True)), "elapsed_ns": number, "sq_entries": 2, "cq_entries": 4}
        for number, step in enumerate(STEPS)
    ]
    return schema.frame(rows)


def test_each_read_is_in_one_place_at_a_time() -> None:
    for moment in moments(steps()):
        everywhere = [*moment.filled, *moment.submitted, *moment.in_flight, *moment.results.values()]
        assert len(everywhere) == len(set(everywhere))


def test_reads_move_from_place_to_place() -> None:
    seen = moments(steps())
    assert seen[1].filled == [0, 1]
    assert seen[2].in_flight == [0, 1]
    assert (seen[3].in_flight, seen[3].results) == ([0], {0: 1})  # the second read ended first
    assert (seen[6].submitted, seen[6].in_flight) == ([2], [0])  # submitted, and not yet consumed
    assert seen[7].results == {1: 0, 2: 2}
    assert seen[10].results == {} and seen[10].in_flight == []


def test_the_words_say_what_the_step_did() -> None:
    words = [moment.words for moment in moments(steps())]
    assert words[0].startswith("read 0 is filled in")
    assert "tail to 2" in words[2] and "head to 2" in words[2]
    assert words[3].startswith("1 result is")
    assert words[7].startswith("2 results are")
    assert "result of read 1" in words[4] and "result of read 0" in words[8] and "result of read 2" in words[10]


@pytest.mark.parametrize("entries", [1, 2, 8, 64])
def test_a_picture_has_a_slot_for_each_entry_and_its_words_for_who_cannot_see_it(entries: int) -> None:
    drawn = picture(moments(steps())[3], entries, 2 * entries)
    assert drawn.count('stroke-width="1"') == 3 * entries
    label = re.search(r'role="img" aria-label="([^"]+)"', drawn)
    assert label is not None and label[1].startswith("Step 3, wait: 1 result is")


def test_the_player_draws_the_step_that_it_is_moved_to() -> None:
    shown = player(steps())
    assert "Step 0, fill" in shown.drawing
    shown.step.value = 7
    assert "Step 7, wait: 2 results are" in shown.drawing
    assert shown.step.max == len(STEPS) - 1


def test_without_a_browser_there_are_still_pictures_and_every_step_in_words() -> None:
    bundle = player(steps())._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert bundle["text/html"].count("<svg") == bundle["text/html"].count("</svg>") == 6
    assert len(bundle["text/plain"].splitlines()) == len(STEPS)
    assert pictures(steps()) == bundle["text/html"]


def test_another_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"uring\.steps\(\)"):
        player(pd.DataFrame({"x": [1]}))


def test_the_plot_has_a_line_for_each_head_and_tail() -> None:
    ax = plot(steps(), figure().subplots())
    drawn = {str(line.get_label()): line.get_ydata().tolist() for line in ax.lines}
    assert drawn["submission tail"] == [step[2] for step in STEPS]
    assert drawn["completion head"] == [step[3] for step in STEPS]
    assert len(drawn) == 4
