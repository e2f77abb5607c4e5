# SPDX-License-Identifier: Apache-2.0
"""Lesson 12's panel: it watches the program that it is given, and reports what that cost."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from obedient import Obedient

from labkit import schema
from labkit.lessons import your_program
from labkit.lessons.your_program.panels import finding
from labkit.running.cgroup import Cgroup


@pytest.mark.bpf
@pytest.mark.anywhere
def test_it_watches_a_command_and_says_the_price() -> None:
    made = your_program.panel()
    made.controls["command"].value = "cat /dev/null"
    made.run()
    made.wait(600)
    assert made._message.value == ""
    said = unescape(made._result.value)
    assert "The longest time" in said and "No event was lost." in said
    assert made.frame.set_index("call")["count"]["fadvise64"] == 1


PRICE = {"probe_runs": 7, "probe_ns": 700, "elapsed_s": 1.0}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"call": "read", "count": 3, "total_ns": 23_000_000}, "The longest time, 23 ms: read."),
        ({"lock": "0x7f", "pid": 1, "count": 3, "total_ns": 23_000_000}, "23 ms: 3 waits for the lock at 0x7f."),
        (
            {"local_port": 97, "remote_port": 23, "count": 7, "rtt_ns": 5000, "mean_ns": 4000},
            "On the connection from port 97 to port 23, a round trip took ",
        ),
        ({"stack": "main", "count": 3}, "There is one stack."),
    ],
)
def test_the_sentence_says_what_is_largest(row: dict[str, Any], said: str) -> None:
    frame = schema.frame([row | PRICE], lost_events=0)
    assert said in finding(frame)
    frame.attrs |= {"lost_events": 23, "warnings": ["Up to 23 events were lost: the counts may be too small by that."]}
    assert finding(frame).count("lost") == 1


@pytest.mark.bpf
@pytest.mark.anywhere
def test_it_watches_a_cgroup(obedient: Obedient) -> None:
    made = your_program.panel()
    made.controls["seconds"].value = 0.5
    with Cgroup() as cgroup:
        cgroup.add(obedient.process.pid)
        folder = str(cgroup.path)
        made.controls["cgroup"].value = folder
        made.controls["pid"].value = obedient.process.pid
        made.run()
        made.wait(600)
        assert "two targets" in unescape(made._message.value)
        made.controls["pid"].value = 0
        made.run()
        made.wait(600)
    assert made._message.value == "" and "Nothing was seen." in unescape(made._result.value)
    assert made.frame.attrs["command"] == f"cgroup {folder}"


@pytest.mark.parametrize(("command", "said"), [("", "no command"), ("'", "no command"), ("nothing-here", "not exist")])
def test_a_bad_command_is_refused_in_the_panel(command: str, said: str) -> None:
    made = your_program.panel()
    made.controls["command"].value = command
    made.run()
    made.wait(600)
    assert said in unescape(made._message.value)
