# SPDX-License-Identifier: Apache-2.0
"""Lesson 04: what probes cost, and where a program spends its time."""

from __future__ import annotations

import pandas as pd

from labkit import schema
from labkit.errors import check_choice
from labkit.lessons.probes import mechanisms, stacks
from labkit.lessons.probes.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

__all__ = ["finding", "panel"]


def panel(subject: str = "cost") -> Panel:
    """Return a panel of lesson 04: "cost" or "flame"."""
    check_choice("subject", subject, ("cost", "flame"))
    if subject == "cost":
        return Panel(
            "What a probe costs",
            controls={
                "mechanisms": controls.several("mechanism", list(mechanisms.MECHANISMS), ["tracepoint", "uprobe"]),
                "ends": controls.several("phase", list(mechanisms.ENDS), ["entry", "both"], label="probe at"),
                "strace": controls.switch("compare with strace"),
                "calls": controls.choose("calls", [1009, 10_007, 100_003], 10_007, label="calls per slice"),
                "slices": controls.whole("slices", 6, 2, 50),
            },
            measure=_costs,
            plot=plot,
            finding=finding,
        )
    return Panel(
        "Where the time goes",
        controls={
            "seconds": controls.real("elapsed_s", 1.0, 0.1, 10.0, label="CPU time (s)"),
            "hz": controls.choose("count", [97, 997, 9973], 997, label="samples per second"),
            "apple": controls.whole("count", 60, 0, 100, label="apple (%)"),
            "pear": controls.whole("count", 25, 0, 100, label="pear (%)"),
            "plum": controls.whole("count", 10, 0, 100, label="plum (%)"),
        },
        measure=stacks.flame,
        plot=plot,
        finding=_flame,
    )


def _costs(**settings: object) -> pd.DataFrame:
    return mechanisms.added(mechanisms.cost(**settings))  # type: ignore[arg-type]


def finding(frame: pd.DataFrame) -> str:
    """Return what a table of costs shows, in one sentence; overlapping intervals show no difference."""
    measured = frame[(frame["slices"] > 0) & ~frame["arm"].str.startswith("nothing")]
    if measured.empty:
        return "None of these mechanisms works on this kernel."
    first, last = measured.iloc[0], measured.iloc[-1]
    least, most = schema.si_ns(first["added_ns"]), schema.si_ns(last["added_ns"])
    if len(measured) == 1:
        return f"{first['arm']} adds {least} to a call."
    if first["high_ns"] >= last["low_ns"]:
        return f"Between {first['arm']} ({least} per call) and {last['arm']} ({most}), no difference was shown."
    return f"{first['arm']} adds the least to a call, {least}; {last['arm']} the most, {most}."


def _flame(frame: pd.DataFrame) -> str:
    innermost = frame["stack"].str.rpartition(";")[2]
    counts = frame["count"].groupby(innermost).sum()
    busiest = str(counts.idxmax()).removesuffix("_[k]")
    return f"{counts.max() / counts.sum():.0%} of the samples were in {busiest} itself."
