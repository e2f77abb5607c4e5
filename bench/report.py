# SPDX-License-Identifier: Apache-2.0
"""What the bench says: progress while it runs, a table, build/bench.json, and build/bench.html with the plots."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bench.figure import Figure
from bench.goals import GOALS
from labkit.notebook.markup import Cell, bare_table, whole_page
from labkit.running.progress import Progress

__all__ = ["Screen", "as_text", "write"]

_EVERY_S = 0.2


class Screen:
    """One line on stderr with the time left. Not on a terminal: a line for each step."""

    def __init__(self, seconds: float) -> None:
        self._all_s, self._done_s = seconds, 0.0
        self._began = self._told = time.monotonic()
        self._live = sys.stderr.isatty()

    def step(self, name: str, seconds: float) -> Progress:
        """Return the progress of a step that may take so long."""
        if not self._live:
            print(f"{name} … ({self._left(0)} left)", file=sys.stderr, flush=True)

        def tell(share: float, note: str) -> None:
            if self._live and time.monotonic() - self._told > _EVERY_S:
                self._told = time.monotonic()
                self._line(f"{self._left(share * seconds)} left  {name}: {note}")

        return tell

    def done(self, seconds: float) -> None:
        self._done_s += seconds

    def say(self, text: str) -> None:
        self.end()
        print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._live:
            self._line("")

    def _left(self, within_s: float) -> str:
        """What is left by the plan, stretched as much as the part that is done took longer than planned."""
        planned_s, took_s = self._done_s + within_s, time.monotonic() - self._began
        pace = max(1.0, took_s / planned_s) if planned_s > 10 else 1.0
        left_s = round((self._all_s - planned_s) * pace)
        return f"{left_s // 60}:{left_s % 60:02}"

    def _line(self, text: str) -> None:
        print(f"\r\033[K{text[:110]}", end="", file=sys.stderr, flush=True)


def as_text(figures: Sequence[Figure], absent: Mapping[str, str]) -> str:
    """Return the table, with what is said of the noise under it."""
    lines = [f"{'figure':28} {'ratio':>9} {'95 % interval':>20}  {'goal':>13}  meets"]
    for figure in figures:
        interval = f"{_short(figure.low)} to {_short(figure.high)}"
        goal = str(GOALS[figure.name])
        lines.append(f"{figure.name:28} {_short(figure.ratio):>9} {interval:>20}  {goal:>13}  {_verdict(figure)}")
    lines += [f"{name:28} {'–':>9}  {why.splitlines()[0]}" for name, why in absent.items()]
    if any(figure.near for figure in figures):
        lines.append("~ the goal lies within the interval: neither met nor missed for certain")
    noise = [f"{figure.name}: {said}" for figure in figures for said in figure.warnings]
    return "\n".join([*lines, *(["", *noise] if noise else [])])


def _verdict(figure: Figure) -> str:
    word = {True: "yes", False: "MISSED", None: "stated"}[figure.meets]
    return word + (" ~" if figure.near else "")


def _short(value: float) -> str:
    return f"{value:.4g}" if value < 100 else f"{value:.0f}"


def write(folder: Path, figures: Sequence[Figure], facts: Mapping[str, Any]) -> None:
    """Write bench.json (a list of rows), bench-provenance.json and bench.html."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [figure.row() for figure in figures]
    (folder / "bench.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (folder / "bench-provenance.json").write_text(json.dumps(facts, indent=1, default=float) + "\n", encoding="utf-8")
    (folder / "bench.html").write_text(_page(figures, facts), encoding="utf-8")


def _page(figures: Sequence[Figure], facts: Mapping[str, Any]) -> str:
    heads = ["figure", "what", "ratio", "95 % interval", "goal", "meets"]
    rows: list[list[Cell | str]] = [
        [
            Cell(f.name, of_row=True),
            escape(GOALS[f.name].unit),
            _short(f.ratio),
            f"{_short(f.low)} to {_short(f.high)}",
            str(GOALS[f.name]),
            _verdict(f),
        ]
        for f in figures
    ]
    absent = "".join(f"<li>{name}: {escape(why)}</li>" for name, why in facts["missing"].items())
    slices = "\n".join(_section(figure) for figure in figures if figure.frame is not None)
    machine = f"Linux {facts['kernel']}, {facts['cpu_model']}, {facts['cpus']} CPUs, {facts['filesystem']}"
    return whole_page(
        "The lab against its peers",
        f"""<p>{escape(machine)}; {facts["time"]}; load average at the end {facts["load_average"]:.1f}.
A tilde: the goal lies within the interval.</p>
{bare_table(heads, rows)}
<ul>{absent}</ul>
<h2>How far from the goal</h2>
<img alt="Each figure divided by its goal, with its interval; the table above has the numbers"
 src="data:image/png;base64,{_against_goals(figures)}">
<h2>Slice by slice</h2>
{slices}""",
        width_em=66,
        css=[
            ":root { color-scheme: light; }",  # as the pictures
            "td, th { text-align: left; vertical-align: top; padding: 2px 14px 2px 0; font-weight: normal; }",
            "img { max-width: 100%; }",
        ],
    )


def _section(figure: Figure) -> str:
    noise = "".join(f"<p>{escape(said)}</p>" for said in figure.warnings)
    return (
        f"<h3>{figure.name}</h3><p>{escape(GOALS[figure.name].unit)}: {_short(figure.ratio)}</p>{noise}"
        f'<img alt="What each slice of each arm measured" src="data:image/png;base64,{_slices(figure)}">'
    )


def _against_goals(figures: Sequence[Figure]) -> str:
    """Draw each ratio as a share of its goal: right of 1 is met."""
    from labkit.notebook.plotting import style

    canvas = style.figure()
    canvas.set_size_inches(9, 0.5 + 0.32 * max(len(figures), 2))
    ax = style.axes(canvas.subplots())
    shown = [figure for figure in figures if isinstance(GOALS[figure.name].bound, (int, float))]
    for place, figure in enumerate(reversed(shown)):
        low, middle, high = sorted(_share(figure, value) for value in (figure.low, figure.ratio, figure.high))
        ax.plot([low, high], [place, place], color=style.INK, linewidth=1.4)
        ax.plot([middle], [place], marker="o" if figure.meets else "x", color="#0072B2" if figure.meets else "#D55E00")
    ax.axvline(1, color=style.INK, linewidth=0.8, linestyle="--")
    ax.set_yticks(range(len(shown)), [figure.name for figure in reversed(shown)])
    ax.set_xscale("log")
    ax.set_xlabel("times as good as the goal (a cross: missed)")
    return _png(canvas)


def _share(figure: Figure, value: float) -> float:
    bound = GOALS[figure.name].bound
    assert isinstance(bound, (int, float))
    value = max(value, 1e-9)
    return value / bound if GOALS[figure.name].better == "higher" else bound / value


def _slices(figure: Figure) -> str:
    from labkit.notebook.plotting import style

    assert figure.frame is not None
    canvas = style.figure()
    canvas.set_size_inches(9, 2.4)
    ax = style.axes(canvas.subplots())
    for arm, how in style.series(figure.frame["arm"]).items():
        rows = figure.frame[figure.frame["arm"] == arm]
        ax.plot(rows["slice"] + 1, rows["value"], label=arm, **{**how, "linewidth": 0.7})
    ax.set_xlabel("slice")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    return _png(canvas)


def _png(canvas: Any) -> str:
    from labkit.notebook.plotting import style

    return base64.b64encode(style.png(canvas)).decode()
