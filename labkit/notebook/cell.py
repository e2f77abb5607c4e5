# SPDX-License-Identifier: Apache-2.0
"""What `%%bpf` leaves under the name of its cell: a program that can be watched live, and the box below the cell."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pandas as pd

from labkit.bpf import bcc
from labkit.bpf.cell import Cell
from labkit.bpf.elsewhere.guest import ACCEPTED
from labkit.bpf.elsewhere.trial import Answer
from labkit.bpf.load import KINDS, prefix_of
from labkit.bpf.price import metered
from labkit.bpf.reading import Reading
from labkit.bpf.verifier.evidence import examine
from labkit.errors import unknown_name
from labkit.notebook import tables
from labkit.notebook.elsewhere import Elsewhere
from labkit.notebook.live import Live
from labkit.notebook.panel.controls import button
from labkit.notebook.render import Rendered, escape, html_table, note
from labkit.notebook.walk import Steps, steps

__all__ = ["NotebookCell"]

_ROWS = 20
PRICE_EVERY_S = 1.0


class NotebookCell(Cell):
    """A learner's program in a notebook: see `labkit.bpf.cell.Cell`."""

    _shown: tuple[Live | Elsewhere, ...] = ()

    def closing(self) -> None:
        """End what is shown live, and the machine that was asked."""
        shown, self._shown = self._shown, ()
        try:
            for live in shown:
                live.close()
        finally:
            super().closing()

    def stream(self, name: str) -> Live:
        """Return a live table of a buffer's newest records, or of a map's entries, with Stop.

        It starts at once in a notebook, and ends with Stop, after ten minutes, or when the program is unloaded.
        Without a browser it is the table as it is now.

        Parameters
        ----------
        name : of the buffer or map, as the C file declares it.

        Raises what `events` or `map` raises.
        """
        first = self._rows(name)

        @contextlib.contextmanager
        def reading() -> Iterator[object]:
            yield lambda: self._rows(name)

        return self._showing(Live(f"{self.name}: {name}", reading, first, start=True))  # type: ignore[arg-type]

    def walk(self, function: str = "") -> Steps:
        """Return how the verifier walked through the cell as it is written, to step through.

        Parameters
        ----------
        function : its name as BCC spells it, tracepoint__CATEGORY__EVENT; the first one if empty.

        Raises
        ------
        BadArgument : no such function.
        """
        known = {name: KINDS[prefix] for name in self.functions if (prefix := prefix_of(name))}
        if (function and function not in known) or not known:
            raise unknown_name("function", function, known)
        name = function or next(iter(known))
        found = examine(self.source, name, bcc.program_type(known[name]), all_paths=True)
        text = self.path.read_text(encoding="utf-8")
        return steps(found.log, found.lines(self.path), text, accepted=found.accepted)

    def box(self, told: Rendered) -> Live:
        """Return what is shown below the cell: what was said of it, its price while Start is pressed, Detach, and
        whether it loads on other kernels."""

        @contextlib.contextmanager
        def reading() -> Iterator[object]:
            with metered(self) as price:
                yield lambda: _price(told, price())

        def detach() -> None:
            made.close()
            if self.is_loaded:
                self.detach()
            made.say(f"detached; its maps keep what they counted. {self.name}.attach() attaches it again")
            off.disabled = True

        off = button("Detach", "unlink", detach, f"Detach {self.name}")
        asked = Elsewhere(self.path, self.flags, Answer("this machine", os.uname().release, ACCEPTED, "", 0.0))
        self._shown = (*self._shown, asked)
        made = Live(
            f"Price of {self.name}",
            reading,  # type: ignore[arg-type]
            told,
            buttons=(off,),
            every_s=PRICE_EVERY_S,
            below=(asked.box,),
        )
        made.say("Start shows what it costs")
        return self._showing(made)

    def _showing(self, live: Live) -> Live:
        self._shown = (*(one for one in self._shown if one.title != live.title), live)
        return live

    def _rows(self, name: str) -> Rendered:
        """Return the newest rows of a buffer, or the first of a map, as a table."""
        shown: Reading = self.events(name, last=_ROWS) if self.is_buffer(name) else self.map(name)
        sentences = shown.told
        newest = pd.DataFrame(shown).head(_ROWS)
        # as they are: a learner's column may have the name of one of the lab's, and another unit
        rows = [[escape(str(value)) for value in row] for row in newest.itertuples(index=False)]
        said = note("warning" if shown.attrs["warnings"] else "note", sentences)
        table = html_table([str(column) for column in newest.columns], rows)
        return Rendered(f"{newest.to_string(index=False)}\n{said.text}", table + said.html)


def _price(told: Rendered, frame: pd.DataFrame) -> Rendered:
    """Return what was said of a cell, with what its program costs below."""
    asks = frame["other_runs"].notna().any() or not frame["runs"].any()
    others = (
        "others: processes that you do not watch, as the program counts them; their share is an upper limit"
        if asks
        else "the program does not ask whom it watches: each process that makes the event pays"
    )
    caption = f"In {frame.attrs['seconds']:.0f} s, runs of any process, of one CPU of {frame.attrs['cpus']}; {others}"
    table = tables.table(frame, caption=caption, warn=False)
    return Rendered(f"{told.text}\n{table.text}", told.html + table.html)
