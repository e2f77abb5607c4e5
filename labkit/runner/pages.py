# SPDX-License-Identifier: Apache-2.0
"""What is written of executed lessons: a page each, an index, a summary. No page needs the network when it is read."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from nbconvert import HTMLExporter

from labkit.notebook.markup import bare_table, whole_page
from labkit.notebook.recorded import MARK

__all__ = ["LessonRun", "page", "shows_recording", "write_summary"]


@dataclass(frozen=True)
class LessonRun:
    """What became of one lesson: `error` is empty when its status is ok."""

    lesson: str
    status: str
    seconds: float
    recorded: bool
    error: str = ""


def shows_recording(notebook: Any) -> bool:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return any(MARK in output.get("metadata", {}) for output in outputs)


def page(notebook: Any, name: str) -> str:
    """Return an executed notebook as one HTML file that loads nothing."""
    # embed_images would parse each piece of HTML by itself, and so close a <details> before what it is to fold
    exporter = HTMLExporter(template_name="lab", embed_images=False)
    exporter.exclude_anchor_links = True
    exporter.require_js_url = exporter.mathjax_url = exporter.mermaid_js_url = exporter.jupyter_widgets_base_url = ""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)  # its HTML is next to it
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": name}})
    return re.sub(r'href="(\d\d-[\w-]+)\.ipynb', r'href="\1.html', str(page))  # from lesson to lesson


def write_summary(outcomes: Sequence[LessonRun], to: Path) -> None:
    rows = [{"lesson": o.lesson, "status": o.status, "seconds": o.seconds, "recorded": o.recorded} for o in outcomes]
    (to / "summary.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (to / "index.html").write_text(_index(outcomes), encoding="utf-8")


def _index(outcomes: Sequence[LessonRun]) -> str:
    good = sum(o.status == "ok" for o in outcomes)
    heads = ["lesson", "status", "took", "numbers", *(["error"] if good < len(outcomes) else [])]
    rows = [
        [
            f'<a href="{escape(o.lesson)}.html">{escape(o.lesson)}</a>',
            o.status,
            f"{o.seconds} s",
            "partly RECORDED" if o.recorded else "measured here",
            f"<pre>{escape(o.error)}</pre>",
        ]
        for o in outcomes
    ]
    where = f"Linux {escape(platform.release())}, {platform.machine()}"
    return whole_page(
        "The lessons, executed",
        f"<p>{good} of {len(outcomes)} ran without an error on {where}.</p>\n{bare_table(heads, rows)}",
        css=[
            "td, th { text-align: left; vertical-align: top; padding: 4px 16px 4px 0; }",
            "pre { margin: 0; white-space: pre-wrap; }",
        ],
    )
