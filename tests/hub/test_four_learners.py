# SPDX-License-Identifier: Apache-2.0
"""Four learners measure lessons 06, 07 and 09 at the same time, each in a browser, on one kernel."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub.hub import Hub, Learner, overlap
from playwright.sync_api import Browser

from labkit.machine.folders import build_folder
from labkit.stats.trial import median_interval

pytestmark = pytest.mark.container

LESSONS = {"ada": "06-syscall-latency", "bob": "07-io-engines", "cem": "09-sockmap", "dora": "07-io-engines"}
LESSON_S = 1200
ROUNDS = 8
TURNS = 2
# Each yields the median of one arm, in nanoseconds; the same arm again and again.
MEDIANS = {
    "06-syscall-latency": "syscall_latency.measure(block_bytes=4096, cache='direct')['unwatched_p50_ns'].iloc[0]",
    "07-io-engines": "io_engines.measure('io_uring')['p50_ns'].iloc[0]",
    "09-sockmap": "sockmap.measure().query(\"arm == 'TCP'\")['p50_ns'].median()",
}
CELL = """
import json, time
from labkit.lessons import io_engines, sockmap, syscall_latency
rows = []
time.sleep(5)  # the browser still draws the page, on the same processors
for _ in range({rounds}):
    time.sleep(1)
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    p50_ns = {median}
    rows.append([began, time.clock_gettime(time.CLOCK_BOOTTIME), float(p50_ns)])
with open("/lab/learner/{stem}.json", "w") as file:
    json.dump(rows, file)
print("measured", len(rows))
"""


@pytest.fixture(scope="module")
def facts() -> Iterator[dict[str, Any]]:
    """What was measured: kept in build/hub.json."""
    known: dict[str, Any] = {}
    yield known
    (build_folder() / "hub.json").write_text(json.dumps(known, indent=2) + "\n")


@pytest.fixture(scope="module")
def four(hub: Hub, browser: Browser, facts: dict[str, Any]) -> Iterator[dict[str, Learner]]:
    """Yield four learners who have logged in, by their names."""
    windows = {name: Learner(browser, hub, name) for name in LESSONS}
    began_s = time.monotonic()
    for window in windows.values():
        window.log_in()
    for window in windows.values():
        window.wait_for_the_lab()
    facts["four labs open after, s"] = round(time.monotonic() - began_s, 1)
    facts["memory of an idle lab, MB"] = {name: used(window)["now_mb"] for name, window in windows.items()}
    yield windows
    for window in windows.values():
        window.close()


def used(window: Learner) -> dict[str, float]:
    """Return what a learner's container has used, as its cgroup says (of either version)."""
    number = window.inspect()["Id"]
    told: dict[str, float] = {}
    for file, name, unit in (
        ("memory.max_usage_in_bytes", "peak_mb", 1e6),
        ("memory.peak", "peak_mb", 1e6),
        ("memory.usage_in_bytes", "now_mb", 1e6),
        ("memory.current", "now_mb", 1e6),
        ("cpuacct.usage", "cpu_s", 1e9),
    ):
        for path in Path("/sys/fs/cgroup").glob(f"**/*{number}/{file}"):
            told[name] = round(int(path.read_text()) / unit, 1)
    return told


def at_once(four: dict[str, Learner], notebooks: dict[str, str]) -> None:
    """Have each learner run all cells of a notebook, all at the same time, to the end and without an error."""
    for name, notebook in notebooks.items():
        four[name].open(notebook)
    for name in notebooks:
        four[name].run_all()
    for name in notebooks:
        four[name].wait_until_all_ran(LESSON_S)
        cells = four[name].saved(notebooks[name])
        assert [cell["source"] for cell in cells if not cell["execution_count"]] == []
        outputs = [output for cell in cells for output in cell["outputs"]]
        assert [output["evalue"] for output in outputs if output["output_type"] == "error"] == [], name


def test_all_four_finish_their_lessons(four: dict[str, Learner], facts: dict[str, Any]) -> None:
    began_s, before = time.monotonic(), {name: used(window) for name, window in four.items()}
    at_once(four, {name: f"learner/{lesson}.ipynb" for name, lesson in LESSONS.items()})
    facts["four lessons at once, s"] = round(time.monotonic() - began_s, 1)
    for name, window in four.items():
        window.picture(f"hub-{name}")
        after = used(window)
        facts[f"{name}, {LESSONS[name]}"] = {**after, "cpu_s": round(after["cpu_s"] - before[name]["cpu_s"], 1)}
        assert "RECORDED" not in window.outputs()
        left = window.inside("sh", "-c", "ls -A /lab/data | grep '^.labkit-new\\|^labkit-' || true")
        assert left == ""


def medians(four: dict[str, Learner], names: list[str]) -> dict[str, list[list[float]]]:
    """Return each learner's rounds: began, ended, median; the named ones measure at the same time."""
    notebooks = {}
    for name in names:
        stem = LESSONS[name]
        code = CELL.format(rounds=ROUNDS, median=MEDIANS[stem], stem=stem)
        notebooks[name] = four[name].write(f"medians-{stem}.ipynb", code)
    at_once(four, notebooks)
    return {name: json.loads(four[name].inside("cat", f"/lab/learner/{LESSONS[name]}.json")) for name in names}


def test_medians_under_the_lock_are_those_alone(four: dict[str, Learner], facts: dict[str, Any]) -> None:
    """Alone and together in turn: the two 95 % intervals of the median must overlap; build/hub.json has them."""
    alone: dict[str, list[float]] = {name: [] for name in four}
    together: dict[str, list[float]] = {name: [] for name in four}
    for _ in range(TURNS):
        for name in four:
            alone[name] += [p50_ns for *_, p50_ns in medians(four, [name])[name]]
        for name, rows in medians(four, list(four)).items():
            together[name] += [p50_ns for *_, p50_ns in rows]
    for name in four:
        facts[f"medians of {name}, {LESSONS[name]}, us"] = {
            which: dict(zip(("median", "low", "high"), map(us, median_interval(values)), strict=True))
            for which, values in (("alone", alone[name]), ("together", together[name]))
        }
    assert [name for name in four if not overlap(alone[name], together[name])] == []


def us(ns: float) -> float:
    return round(ns / 1000, 2)


def test_afterwards_nothing_of_theirs_is_left(four: dict[str, Learner]) -> None:
    assert [path.name for path in Path("/sys/fs/bpf").iterdir() if path.name.startswith("labkit")] == []
