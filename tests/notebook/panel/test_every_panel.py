# SPDX-License-Identifier: Apache-2.0
"""What holds for the panels of all lessons: labels, every choice in sight, Save, nothing to change during a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import ipywidgets as widgets
import pandas as pd
import pytest

from labkit.course import LESSONS
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

WAIT_S = 20.0


def every() -> Iterator[Any]:
    """Yield each lesson with each subject that its panel has."""
    for lesson in LESSONS:
        home = f"labkit.lessons.{lesson.stem}"
        if hasattr(module := import_module(home), "panel"):
            subjects = getattr(import_module(f"{home}.panels"), "SUBJECTS", ())
            for subject in [(), *((each,) for each in subjects[1:])]:
                yield pytest.param(module.panel, subject, id="-".join([lesson.number, *subject]))


@pytest.fixture
def panels() -> Iterator[list[Panel]]:
    made = [each.values[0](*each.values[1]) for each in every()]
    yield made
    for panel in made:
        panel.close()


def test_every_control_has_a_label_of_its_own(panels: list[Panel]) -> None:
    for panel in panels:
        labels = [control.description for control in panel.controls.values()]
        assert all(labels) and len(set(labels)) == len(labels), panel.title


def test_no_choice_is_hidden_in_a_list_to_scroll(panels: list[Panel]) -> None:
    for panel in panels:
        hidden = [each for each in panel.controls.values() if isinstance(each, widgets.Select | widgets.SelectMultiple)]
        assert hidden == [], panel.title


def buttons(panel: Panel) -> list[str]:
    return [each.description for each in panel._buttons]


def test_every_panel_saves_what_it_shows(panels: list[Panel]) -> None:
    for panel in panels:
        wanted = ["Save CSV", *(["Save PNG"] if panel._plot else [])]
        assert [name for name in buttons(panel) if name.startswith("Save")] == wanted, panel.title


def test_during_a_run_only_stop_and_what_acts_then_can_be_pressed(panels: list[Panel]) -> None:
    for panel in panels:
        started = threading.Event()

        def wait(*, progress: Any, started: threading.Event = started, **values: Any) -> pd.DataFrame:
            while True:
                started.set()
                progress(0.5, "")

        panel._measure = wait
        panel.run()
        assert started.wait(WAIT_S), panel.title
        open_now = [each.description for each in panel._buttons if not each.disabled]
        turned = [name for name, control in panel.controls.items() if not control.disabled]
        stale = "labkit-stale" in panel._result._dom_classes
        panel.stop()
        panel.wait(WAIT_S)
        assert (open_now, turned, stale) == (["Stop"], list(panel._live), True), panel.title
        assert "labkit-stale" not in panel._result._dom_classes
        assert not any(control.disabled for control in panel.controls.values())


def test_a_step_of_a_field_is_a_round_number(panels: list[Panel]) -> None:
    for panel in panels:
        for control in panel.controls.values():
            if isinstance(control, widgets.BoundedFloatText):
                assert float(f"{control.step:.1g}") == control.step, (panel.title, control.description)


def test_nothing_chosen_is_said_in_the_learners_words(panels: list[Panel]) -> None:
    for panel in panels:
        for control in panel.controls.values():
            if isinstance(control, controls.Several):
                before, control.value = control.value, ()
                panel.run()
                panel.wait(WAIT_S)
                assert f"Choose at least one: {control.description}." in panel._message.value
                assert panel.frame.empty
                control.value = before


def test_a_run_that_did_not_begin_is_not_called_done() -> None:
    names = controls.several("arm", ["a"], ["a"])
    made = Panel("None chosen", {"arm": names}, lambda arm, progress: pd.DataFrame({"arm": arm}))
    for chosen, said in (("a",), True), ((), False):
        names.value = chosen
        made.run()
        made.wait(WAIT_S)
        assert ("Done." in made._status.value) == said


def test_the_newest_run_comes_first_in_the_table() -> None:
    sizes = iter([11, 23])

    def measure(*, progress: Any) -> pd.DataFrame:
        return pd.DataFrame({"arm": ["a", "b"], "count": [next(sizes), 7]})

    made = Panel("Newest first", {}, measure, accumulate=True)
    for _ in range(2):
        made.run()
        made.wait(WAIT_S)
    assert made.frame["run"].tolist() == [1, 1, 2, 2]
    shown = made._result.value
    assert shown.index(">23<") < shown.index(">11<")
