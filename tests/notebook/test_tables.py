# SPDX-License-Identifier: Apache-2.0
"""Tables, sentences and origins next to the plots."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from labkit import schema
from labkit.notebook.render import box
from labkit.notebook.tables import compared_ns, finding, listing, provenance, table, times


def test_a_table_writes_values_as_people_say_them() -> None:
    shown = table(schema.frame({"block_bytes": [4096], "latency_ns": [12_300]}))
    for text in (shown.text, shown.html):
        assert "4 KiB" in text and "12.3 µs" in text and "block size" in text


def test_a_long_table_says_how_much_is_not_shown() -> None:
    assert "18 more rows" in table(schema.frame({"count": range(23)}), rows=5).text


def test_a_missing_value_is_a_dash() -> None:
    assert "–" in table(schema.frame({"ratio": [float("nan")]})).text


def test_an_empty_frame_is_said_to_be_empty() -> None:
    assert "no rows" in table(pd.DataFrame()).text


def test_columns_can_be_chosen() -> None:
    shown = table(schema.frame({"count": [23], "pid": [1]}), columns=["count"])
    assert "process id" not in shown.text


def test_html_is_escaped() -> None:
    assert "<b>" not in table(schema.frame({"comm": ["<b>"]})).html


def test_heads_are_marked_as_heads_of_columns() -> None:
    assert '<th scope="col"' in table(schema.frame({"count": [23]})).html


def test_every_word_about_a_recording_says_recorded() -> None:
    frame = schema.frame({"count": [23]}, recorded=True, kernel="1.2.3", time="2031")
    for shown in (table(frame), finding("Yes.", frame), provenance(frame)):
        assert "RECORDED" in shown.text and "RECORDED" in shown.html and "1.2.3" in shown.text


def test_a_frame_that_says_itself_what_was_lost_says_it_once() -> None:
    frame = schema.frame({"count": [23]}, lost_events=7, warnings=["Up to 7 events were lost."])
    assert provenance(frame).text.splitlines()[1:] == ["Warning: Up to 7 events were lost."]


def test_origin_tells_lost_events_and_warnings() -> None:
    frame = schema.frame({"count": [23]}, kernel="1.2.3", cpus=2, lost_events=7, warnings=["the CPU was shared"])
    shown = provenance(frame)
    assert "lost events: 7" in shown.text and "counts are too low" in shown.text and "the CPU was shared" in shown.html


@pytest.mark.parametrize("form", ["text", "html"])
def test_a_table_tells_below_itself_what_to_beware_of_and_each_thing_once(form: str) -> None:
    frame = schema.frame({"ratio": [1.5]}, warnings=["A/A: <noise>", "one CPU", "A/A: <noise>"])
    said = getattr(table(frame), form)
    noise = "Warning: A/A: &lt;noise&gt;" if form == "html" else "Warning: A/A: <noise>"
    assert said.count(noise) == said.count("Warning: one CPU") == 1
    assert said.index("1.5") < said.index(noise) < said.index("one CPU")


def test_a_warning_below_a_table_has_the_colours_of_all_warnings() -> None:
    assert table(schema.frame({"ratio": [1.5]}, warnings=["w"])).html.endswith(box("warning", "Warning: w"))


def test_what_to_beware_of_stands_below_an_empty_table_and_a_part_of_a_frame_too() -> None:
    assert "Warning: w" in table(schema.frame({"count": []}, warnings=["w"])).text
    frame = schema.frame({"count": [23, 29], "pid": [1, 2]}, warnings=["w"])
    assert "Warning: w" in table(frame[frame["pid"] == 1], ["count"]).text


def test_a_table_beside_something_that_warns_can_be_silent() -> None:
    shown = table(schema.frame({"count": [23]}, warnings=["w"]), warn=False)
    assert "Warning" not in shown.text + shown.html


def test_origin_tells_each_warning_once() -> None:
    assert provenance(schema.frame({"count": [23]}, warnings=["w", "w"])).text.count("Warning: w") == 1


def test_a_frame_that_knows_nothing_of_itself_has_an_empty_origin() -> None:
    assert provenance(pd.DataFrame()).text.strip() == ""


@pytest.mark.parametrize(
    ("names", "said"), [([], "nothing"), (["a"], "a"), (["a", "b"], "a and b"), ("abc", "a, b and c")]
)
def test_names_are_listed_as_a_sentence_has_them(names: list[str], said: str) -> None:
    assert listing(names) == said


def test_a_ratio_is_said_with_its_interval() -> None:
    assert times(1.873, 1.71, 2.02) == "1.87 times (95 % interval 1.71 to 2.02)"
    assert times(1.05, 1.0004, 1.11) == "1.05 times (95 % interval 1.0004 to 1.11)"
    assert times(2657.3, 943.2, 14_250.0) == "2,660 times (95 % interval 943 to 14,200)"
    assert "0.5 to 1: no difference shown" in times(0.9, 0.5, 1.0)


def test_the_range_of_a_few_slices_is_not_called_an_interval() -> None:
    assert times(3.76, 1.51, 9.38, 2) == "3.76 times (range of 2 slices, too few to be sure: 1.51 to 9.38)"
    assert times(3.76, 1.51, 9.38, 6) == times(3.76, 1.51, 9.38)


@pytest.mark.parametrize("interval", [(0.97, 1.05), (1.0, 1.2), (0.8, 1.0)])
def test_an_interval_that_holds_one_shows_no_difference(interval: tuple[float, float]) -> None:
    assert times(1.02, *interval).endswith(": no difference shown)")


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (100.0, "two: a call takes 100 ns more than with one (95 % interval 100 ns to 100 ns)."),
        (-50.0, "two: a call takes 50 ns less than with one (95 % interval 50 ns to 50 ns)."),
        (0.0, "Between two and one no difference was shown (95 % interval 0 ns to 0 ns)."),
    ],
)
def test_two_arms_are_compared_in_words(added: float, said: str) -> None:
    rows = [{"arm": "one", "slice": n, "ns_per_call": 200.0 + n} for n in range(6)]
    rows += [{"arm": "two", "slice": n, "ns_per_call": 200.0 + n + added} for n in range(6)]
    assert compared_ns(pd.DataFrame(rows), "two", "one") == said
    assert "too few to be sure" in compared_ns(pd.DataFrame([row for row in rows if row["slice"] < 2]), "two", "one")


def test_a_gap_in_whole_numbers_is_a_dash() -> None:
    frame = schema.frame({"probe": ["a", "b"], "latency_ns": [float("nan"), 20_000]})
    assert frame["latency_ns"].tolist()[1] == 20_000
    assert "–" in table(frame).text and "20 µs" in table(frame).text


def test_heads_wrap_so_that_the_columns_after_them_stay_in_sight() -> None:
    html = table(schema.frame({"arm": ["a" * 40], "kernel_cpu_ns_per_io": [1.0]}))._repr_html_()
    heads = re.findall(r"<th [^>]*style=\"([^\"]*)\"", html)
    assert [re.findall(r"white-space: (\w+)", head)[-1] for head in heads] == ["normal", "normal"]
    assert re.findall(r"<td style=\"[^\"]*min-width: (\w+)", html) == ["14em"]  # nor is a text a column of single words
