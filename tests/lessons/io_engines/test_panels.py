# SPDX-License-Identifier: Apache-2.0
"""Lesson 07's panels on the running kernel."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest

from labkit.errors import BadArgument
from labkit.lessons import io_engines
from labkit.notebook.panel.panel import Panel
from labkit.running.workload import Workload


def settled(made: Panel) -> None:
    made.run()
    made.wait(300)
    assert made._message.value == ""


@pytest.mark.bpf
def test_runs_are_next_to_each_other_until_they_are_cleared(data_folder: Path) -> None:
    made = io_engines.panel()
    made.controls["engine"].value = ("sync", "io_uring")
    made.controls["block_bytes"].value = (4096, 65536)
    made.controls["queue_depth"].value = (4,)
    made.controls["seconds"].value = 0.01
    settled(made)
    made.controls["operation"].value = "write"
    settled(made)
    assert made.frame["run"].tolist() == [1] * 5 + [2] * 5
    assert made.frame.groupby("run")["operation"].unique().str[0].tolist() == ["read", "write"]
    assert (made.frame["bytes"] == made.frame["ios"] * made.frame["block_bytes"]).all()
    assert "bytes per second as" in made._result.value or "no difference was shown" in made._result.value

    made.save()
    (path,) = data_folder.glob("three-ways-to-read-*.csv")
    try:
        assert len(pd.read_csv(path)) == 10
    finally:
        path.unlink()
    made.clear()
    assert made.frame.empty and made._result.value == ""


@pytest.mark.bpf
def test_stop_in_mid_run_leaves_no_process_and_no_file(monkeypatch: pytest.MonkeyPatch, data_folder: Path) -> None:
    running = threading.Event()
    started: list[Workload] = []
    plain = Workload.start

    def start(self: Workload) -> None:
        plain(self)
        started.append(self)
        running.set()

    monkeypatch.setattr(Workload, "start", start)
    made = io_engines.panel()
    made.controls["seconds"].value = 10.0
    made.run()
    assert running.wait(300)
    pid = started[0].pid
    made.stop()
    made.wait(300)
    assert "Stopped" in made._message.value
    assert made.frame.empty
    assert not Path(f"/proc/{pid}").exists()
    assert list(data_folder.glob("labkit-*")) == []


@pytest.mark.bpf
def test_settings_that_cannot_be_are_told_in_the_panel() -> None:
    made = io_engines.panel()
    made.controls["block_bytes"].value = ()
    made.run()
    assert "Choose at least one: block sizes." in made._message.value


def test_the_lanes_say_how_many_were_in_flight() -> None:
    made = io_engines.panel("lanes")
    made.controls["ios"].value = 23
    made.controls["queue_depth"].value = 4
    settled(made)
    assert "Most I/Os in flight at once: sync 1, libaio 4, io_uring 4." in made._result.value
    assert len(made.frame) == 3 * 23


def test_an_unknown_subject_is_named() -> None:
    with pytest.raises(BadArgument, match="did you mean 'lanes'"):
        io_engines.panel("lane")


def test_every_choice_is_one_that_the_experiment_takes() -> None:
    controls = io_engines.panel().controls
    assert [value for _, value in controls["cache"].options] == list(io_engines.CACHES)
    assert [value for _, value in controls["engine"].options] == [*io_engines.ENGINES, "pool"]
