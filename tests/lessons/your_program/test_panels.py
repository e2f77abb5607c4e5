# SPDX-License-Identifier: Apache-2.0
"""Lesson 12's panel: it watches what it is given, and says what that cost."""

from __future__ import annotations

from html import unescape

import pytest

from labkit.lessons import your_program


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


@pytest.mark.parametrize(("command", "said"), [("", "no command"), ("'", "no command"), ("nothing-here", "not exist")])
def test_a_bad_command_is_refused_in_the_panel(command: str, said: str) -> None:
    made = your_program.panel()
    made.controls["command"].value = command
    made.run()
    made.wait(600)
    assert said in unescape(made._message.value)
