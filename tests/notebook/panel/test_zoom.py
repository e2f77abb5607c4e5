# SPDX-License-Identifier: Apache-2.0
"""Zoom shows the plot as one that can be enlarged; the picture stays, and nothing keeps a closed plot."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pandas as pd
import pytest
from ipywidgets.widgets.widget import _instances as widgets_alive

from labkit import schema
from labkit.lessons import hello
from labkit.notebook.panel import Panel, zoom

FRAME = schema.frame({"phase": ["during"], "count": [23]}, kernel="1.2.3", lost_events=0)


def measure(*, progress: Any) -> pd.DataFrame:
    return FRAME


@pytest.fixture
def panel() -> Any:
    made = Panel("Zoomed", {}, measure, hello.plot)
    yield made
    made.close()


def canvas(panel: Panel) -> Any:
    return panel._zoom.box.children[1].children[0]


def enlarge(panel: Panel) -> None:
    """Drag over the middle of the first axes, as the browser reports it."""
    drawn = canvas(panel)
    box = drawn.figure.axes[0].bbox
    height = drawn.figure.bbox.height
    for kind, share, buttons in (("button_press", 0.4, 1), ("motion_notify", 0.6, 1), ("button_release", 0.6, 0)):
        x, y = box.x0 + share * box.width, height - (box.y0 + share * box.height)
        event = {"type": kind, "x": x, "y": y, "button": 0, "buttons": buttons, "guiEvent": {}, "modifiers": []}
        drawn._handle_message(drawn, event, [])


def test_before_a_run_there_is_nothing_to_zoom(panel: Panel) -> None:
    panel.zoom()
    assert "press Run" in panel._message.value and not panel._zoom.is_open


def test_a_drag_enlarges_a_part_and_home_shows_the_whole(panel: Panel) -> None:
    panel.show(FRAME)
    panel.zoom()
    ax = canvas(panel).figure.axes[0]
    canvas(panel).draw()
    whole = ax.get_ylim()
    enlarge(panel)
    part = ax.get_ylim()
    assert abs(part[1] - part[0]) < 0.5 * abs(whole[1] - whole[0])
    canvas(panel).toolbar.home()
    assert ax.get_ylim() == whole


def test_the_picture_stays_on_the_page_for_print_and_export(panel: Panel) -> None:
    panel.show(FRAME)
    before = panel._result.value
    panel.zoom()
    assert panel._result.value == before and "<img" in before
    assert "@media print" in zoom.STYLE and "@media screen" in zoom.STYLE


def test_a_new_run_closes_the_zoom_of_the_old(panel: Panel) -> None:
    panel.show(FRAME)
    panel.zoom()
    panel.run()
    panel.wait(20)
    assert not panel._zoom.is_open and panel._zoom_button.description == "Zoom"


def test_a_closed_zoom_is_kept_by_nobody(panel: Panel) -> None:
    panel.show(FRAME)
    panel.zoom()
    panel.zoom()
    before = len(widgets_alive)
    seen = []
    for _ in range(5):
        panel.zoom()
        seen.append(weakref.ref(canvas(panel).figure))
        panel.zoom()
    gc.collect()
    assert len(widgets_alive) == before
    assert [figure() for figure in seen] == [None] * 5


def test_without_ipympl_the_panel_has_no_such_button(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoom, "available", lambda: False)
    made = Panel("Not zoomed", {}, measure, hello.plot)
    assert "Zoom" not in [button.description for button in made._buttons]
    made.close()
