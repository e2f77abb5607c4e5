# SPDX-License-Identifier: Apache-2.0
"""The button "Will it load elsewhere?" below an accepted `%%bpf` cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ipywidgets as widgets

from labkit.bpf.elsewhere.plan import candidates
from labkit.bpf.elsewhere.trial import Answer, answers, as_text
from labkit.errors import Stopped
from labkit.notebook.panel import view
from labkit.notebook.panel.controls import button
from labkit.notebook.panel.run import Runner
from labkit.notebook.render import Rendered, escape, html_table, note

__all__ = ["Elsewhere", "rendered"]

QUESTION = "Will it load elsewhere?"
_MEANS = (
    "Each kernel boots in an emulated machine, which loads the program and attaches it. "
    '"accepted" means both; "no hook" means that the verifier accepts it, but what it attaches to does not exist there.'
)


class Elsewhere(Runner):
    """Asks other kernels about one program, in a thread, when the button is pressed.

    Parameters
    ----------
    path, flags : of the C file.
    here : the row of the kernel that runs.
    """

    def __init__(self, path: Path, flags: Mapping[str, str], here: Answer) -> None:
        super().__init__(f"{path.stem} elsewhere")
        self._path, self._flags, self._here = path, dict(flags), here
        self._ask = button(QUESTION, "globe", self.start, f"Load {path.stem} on other kernels")
        self._stop = button("Stop", "stop", self.stop, f"Stop: {self.title}", disabled=True)
        self._status, self._table = widgets.HTML(), widgets.HTML()
        line = widgets.HBox([self._ask, self._stop, self._status])
        self.box = widgets.VBox([line, self._table])

    @property
    def html(self) -> str:
        """What the table shows."""
        return str(self._table.value)

    @property
    def status(self) -> str:
        """What the line next to the buttons says, as HTML."""
        return str(self._status.value)

    def start(self) -> None:
        """Ask all kernels of the cache; nothing happens while that is going on."""
        if not self.is_running:
            self._ask.disabled, self._stop.disabled = True, False
            self.begin(self._work, lambda share, words, left_s: self._say(words))

    def _work(self, progress: Callable[[float, str], None]) -> None:
        found = [self._here]
        try:
            tried = candidates()
            for answer in answers(self._path, self._flags, tried, progress=progress):
                found.append(answer)
                self._table.value = view.fitted(rendered(found).html)
            self._say("all were asked")
        except Stopped:
            self._say("stopped: no machine runs")
        except Exception as error:  # a thread has nobody else to say it to
            self._table.value = view.fitted(view.failure(error))
            self._say("")
        finally:
            self._ask.disabled, self._stop.disabled = False, True

    def _say(self, words: str) -> None:
        self._status.value = view.status(words)


def rendered(found: Sequence[Answer]) -> Rendered:
    """Return the verdicts as a table, with what they mean."""
    heads = ["kernel", "release", "verdict", "why", "seconds"]
    rows = [
        [escape(one.kernel), escape(one.release), escape(one.verdict), escape(one.headline), f"{one.seconds:.0f}"]
        for one in found
    ]
    told = note("note", ["What the verdicts mean", _MEANS])
    return Rendered(f"{as_text(found)}\n{_MEANS}", html_table(heads, rows) + told.html)
