# SPDX-License-Identifier: Apache-2.0
"""`labkit atlas FOLDER`: what every machine of a class measured, in one picture per table of `kept_frames.FRAMES`.

from labkit.classroom import atlas
atlas.panel("class")            # in a notebook: choose the table, the line and what the colours mean
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from labkit.errors import BadArgument, check_choice
from labkit.notebook.kept_frames import FRAMES, ClassFrame
from labkit.notebook.markup import whole_page
from labkit.notebook.plotting import style
from labkit.notebook.render import html_table

__all__ = ["COLOURS", "outliers", "page", "panel", "plot", "read", "write"]

COLOURS = ("disk", "kernel", "cpu")
_ALL = "all mechanisms"
_MOST_ROWS = 5000
_MOST_LETTERS = 40
_FAR = 3.5  # modified z-score (Iglewicz and Hoaglin, 1993)
_LEAST_RATIO = 1.5  # a smaller difference is never an outlier, however alike the others are
_FEW = 6  # names that fit next to each other below an axis
_CLASS_LEAST = 4  # machines, before one of them can be an outlier


def read(folder: Path) -> pd.DataFrame:
    """Return the kept frames of a class folder as one frame.

    Returns
    -------
    One row per machine, table, line and x: machine (the learner's folder), frame (such as "07-sizes"), line, x, y (the
    median), disk, kernel, cpu. A frame that is damaged, or a recording, is left out and named in `attrs["warnings"]`.

    Raises
    ------
    BadArgument : there is no such folder, or no machine in it has a frame.
    """
    if not folder.is_dir():
        raise BadArgument(f"{folder} is not a folder.", "labkit collect ARCHIVES --to FOLDER makes one")
    parts, warnings = [], []
    for table in sorted(folder.glob("*/frames/*.csv")):
        known = next((each for each in FRAMES if each.key == table.stem), None)
        if known is None or table.is_symlink():
            continue
        machine = table.parents[1].name
        try:
            parts.append(_read_one(table, known, machine))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            warnings.append(f"{machine}: {table.name} cannot be read: {str(error)[:80]}")
    if not parts:
        *some, last = sorted({known.lesson for known in FRAMES})
        raise BadArgument(
            f"No machine in {folder} has a frame.",
            f"let the learners run lessons {', '.join(some)} and {last}, then hand in",
        )
    made = pd.concat(parts, ignore_index=True)
    made.attrs["warnings"] = warnings
    return made


def _read_one(table: Path, known: ClassFrame, machine: str) -> pd.DataFrame:
    facts = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
    if facts.get("recorded"):
        raise ValueError("it is a recording, from another machine")
    rows = pd.read_csv(table, nrows=_MOST_ROWS)
    for column, value in known.only:
        rows = rows[rows[column] == value]
    rows = pd.DataFrame(
        {
            "line": rows[known.line].astype(str).map(_plain) if known.line else _ALL,
            "x": rows[known.x] if known.x != "arm" else rows[known.x].astype(str).map(_plain),
            "y": pd.to_numeric(rows[known.y], errors="coerce"),
        }
    )
    rows = rows[np.isfinite(rows["y"]) & (rows["y"] > 0)]
    if known.x != "arm":
        rows["x"] = pd.to_numeric(rows["x"])
    made: pd.DataFrame = rows.groupby(["line", "x"], as_index=False, sort=True)["y"].median()
    made["x"] = made["x"].astype(object)
    device = "rotating disk" if facts.get("rotational") else facts.get("device") or "?"
    disk = f"{facts.get('filesystem') or '?'}, {device}"
    labelled: pd.DataFrame = made.assign(
        machine=machine,
        frame=known.key,
        disk=_plain(disk),
        kernel=_plain(facts.get("kernel", "?")),
        cpu=_plain(facts.get("cpu_model", "?")),
    )
    return labelled


def _plain(said: Any) -> str:
    """Return a stranger's text as a label: short, and without what matplotlib reads as mathematics or as hidden."""
    return " ".join(str(said).split())[:_MOST_LETTERS].replace("$", "").replace("\\", "").lstrip("_") or "?"


def outliers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the machines whose line is far from the class's, of the rows of one table and one line.

    A machine's distance is the median, over x, of the logarithm of its y by the class's median y there. It is an
    outlier at a modified z-score above 3.5 and a factor above 1.5. Of fewer than four machines none is.

    Returns
    -------
    One row per outlier: machine, ratio (to the median of the class).
    """
    middle = rows.groupby("x")["y"].transform("median")
    away = pd.Series(np.log(rows["y"] / middle), index=rows.index).groupby(rows["machine"]).median()
    if len(away) < _CLASS_LEAST:
        return pd.DataFrame({"machine": [], "ratio": []})
    spread = float((away - away.median()).abs().median())
    far = 0.6745 * (away - away.median()).abs() > _FAR * spread
    found = away[far & (away.abs() > np.log(_LEAST_RATIO))]
    return pd.DataFrame({"machine": found.index, "ratio": np.exp(found.to_numpy())})


def plot(rows: pd.DataFrame, known: ClassFrame, *, colour: str = "disk", ax: Axes | None = None) -> Axes:
    """Draw a line per machine, coloured by `colour` ("disk", "kernel" or "cpu"); outliers are named at their end.

    Parameters
    ----------
    rows : of `read`, one table and one line.
    """
    check_choice("colour", colour, COLOURS)
    ax = style.axes(ax)
    kinds = style.series(sorted(rows[colour].unique()))
    named: dict[str, float] = dict(outliers(rows).itertuples(index=False))
    if known.x == "arm":
        arms = rows.groupby("x")["y"].median().sort_values().index.tolist()  # the cheapest first
        rows = rows.assign(x=rows["x"].map(arms.index)).sort_values("x")
        ax.set_xticks(range(len(arms)), arms, rotation=20 if len(arms) <= _FEW else 50, ha="right", fontsize=8)
    seen: set[str] = set()
    for name, own in rows.groupby("machine"):
        machine = str(name)
        kind = own[colour].iloc[0]
        xs, ys = own["x"].astype(float).to_numpy(), own["y"].to_numpy()
        ax.plot(xs, ys, **kinds[kind], label="_" if kind in seen else kind, alpha=1.0 if machine in named else 0.6)
        seen.add(kind)
        if machine in named:
            ax.annotate(f"{machine}: {named[machine]:.2g}x", (xs[-1], ys[-1]), fontsize=8, ha="right", va="bottom")
    if known.x != "arm":
        style.axis(ax, "x", known.x, log=2, ticks=rows["x"].astype(float))
    style.axis(ax, "y", known.y, log=2 if known.y.startswith("bytes") else 10)
    machines = rows["machine"].nunique()
    title = f"{known.title}: {rows['line'].iloc[0]}, {machines} machines, coloured by {colour}"
    style.finish(ax, pd.DataFrame(), title=title, legend=False)
    style.legend_below(ax)
    return ax


def _picture(made: pd.DataFrame, known: ClassFrame, line: str, colour: str) -> str:
    """Return the picture of one line as HTML, and a table of its outliers."""
    rows = made[(made["frame"] == known.key) & (made["line"] == line)]
    drawn = style.figure()
    plot(rows, known, colour=colour, ax=drawn.subplots())
    found = outliers(rows)
    facts = rows.drop_duplicates("machine").set_index("machine")
    told = [
        [escape(str(each)) for each in (machine, f"{ratio:.2g}", *facts.loc[machine, list(COLOURS)])]
        for machine, ratio in found.itertuples(index=False)
    ]
    heads = ["machine", "times the class's median", *COLOURS]
    return style.image(drawn) + (html_table(heads, told) if told else "<p>No machine is far from the others.</p>")


def panel(folder: str | Path) -> widgets.VBox:
    """Return controls for table, line and colours, with the picture and its outliers below; raises what `read` does."""
    made = read(Path(folder))
    tables = [known for known in FRAMES if known.key in set(made["frame"])]
    table = widgets.Dropdown(options=[(known.title, known) for known in tables], description="table")
    line = widgets.Dropdown(description="line")
    colour = widgets.Dropdown(options=list(COLOURS), description="colour")
    shown = widgets.HTML()

    def draw(_: object = None) -> None:
        if line.value is not None:
            shown.value = _picture(made, table.value, line.value, colour.value)

    def choose(_: object = None) -> None:
        line.options = sorted(made.loc[made["frame"] == table.value.key, "line"].unique())
        line.value = line.options[0]
        draw()

    table.observe(choose, "value")
    line.observe(draw, "value")
    colour.observe(draw, "value")
    choose()
    return widgets.VBox([widgets.HBox([table, line, colour]), shown])


def page(folder: Path, *, colour: str = "disk") -> str:
    """Return one HTML page that loads nothing, with every table and every line; raises what `read` does."""
    check_choice("colour", colour, COLOURS)
    made = read(folder)
    parts = []
    for known in FRAMES:
        lines = sorted(made.loc[made["frame"] == known.key, "line"].unique())
        pictures = [_picture(made, known, line, colour) for line in lines]
        if pictures:
            parts.append(f"<h2>{escape(known.title)} (lesson {known.lesson})</h2>{''.join(pictures)}")
    warnings = "".join(f"<li>{escape(each)}</li>" for each in made.attrs["warnings"])
    left_out = f"<h2>Left out</h2><ul>{warnings}</ul>" if warnings else ""
    told = f"A line per machine, {made['machine'].nunique()} machines. Why is yours different?"
    return whole_page("Atlas of the class", f"<p>{told}</p>{''.join(parts)}{left_out}")


def write(folder: Path, *, colour: str = "disk") -> Path:
    """Write atlas.html into the class folder and return its path; raises what `read` does."""
    text = page(folder, colour=colour)
    path = folder / "atlas.html"
    path.write_text(text, encoding="utf-8")
    return path
