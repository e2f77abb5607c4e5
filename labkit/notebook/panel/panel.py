# SPDX-License-Identifier: Apache-2.0
"""The panel that every lesson uses: controls, Run, Stop, progress; then a plot, its sentence, its table, its origin.

    Panel(
        "Three ways to read",
        controls={"block_bytes": controls.several("block_bytes", [4096, 65536], [4096])},
        measure=experiments.io_engines.measure,      # called as measure(block_bytes=[...], progress=...)
        plot=plot.io_engines,                        # called as plot(frame, ax=...)
        finding=lambda frame: "64 KiB moves more bytes per second than 4 KiB.",
    )

Without a browser a panel is a few lines of text, and runs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd

from labkit.errors import Stopped
from labkit.machine.folders import data_folder
from labkit.notebook import tables
from labkit.notebook.panel import view, zoom
from labkit.notebook.panel.controls import Several, button
from labkit.notebook.panel.controls import words as control_words
from labkit.notebook.panel.run import Run, Runner
from labkit.notebook.panel.zoom import Zoom
from labkit.notebook.render import TEXT, box

__all__ = ["Panel"]


class Panel(Runner):
    """Controls that call `measure` in a thread and show the frame that it returns.

    Parameters
    ----------
    title : the head of the panel; a later panel of the same title stops this one's run.
    controls : parameter of `measure` -> widget; see `labkit.notebook.panel.controls`.
    measure : an experiment: `measure(**values, progress=...) -> DataFrame`.
    plot : `plot(frame, ax=...)`; None for a panel with a table alone.
    finding : one sentence that says what the frame shows.
    table : makes the frame for the table, where that is not the measured one.
    live : names of controls that act while a measurement runs; all others are disabled then.
    accumulate : keep the frames of all runs, told apart by a column `run`, with a button Clear.

    Attributes
    ----------
    frame : what was measured, for the next cell; empty before the first run.
    """

    def __init__(
        self,
        title: str,
        controls: Mapping[str, widgets.Widget],
        measure: Callable[..., pd.DataFrame],
        plot: Callable[..., Any] | None = None,
        finding: Callable[[pd.DataFrame], str] | None = None,
        *,
        table: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
        live: Collection[str] = (),
        accumulate: bool = False,
    ) -> None:
        super().__init__(title)
        self.controls = dict(controls)
        self.frame = pd.DataFrame()
        self._measure = measure
        self._plot = plot
        self._finding = finding
        self._table = table
        self._live = live
        self._accumulate = accumulate
        self._turn = threading.Lock()  # buttons are pressed and measurements end in different threads

        self._run_button = button("Run", "play", self.run, "Measure with these settings", button_style="primary")
        self._stop_button = button("Stop", "stop", self.stop, "Stop the measurement", disabled=True)
        self._clear_button = button("Clear", "eraser", self.clear, "Forget the runs so far")
        self._save_button = button("Save CSV", "save", self.save, "Save the numbers in the data folder")
        self._save_plot_button = button("Save PNG", "image", self.save_plot, "Save the plot in the data folder")
        self._zoom = Zoom()
        self._zoom_button = button("Zoom", "search-plus", self.zoom, "Enlarge parts of the plot and read values")
        self._bar = widgets.FloatProgress(min=0.0, max=1.0, layout=widgets.Layout(width="16em", display="none"))
        self._status = widgets.HTML()
        self._message = widgets.HTML()
        self._result = widgets.HTML()
        self._buttons = [self._run_button, self._stop_button, *([self._clear_button] if accumulate else [])]
        self._buttons += [self._save_button, *([self._save_plot_button] if plot else [])]
        self._buttons += [self._zoom_button] if plot and zoom.available() else []
        self._box = self._lay_out()

    def run(self) -> None:
        """Start a measurement with the present settings; nothing happens while one is running."""
        with self._turn:
            if self.is_running:
                return
            empty = [
                each.description for each in self.controls.values() if isinstance(each, Several) and not each.value
            ]
            if empty:
                self._status.value = ""
                self._say(box("warning", "<br>".join(f"Choose at least one: {escape(label)}." for label in empty)))
                return
            values = {name: _plain(control.value) for name, control in self.controls.items()}
            self._set_running(True)
            self.begin(lambda progress: self._work(values, progress), self._show_progress)

    def stop(self) -> None:
        """Ask the measurement that is running to end."""
        if self.is_running:
            super().stop()
            self._stop_button.disabled = True
            self._status.value = view.status("Stopping …")

    def clear(self) -> None:
        """Forget what was measured."""
        self.frame = pd.DataFrame()
        self._close_zoom()
        self._result.value = ""
        self._say("")

    def save(self) -> None:
        """Write what was measured to a CSV file in the data folder, and say where."""
        self._save("csv", f"{len(self.frame)} rows", lambda: self.frame.to_csv(index=False).encode())

    def save_plot(self) -> None:
        """Write the plot to a PNG file in the data folder, and say where."""
        if self._plot is not None:
            plot = self._plot
            self._save("png", "the plot", lambda: view.png(plot, self.frame))

    def zoom(self) -> None:
        """Show the plot so that parts of it can be enlarged and values read; shown so already, show the picture."""
        if self._zoom.is_open:
            self._close_zoom()
        elif self.frame.empty:
            self._say(box("note", "There is nothing to zoom yet: press Run."))
        elif self._plot is not None:
            try:
                self._zoom.show(view.figure(self._plot, self.frame))
                self._zoom_button.description = "Picture"
            except Exception as error:  # nothing above would show it
                self._close_zoom()
                self._say(view.failure(error))

    def _close_zoom(self) -> None:
        self._zoom.close()
        self._zoom_button.description = "Zoom"

    def _save(self, kind: str, said: str, content: Callable[[], bytes]) -> None:
        if self.frame.empty:
            self._say(box("note", "There is nothing to save yet: press Run."))
            return
        name = "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())
        try:
            path = data_folder() / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.{kind}"
            path.write_bytes(content())
        except Exception as error:  # a full disk, or a plot that cannot be drawn: nothing above would show it
            self._say(view.failure(error))
        else:
            self._say(box("ok", f"Saved {said} to <code>{escape(str(path))}</code>"))

    def close(self) -> None:
        """Stop what is running and take the panel off the page."""
        self.stop()
        self._close_zoom()
        self._box.close()

    def _work(self, values: dict[str, Any], progress: Callable[[float, str], None]) -> None:
        """Measure and show; runs in the thread of a `Run`, so every error has to end here."""
        run = threading.current_thread()
        assert isinstance(run, Run)
        try:
            self.show(self._measure(**values, progress=progress))
            self._status.value = view.status("Done.")
        except Stopped:
            self._status.value = ""
            self._say(view.stopped())
        except Exception as error:  # nothing above this thread would show it
            asked = run.stopping.is_set()  # whatever broke after Stop broke because of it
            self._status.value = ""
            self._say(view.stopped() if asked else view.failure(error))
        finally:
            self._set_running(False)

    def show(self, frame: pd.DataFrame) -> None:
        """Draw a frame with its sentence and its table, and keep it as `frame`."""
        self.frame = frame = self._joined(frame) if self._accumulate else frame
        said = self._finding(frame) if self._finding else ""
        parts = [view.picture(self._plot, frame, f"{self.title}. {said}".strip())] if self._plot else []
        parts += [tables.finding(said, frame).html] if said else []
        shown = view.newest_first(self._table(frame) if self._table else frame)
        parts += [tables.table(shown, warn=False).html, tables.provenance(frame).html]
        self._result.value = view.fitted("".join(f"<div>{part}</div>" for part in parts))

    def _joined(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the runs so far with this one after them; what they carry is the last one's, and all the warnings."""
        number = 1 if self.frame.empty else int(self.frame["run"].max()) + 1
        fresh = frame.assign(run=number)
        joined = fresh if self.frame.empty else pd.concat([self.frame, fresh], ignore_index=True)
        warnings = [*self.frame.attrs.get("warnings", []), *frame.attrs.get("warnings", [])]
        joined.attrs = {**frame.attrs, "warnings": list(dict.fromkeys(warnings))}
        return joined

    def _say(self, html: str) -> None:
        self._message.value = view.fitted(html) if html else ""

    def _show_progress(self, share: float, note: str, left_s: float | None) -> None:
        if self._run is not None and self._run.stopping.is_set():
            return
        self._bar.value = share
        self._status.value = view.status(", ".join(filter(None, [f"{share:.0%}", note, view.time_left(left_s)])))

    def _set_running(self, running: bool) -> None:
        for one in self._buttons:
            one.disabled = running
        self._stop_button.disabled = not running
        mark = self._result.add_class if running else self._result.remove_class
        mark("labkit-stale")
        for name, control in self.controls.items():
            control.disabled = running and name not in self._live
        self._bar.layout.display = None if running else "none"
        if running:
            self._close_zoom()
            self._bar.value, self._status.value = 0.0, view.status("Starting …")
            self._say("")

    def _lay_out(self) -> widgets.VBox:
        wrap = widgets.Layout(flex_flow="row wrap", align_items="flex-start")
        rows = [
            widgets.HTML(f'{view.STYLE}<h3 style="margin: 0; {TEXT}">{escape(self.title)}</h3>'),
            widgets.HBox(list(self.controls.values()), layout=wrap),
            widgets.HBox([*self._buttons, self._bar, self._status], layout=wrap),
            self._message,
            self._zoom.box,
            self._result,
        ]
        edge = "1px solid var(--jp-border-color1, #bbb)"
        made = widgets.VBox(rows, layout=widgets.Layout(border=edge, padding="8px 12px", margin="4px 0"))
        made.add_class("labkit-panel")
        return made

    def __repr__(self) -> str:
        lines = [f"Panel: {self.title}", *(f"  {control_words(control)}" for control in self.controls.values())]
        return "\n".join([*lines, "  (To use it, run this cell again in JupyterLab.)"])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        head, *lines = repr(self).splitlines()
        html = box("note", f"<strong>{escape(head)}</strong><br>" + "<br>".join(escape(line) for line in lines))
        return {**self._box._repr_mimebundle_(**kwargs), "text/html": html, "text/plain": repr(self)}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
