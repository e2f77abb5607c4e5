# SPDX-License-Identifier: Apache-2.0
"""What is shown next to a plot for readers who cannot see it: the table, the sentence, where the numbers come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import pandas as pd

from labkit import schema
from labkit.notebook.render import TEXT, Rendered, box, html_table
from labkit.stats.trial import ENOUGH, differences

__all__ = ["compared_ns", "finding", "listing", "provenance", "table", "times"]

# a number or a name stays whole; a text wraps, and a very long word breaks, so that the columns after it stay in sight
_WHOLE = "white-space: nowrap;"
_WRAPPED = "overflow-wrap: break-word; min-width: 14em; max-width: 32em;"
_NAME = 24  # characters: no text of a column that has names is longer


def table(
    frame: pd.DataFrame,
    columns: Sequence[str] | None = None,
    *,
    rows: int = 20,
    caption: str = "",
    warn: bool = True,
) -> Rendered:
    """Return a frame as a table whose values are written with their units, with the frame's warnings below it.

    Parameters
    ----------
    columns : which columns to show, in this order; all of them if None.
    rows : how many rows at most; the rest is counted, not shown.
    caption : one line above the table.
    warn : False where something else next to the table, such as `provenance`, shows the frame's warnings.
    """
    warnings = _warnings(frame) if warn else []
    below = "".join(box("warning", escape(warning)) for warning in warnings)
    if frame.empty:
        return Rendered("\n".join(["(no rows)", *warnings]), box("note", "No rows.") + below)
    shown = frame.head(rows) if columns is None else frame.loc[:, list(columns)].head(rows)
    cells = pd.DataFrame({name: [_write(schema.formatter(name), v) for v in shown[name]] for name in shown.columns})
    heads = [_head(str(name)) for name in shown.columns]
    more = f"… and {len(frame) - rows} more rows" if len(frame) > rows else ""
    captions = " – ".join(part for part in (caption, recorded_on(frame)) if part)
    text = "\n".join(part for part in (captions, cells.to_string(index=False, header=heads), more, *warnings) if part)
    html = _html(cells, heads, [_is_number(shown[name]) for name in shown.columns], captions, more)
    return Rendered(text, html + below)


def finding(sentence: str, frame: pd.DataFrame | None = None) -> Rendered:
    """Return one sentence that says what a plot shows, labelled where `frame` is a recording."""
    said = " ".join(part for part in (recorded_on(frame) if frame is not None else "", sentence) if part)
    return Rendered(said, box("note", f"<strong>{escape(said)}</strong>"))


def provenance(frame: pd.DataFrame) -> Rendered:
    """Return where the numbers of a frame come from, how many events were lost, and its warnings."""
    facts = frame.attrs
    where = [f"Linux {facts['kernel']}"] if "kernel" in facts else []
    if "cpus" in facts:
        where.append(f"{facts['cpus']} × {facts.get('cpu_model') or facts.get('architecture', 'CPU')}")
    if facts.get("filesystem"):
        where.append(" on ".join(str(facts[key]) for key in ("filesystem", "device") if facts.get(key)))
    if "time" in facts:
        where.append(str(facts["time"]))
    if "lost_events" in facts:
        where.append(f"lost events: {facts['lost_events']}")
    verb = "RECORDED on" if facts.get("recorded") else "Measured on"
    line = f"{verb} {', '.join(where)}" if where else ""
    warnings = _warnings(frame)
    if facts.get("lost_events") and not any("lost" in said for said in warnings):
        warnings.insert(0, "Warning: events were lost, so the counts are too low.")
    html = f'<small style="{TEXT} opacity: 0.8;">{escape(line)}</small>' if line else ""
    return Rendered("\n".join([line, *warnings]), html + "".join(box("warning", escape(w)) for w in warnings))


def recorded_on(frame: pd.DataFrame) -> str:
    """Return the label of a frame that was not measured here, or an empty text."""
    return f"RECORDED on kernel {frame.attrs.get('kernel', '?')}." if frame.attrs.get("recorded") else ""


def times(ratio: float, low: float, high: float, slices: int = ENOUGH) -> str:
    """Return a ratio with its interval in words: '1.87 times (95 % interval 1.71 to 2.02)'.

    Where the interval holds 1, the words say that no difference was shown; where there were too few slices for an
    interval, that low and high are their range.
    """
    nothing = ": no difference shown" if low <= 1 <= high else ""
    return f"{_digits(ratio, 3)} times ({_sure(slices)} {_end(low)} to {_end(high)}{nothing})"


def _sure(slices: int) -> str:
    """Return what the two ends are that come with the median of this many slices."""
    return "95 % interval" if slices >= ENOUGH else f"range of {slices} slices, too few to be sure:"


def _end(value: float) -> str:
    """Return an end of an interval, with as many digits as tell it from 1."""
    return next((text for digits in range(3, 7) if (text := _digits(value, digits)) != "1"), "1")


def _digits(value: float, digits: int) -> str:
    """Return a number with this many significant digits, and a large one without an exponent: '2,660'."""
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e+" in text else text


def compared_ns(frame: pd.DataFrame, arm: str, other: str, column: str = "ns_per_call", each: str = "a call") -> str:
    """Return in words how much longer a call takes with one arm than with another, or that no difference was shown.

    Parameters
    ----------
    frame : one row per slice: arm, slice, and the time of one call in nanoseconds in `column`.
    each : what was timed, if it is not a call: "a pass".
    """
    slices = frame.assign(value=frame[column])[["arm", "slice", "value"]]
    found = differences(slices[slices["arm"].isin((arm, other))], other).iloc[0]
    middle, low, high = (float(found[name]) for name in ("difference", "low", "high"))
    sure = _sure(found["slices"])
    if low <= 0 <= high:
        interval = f"{sure} {schema.si_ns(low)} to {schema.si_ns(high)}"
        return f"Between {arm} and {other} no difference was shown ({interval})."
    more = "more" if middle > 0 else "less"
    low, high = sorted((abs(low), abs(high)))
    interval = f"{sure} {schema.si_ns(low)} to {schema.si_ns(high)}"
    return f"{arm}: {each} takes {schema.si_ns(abs(middle))} {more} than with {other} ({interval})."


def listing(names: Iterable[object]) -> str:
    """Return names as a sentence has them: 'a, b and c'."""
    *most, last = [str(name) for name in names] or ["nothing"]
    return f"{', '.join(most)} and {last}" if most else last


def _warnings(frame: pd.DataFrame) -> list[str]:
    """Return what to beware of, each thing once."""
    return [f"Warning: {warning}" for warning in dict.fromkeys(frame.attrs.get("warnings") or [])]


def _head(name: str) -> str:
    """Return the head of a column: what it is, and the name to use in code where that is another."""
    label = schema.label(name)
    return label if label == name else f"{label} ({name})"


def _is_number(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _write(write: Callable[[Any], str], value: Any) -> str:
    return "–" if pd.api.types.is_scalar(value) and pd.isna(value) else str(write(value))


def _html(cells: pd.DataFrame, heads: Sequence[str], numbers: Sequence[bool], caption: str, more: str) -> str:
    sides = ["right" if is_number else "left" for is_number in numbers]
    whole = [is_number or cells[name].str.len().max() <= _NAME for name, is_number in zip(cells, numbers, strict=True)]
    styles = [f"text-align: {side}; {_WHOLE if one else _WRAPPED}" for side, one in zip(sides, whole, strict=True)]
    rows = [[escape(value) for value in row] for row in cells.itertuples(index=False)]
    return html_table(heads, rows, styles, caption=caption, below=more)
