# SPDX-License-Identifier: Apache-2.0
"""What changes while a learner looks at it: a table that is read again and again, until Stop.

Without a browser it is the text of its first reading, and nothing runs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from IPython.core.getipython import get_ipython

from labkit.errors import Stopped
from labkit.notebook.panel import view
from labkit.notebook.panel.controls import button
from labkit.notebook.panel.run import Runner
from labkit.notebook.render import Rendered

__all__ = ["Live"]

MOST_S = 600.0  # nobody looks longer than this without pressing Start again
_LOOK_S = 0.05  # how soon Stop is seen

Read = Callable[[], Rendered]


class Live(Runner):
    """A table that is read anew every half second.

    Parameters
    ----------
    title : the head; a later one of the same title stops this one.
    reading : a context manager that gives the function which reads; open only while it runs.
    first : what is shown before it runs, and without a browser.
    buttons : more of them, next to Start and Stop.
    start : begin at once, where there is a notebook.
    every_s : seconds between two readings.
    below : more to show, below the table.
    """

    def __init__(
        self,
        title: str,
        reading: Callable[[], contextlib.AbstractContextManager[Read]],
        first: Rendered,
        *,
        buttons: tuple[widgets.Button, ...] = (),
        start: bool = False,
        every_s: float = 0.5,
        below: tuple[widgets.Widget, ...] = (),
    ) -> None:
        super().__init__(title)
        self.first = first
        self._reading, self._every_s = reading, every_s
        self._table = widgets.HTML(value=view.fitted(first.html))
        self._status = widgets.HTML()
        self._start_button = button("Start", "play", self.start, f"Start: {title}")
        self._stop_button = button("Stop", "stop", self.stop, f"Stop: {title}", disabled=True)
        self._buttons = (self._start_button, self._stop_button, *buttons)
        line = widgets.HBox([*self._buttons, self._status])
        self._box = widgets.VBox([line, self._table, *below])
        if start and getattr(get_ipython(), "kernel", None) is not None:
            self.start()

    @property
    def text(self) -> str:
        """What it says without a browser."""
        return self.first.text

    @property
    def html(self) -> str:
        """The same as HTML."""
        return self.first.html

    def start(self) -> None:
        """Read again and again, in a thread; nothing happens while one runs."""
        if not self.is_running:
            self._set_running(True)
            self.begin(self._work, lambda *_: None)

    def say(self, words: str) -> None:
        """Show one line next to the buttons."""
        self._status.value = view.status(words)

    def press(self, description: str) -> None:
        """Press one of the buttons, unless it is disabled."""
        for one in self._buttons:
            if one.description == description and not one.disabled:
                one.click()

    def shown(self) -> tuple[widgets.HTML, ...]:
        """Return the widgets that hold the table and the status."""
        return self._table, self._status

    def _work(self, progress: Callable[[float, str], None]) -> None:
        ends, was_left = time.monotonic() + MOST_S, False
        try:
            with self._reading() as read:
                while time.monotonic() < ends:
                    self._table.value = view.fitted(read().html)
                    next_at = time.monotonic() + self._every_s
                    while time.monotonic() < next_at:
                        progress(0.0, "")
                        time.sleep(_LOOK_S)
            was_left = True
        except Stopped:
            pass
        except Exception as error:  # a thread has nobody else to say it to
            self._table.value = view.fitted(view.failure(error))
        finally:
            self._set_running(False)
            if was_left:
                self.say(f"stopped after {MOST_S / 60:.0f} minutes; Start goes on")

    def _set_running(self, running: bool) -> None:
        self._start_button.disabled, self._stop_button.disabled = running, not running
        self.say("live" if running else "stopped")

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        shown = {"text/html": self.first.html, "text/plain": self.text}
        return {**self._box._repr_mimebundle_(**kwargs), **shown}
