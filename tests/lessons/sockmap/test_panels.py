# SPDX-License-Identifier: Apache-2.0
"""Lesson 09's panels on the running kernel."""

from __future__ import annotations

from html import unescape

import pytest

from labkit.errors import BadArgument
from labkit.lessons import sockmap
from labkit.lessons._redis import server
from labkit.notebook.panel.panel import Panel

pytestmark = [pytest.mark.bpf, pytest.mark.programs_kept]


def finished(made: Panel) -> Panel:
    made.run()
    made.wait(600)
    assert made._message.value == ""
    return made


@pytest.mark.parametrize(
    ("subject", "said"),
    [("round trips", "The shortcut's speed in round trips, compared"), ("streams", "The shortcut's bytes per second")],
)
def test_it_measures_the_three_ways(subject: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")
    made = sockmap.panel(subject)
    made.controls["message_bytes"].value = (4096,)
    made.controls["slices"].value = 2
    frame = finished(made).frame
    shortcut = frame[frame["arm"] == sockmap.SHORTCUT]
    assert (shortcut["redirects"] == shortcut["messages"]).all()
    assert said in unescape(made._result.value)


@pytest.mark.skipif(bool(server.why_not()), reason=server.why_not())
def test_it_measures_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")
    made = sockmap.panel("Redis")
    made.controls["pipeline"].value = (16,)
    made.controls["slices"].value = 2
    assert "The shortcut's requests per second, compared with TCP's" in unescape(finished(made)._result.value)


def test_the_switch_can_be_turned_while_messages_flow() -> None:
    made = sockmap.panel("switch")
    made.controls["seconds"].value = 600
    shown = made.show

    def turn_and_show(frame) -> None:
        shown(frame)
        made.controls["on"].value = len(frame) % 2 == 1
        if len(frame) == 4:
            made.stop()

    made.show = turn_and_show
    arms = finished(made).frame["arm"].tolist()
    assert arms[:4] == [sockmap.TCP, sockmap.SHORTCUT] * 2


def test_what_cannot_take_effect_during_a_run_is_disabled_then_and_stop_keeps_the_windows() -> None:
    made = sockmap.panel("switch")
    made.controls["seconds"].value = 600
    seen, disabled = made.show, []

    def look_and_stop(frame) -> None:
        seen(frame)
        disabled.append([name for name, control in made.controls.items() if control.disabled])
        if len(frame) == 3:
            made.stop()

    made.show = look_and_stop
    frame = finished(made).frame
    assert disabled[0] == ["message_bytes", "pinning", "seconds"]
    assert len(frame) >= 3 and not any(control.disabled for control in made.controls.values())
    assert "Nothing was kept" not in made._message.value and "Median round trip" in made._result.value


def test_a_subject_that_does_not_exist_is_refused_in_words() -> None:
    with pytest.raises(BadArgument, match="did you mean 'streams'"):
        sockmap.panel("stream")
