# SPDX-License-Identifier: Apache-2.0
"""A panel runs what it should, when it should, and ends it on request."""

from __future__ import annotations

import base64
import re
import threading
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import pytest

from labkit import schema
from labkit.errors import BadArgument, check_int
from labkit.lessons import hello
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

WAIT_S = 20.0


class Machine:
    """A measurement that waits until the test lets it continue."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.go_on = threading.Event()
        self.ended: list[str] = []
        self.calls: list[dict[str, Any]] = []

    def measure(self, *, progress: Any, **values: Any) -> pd.DataFrame:
        self.calls.append(values)
        try:
            while not self.go_on.is_set():
                progress(0.5, "halfway")
                self.started.set()
                self.go_on.wait(0.01)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("done")
        count = values.get("runs", 23)
        return schema.frame({"phase": ["during"], "count": [count]}, kernel="1.2.3", lost_events=0, warnings=["w"])


@pytest.fixture
def machine() -> Any:
    made = Machine()
    yield made
    made.go_on.set()


def panel(machine: Machine, title: str = "Test", **more: Any) -> Panel:
    runs = controls.whole("runs", 23, 1, 100)
    return Panel(
        title, {"runs": runs}, machine.measure, hello.plot, lambda frame: f"It saw {frame['count'].sum()}.", **more
    )


def finish(made: Panel, machine: Machine) -> Panel:
    machine.go_on.set()
    made.wait(WAIT_S)
    return made


def start(made: Panel, machine: Machine) -> Panel:
    made._run_button.click()
    assert machine.started.wait(WAIT_S)
    return made


def test_nothing_runs_before_run_is_pressed(machine: Machine) -> None:
    made = panel(machine)
    made.controls["runs"].value = 42
    made._repr_mimebundle_()
    assert machine.calls == [] and made.frame.empty


def test_run_passes_the_values_of_the_controls(machine: Machine) -> None:
    made = panel(machine)
    made.controls["runs"].value = 42
    finish(start(made, machine), machine)
    assert machine.calls == [{"runs": 42}]


def test_several_values_come_as_a_list(machine: Machine) -> None:
    blocks = controls.several("block_bytes", [512, 4096], [4096])
    finish(start(Panel("Test", {"block_bytes": blocks}, machine.measure), machine), machine)
    assert machine.calls == [{"block_bytes": [4096]}]


def test_frame_plot_sentence_table_and_origin_are_shown(machine: Machine) -> None:
    made = finish(start(panel(machine), machine), machine)
    html = made._result.value
    assert made.frame["count"].tolist() == [23]
    assert "It saw 23." in html and "<table" in html and "Linux 1.2.3" in html and "lost events: 0" in html
    assert html.count("Warning: w") == 1
    picture = re.search(r'<img class="labkit-plot" alt="Test. It saw 23." src="data:image/png;base64,([^"]+)"', html)
    assert picture and base64.b64decode(picture[1]).startswith(b"\x89PNG")


def test_while_it_runs_run_is_closed_and_stop_is_open(machine: Machine) -> None:
    made = start(panel(machine), machine)
    assert made._run_button.disabled and not made._stop_button.disabled
    assert made._bar.layout.display is None
    finish(made, machine)
    assert not made._run_button.disabled and made._stop_button.disabled
    assert made._bar.layout.display == "none"


def test_progress_is_shown(machine: Machine) -> None:
    made = start(panel(machine), machine)
    assert made._bar.value == 0.5
    assert "50%, halfway" in made._status.value


def test_a_second_press_starts_nothing(machine: Machine) -> None:
    made = start(panel(machine), machine)
    made.run()
    finish(made, machine)
    assert len(machine.calls) == 1


def test_stop_ends_the_measurement_and_keeps_the_earlier_frame(machine: Machine) -> None:
    made = finish(start(panel(machine), machine), machine)
    machine.go_on.clear()
    machine.started.clear()
    start(made, machine)
    made._stop_button.click()
    made.wait(WAIT_S)
    assert machine.ended == ["done", "Stopped"]
    assert "Stopped" in made._message.value and made.frame["count"].tolist() == [23]
    assert not made._run_button.disabled


def test_it_can_run_again_after_stop(machine: Machine) -> None:
    made = start(panel(machine), machine)
    made.stop()
    made.wait(WAIT_S)
    finish(start(made, machine), machine)
    assert machine.ended == ["Stopped", "done"] and made._message.value == ""


def test_what_breaks_because_of_stop_is_not_an_error() -> None:
    started, stopping = threading.Event(), threading.Event()

    def measure(*, progress: Any) -> pd.DataFrame:
        started.set()
        stopping.wait(WAIT_S)
        raise OSError("the workload is gone")

    made = Panel("Test", {}, measure)
    made.run()
    started.wait(WAIT_S)
    made.stop()
    stopping.set()
    made.wait(WAIT_S)
    assert "Stopped" in made._message.value


def test_a_new_panel_of_the_same_title_stops_the_old_one(machine: Machine) -> None:
    made = start(panel(machine), machine)
    panel(machine, "Another")
    assert not made._run.stopping.is_set()  # type: ignore[union-attr]
    panel(machine)
    made.wait(WAIT_S)
    assert machine.ended == ["Stopped"]


def test_closing_stops_it(machine: Machine) -> None:
    made = start(panel(machine), machine)
    made.close()
    made.wait(WAIT_S)
    assert machine.ended == ["Stopped"]


def test_an_error_shows_both_its_lines_and_its_evidence_in_a_fold() -> None:
    def measure(*, progress: Any) -> pd.DataFrame:
        raise BadArgument("runs=<-1> is not allowed.", "pass runs as more", "evidence")

    made = Panel("Test", {}, measure)
    made.run()
    made.wait(WAIT_S)
    assert "runs=&lt;-1&gt; is not allowed." in made._message.value
    assert "Fix: pass runs as more" in made._message.value
    assert re.search(r"<details>.*evidence.*</details>", made._message.value, re.DOTALL)
    assert not made._run_button.disabled


def test_an_unexpected_error_is_short_with_the_stack_in_a_fold() -> None:
    def measure(*, progress: Any) -> pd.DataFrame:
        raise ZeroDivisionError("by zero")

    made = Panel("Test", {}, measure)
    made.run()
    made.wait(WAIT_S)
    before, _, fold = made._message.value.partition("<details>")
    assert "ZeroDivisionError: by zero" in before and "Traceback" not in before
    assert "Traceback" in fold


def test_a_plot_that_fails_is_told_too(machine: Machine) -> None:
    def spoilt(frame: pd.DataFrame, ax: Any) -> None:
        raise KeyError("no such column")

    made = finish(start(Panel("Test", {}, machine.measure, spoilt), machine), machine)
    assert "KeyError" in made._message.value and not made._run_button.disabled


def test_a_bad_value_is_refused_by_the_measurement_itself() -> None:
    def measure(size: int, *, progress: Any) -> pd.DataFrame:
        check_int("size", size, 1, 10)
        return pd.DataFrame()

    made = Panel("Test", {"size": widgets.IntText(value=11)}, measure)
    made.run()
    made.wait(WAIT_S)
    assert "size=11 is not allowed" in made._message.value


def test_runs_accumulate_and_can_be_cleared(machine: Machine) -> None:
    made = finish(start(panel(machine, accumulate=True), machine), machine)
    made.controls["runs"].value = 7
    finish(start(made, machine), machine)
    assert made.frame[["run", "count"]].to_numpy().tolist() == [[1, 23], [2, 7]]
    assert made.frame.attrs["warnings"] == ["w"]
    made._clear_button.click()
    assert made.frame.empty and made._result.value == ""


def test_accumulated_runs_are_saved_as_csv(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    made = panel(machine, accumulate=True)
    made._save_button.click()
    assert "nothing to save" in made._message.value
    finish(start(made, machine), machine)
    made._save_button.click()
    [file] = tmp_path.glob("*.csv")
    assert str(file) in made._message.value
    assert pd.read_csv(file)["count"].tolist() == [23]


def test_the_plot_is_saved_as_a_picture(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    made = finish(start(panel(machine), machine), machine)
    made._save_plot_button.click()
    [file] = tmp_path.glob("*.png")
    assert str(file) in made._message.value
    assert file.read_bytes().startswith(b"\x89PNG")


def test_without_a_browser_a_panel_is_text(machine: Machine) -> None:
    bundle = panel(machine)._repr_mimebundle_()
    for kind in ("text/plain", "text/html"):
        assert "Panel: Test" in bundle[kind] and "runs: 23" in bundle[kind] and "JupyterLab" in bundle[kind]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_the_picture_in_a_panel_stays_out_of_the_next_cell(machine: Machine) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    finish(start(panel(machine), machine), machine)
    assert plt.get_fignums() == before
