# SPDX-License-Identifier: Apache-2.0
"""The button "Will it load elsewhere?" below an accepted cell; the machines are played."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from labkit.bpf.elsewhere.guest import ACCEPTED, REFUSED
from labkit.bpf.elsewhere.plan import Boot, Candidate
from labkit.bpf.elsewhere.trial import Answer
from labkit.errors import Missing
from labkit.machine.kernels.emulated import Tick
from labkit.notebook import elsewhere
from labkit.notebook.elsewhere import Elsewhere

HERE = Answer("this machine", "6.18.0", ACCEPTED, "", 0.0)


def machine(verdict: str, headline: str) -> Boot:
    def boot(out: Path, given: dict[str, str], timeout_s: float, tick: Tick) -> bool:
        out.mkdir(parents=True)
        told = {"release": "5.10.0", "verdict": verdict, "headline": headline, "fix": "", "seconds": 1.0}
        (out / "answer.json").write_text(json.dumps(told) + "\n")
        return True

    return boot


@pytest.fixture
def asked(tmp_path: Path) -> Elsewhere:
    (tmp_path / "opens.c").write_text("// %%bpf opens\n")
    return Elsewhere(tmp_path / "opens.c", {}, HERE)


def finish(asked: Elsewhere) -> None:
    asked.start()
    for thread in threading.enumerate():
        if thread.name == f"labkit panel: {asked.title}":
            thread.join(60)
    assert not asked.is_running


def test_the_verdicts_are_shown_side_by_side(asked: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = [
        Candidate("5.10", machine(REFUSED, "line 5: no such <helper>")),
        Candidate("sid", None, "not in the cache"),
    ]
    monkeypatch.setattr(elsewhere, "candidates", lambda: tried)
    finish(asked)
    for words in ("this machine", "refused", "line 5: no such &lt;helper&gt;", "not in the cache", "not tried"):
        assert words in asked.html
    assert "all were asked" in asked.status


def test_stop_ends_it_and_says_so(asked: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = threading.Event()

    def boot(out: Path, given: dict[str, str], timeout_s: float, tick: Tick) -> bool:
        while True:
            tick(1.0)
            ticking.set()

    monkeypatch.setattr(elsewhere, "candidates", lambda: [Candidate("5.10", boot)])
    asked.start()
    assert ticking.wait(30)
    asked.close()
    assert not asked.is_running
    assert "stopped" in asked.status


def test_where_nothing_can_be_booted_the_command_is_shown(asked: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> list[Candidate]:
        raise Missing("No kernel is in the cache: 5.10.", "labkit elsewhere --fetch --kernels 5.10")

    monkeypatch.setattr(elsewhere, "candidates", none)
    finish(asked)
    assert "labkit elsewhere --fetch --kernels 5.10" in asked.html
