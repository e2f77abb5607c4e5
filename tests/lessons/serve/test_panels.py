# SPDX-License-Identifier: Apache-2.0
"""Lesson 11's panels on the running kernel."""

from __future__ import annotations

from html import unescape

import pytest

from labkit.errors import BadArgument
from labkit.lessons import serve
from labkit.notebook.panel.panel import Panel


def finished(made: Panel) -> str:
    """Run a panel to its end and return what it says."""
    made.run()
    made.wait(600)
    assert made._message.value == ""
    return unescape(made._result.value)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")


def test_it_compares_the_ways_that_are_chosen() -> None:
    made = serve.panel()
    made.controls["way"].value = ("threads", "epoll")
    made.controls["slices"].value = 2
    assert "16 connections, 64 B: the requests per second, compared with epoll: threads" in finished(made)
    assert set(made.frame["arm"]) == {"threads", "epoll", "epoll (again)"}


def test_one_way_alone_is_not_compared() -> None:
    made = serve.panel()
    made.controls["way"].value = ("threads",)
    made.controls["slices"].value = 2
    assert "Choose a second way to compare with." in finished(made)


def test_it_offers_a_rate() -> None:
    made = serve.panel("offered rate")
    made.controls["share"].value = (0.2,)
    made.controls["slices"].value = 2
    made.controls["slice_s"].value = 0.05
    finished(made)
    assert made.frame["loop"].tolist() == ["closed", "closed", "open"]


def test_a_subject_that_does_not_exist_is_refused_in_words() -> None:
    with pytest.raises(BadArgument, match="did you mean 'ways'"):
        serve.panel("way")
