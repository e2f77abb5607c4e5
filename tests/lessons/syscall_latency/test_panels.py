# SPDX-License-Identifier: Apache-2.0
"""Lesson 06's panels on the running kernel."""

from __future__ import annotations

import pytest

from labkit import schema
from labkit.errors import BadArgument
from labkit.lessons import syscall_latency


@pytest.mark.bpf
def test_two_runs_are_next_to_each_other() -> None:
    made = syscall_latency.panel()
    made.controls["block_bytes"].value = (4096, 65536)
    made.controls["seconds"].value = 0.02
    for _ in range(2):
        made.run()
        made.wait(300)
        assert made._message.value == ""
    assert made.frame["run"].tolist() == [1] * 4 + [2] * 4
    assert (made.frame["count"] == made.frame["ios"]).all()
    last = made.frame[made.frame["run"] == 2]
    assert f"The timer counted {last['count'].sum()} calls" in made._result.value


@pytest.mark.bpf
def test_the_heat_map_reports_the_neighbour() -> None:
    made = syscall_latency.panel("heat map")
    made.controls["seconds"].value = 0.6
    for neighbour, told in ((True, "next to the neighbour"), (False, "no neighbour disturbed them")):
        made.controls["neighbour"].value = neighbour
        made.run()
        made.wait(300)
        assert made._message.value == ""
        assert told in made._result.value


@pytest.mark.bpf
def test_the_stages_show_where_most_of_the_time_goes() -> None:
    made = syscall_latency.panel("stages")
    made.controls["ios"].value = 23
    made.run()
    made.wait(300)
    assert made._message.value == ""
    assert "Most of the time goes to" in made._result.value
    assert 23 <= len(made.frame) <= 2 * 23  # one of which a record is missing is left out: see test_measure.py


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (
            (4096,),
            "O_DIRECT 4.1 µs (95 % interval 4.1 µs to 8.19 µs); page cache, warm 40 ns (95 % interval 40 ns to 80 ns).",
        ),
        (
            (4096, 65536),
            "O_DIRECT: blocks of 4 KiB take 4.1 µs (95 % interval 4.1 µs to 8.19 µs) each, 1 MiB per second; "
            "blocks of 64 KiB take 65.5 µs (95 % interval 65.5 µs to 131 µs) each, 16 MiB per second.",
        ),
    ],
)
def test_the_sentence_compares_sizes_on_one_way_to_the_file(sizes: tuple[int, ...], said: str) -> None:
    rows = [
        {
            "cache": way,
            "block_bytes": size,
            "ios": 23,
            "count": 23,
            "p50_ns": size // by,
            "low_p50_ns": size // by,
            "high_p50_ns": 2 * (size // by),
            "bytes_per_s": size * 256.0,
        }
        for way, by in (("direct", 1), ("warm", 100))
        for size in sizes
    ]
    finding = syscall_latency.panel()._finding
    assert finding is not None
    assert finding(schema.frame(rows)).endswith(said)


def test_an_unknown_subject_is_named() -> None:
    with pytest.raises(BadArgument, match="did you mean 'stages'"):
        syscall_latency.panel("stage")
