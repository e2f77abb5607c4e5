# SPDX-License-Identifier: Apache-2.0
"""The bench runs, tells what is missing, writes what it promises, and leaves nothing. No figure is judged here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tree import ROOT

import bench.__main__ as program
from bench import fio
from bench.figure import Figure, Step, ratio, rounds
from bench.goals import GOALS, Goal
from labkit.errors import LabkitError, Missing
from labkit.lessons._io.job import Job
from labkit.running.progress import Progress

KEYS = {"name", "unit", "ratio", "low", "high", "better", "goal", "meets", "slices"}
SOME = ("io.warm.4k.sync", "trace.closure", "sockmap.redis")


def step(name: str, ratio: float = 1.0, peers: tuple[str, ...] = (), error: Exception | None = None) -> Step:
    def measure(progress: Progress) -> list[Figure]:
        progress(0.5, "half")
        if error is not None:
            raise error
        return [Figure(name, ratio, ratio - 0.1, ratio + 0.1, 7)]

    return Step((name,), measure, 1, peers)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, list[dict[str, object]]]]:
    """Run the bench with steps of ours and return its exit status and the rows it wrote."""
    monkeypatch.setattr(program, "NICENESS", 0)
    monkeypatch.setattr(program, "AUTOGROUP", tmp_path / "autogroup")
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def go(steps: list[Step], *arguments: str) -> tuple[int, list[dict[str, object]]]:
        monkeypatch.setattr(program, "STEPS", tuple(steps))
        status = program.main([*arguments, "--to", str(tmp_path)])
        written = tmp_path / "bench.json"
        return status, json.loads(written.read_text()) if written.exists() else []

    return go


def test_every_goal_is_made_by_one_step() -> None:
    made = [name for each in program.STEPS for name in each.names]
    assert sorted(made) == sorted(GOALS)


def test_every_figure_is_explained() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert [name for name in GOALS if f"`{name}`" not in text] == []


def test_the_whole_bench_fits_in_twelve_minutes_by_its_plan() -> None:
    assert sum(each.seconds for each in program.STEPS) < 12 * 60


@pytest.mark.parametrize(
    ("goal", "low", "high", "met"),
    [
        (Goal("", "higher", 1.3), 1.3, 1.5, True),
        (Goal("", "higher", 1.3), 1.29, 1.5, False),
        (Goal("", "lower", 0.8), 0.6, 0.8, True),
        (Goal("", "lower", 0.8), 0.6, 0.81, False),
        (Goal("", "lower", (0.97, 1.03)), 0.96, 1.0, False),
        (Goal("", "lower", (0.97, 1.03)), 0.98, 1.02, True),
        (Goal("", "lower", (0.97, 1.03)), 1.0, 1.04, False),
        (Goal("", "higher"), 0.9, 1.1, None),
    ],
)
def test_a_goal_is_met_where_the_whole_interval_clears_it(
    goal: Goal, low: float, high: float, met: bool | None
) -> None:
    assert goal.met(low, high) is met


def test_a_goal_within_the_interval_is_told() -> None:
    assert Goal("", "higher", 1.3).near(1.2, 1.4)
    assert not Goal("", "higher", 1.3).near(1.31, 1.4)


def test_json_is_a_list_of_rows_in_the_order_of_the_table(run: Callable[..., tuple[int, list]]) -> None:
    status, rows = run([step(name, 1.3) for name in reversed(SOME)])
    assert status == 0
    assert [row["name"] for row in rows] == list(SOME)
    assert all(row.keys() == KEYS for row in rows)
    assert [(row["goal"], row["meets"]) for row in rows] == [(1.15, True), ([0.97, 1.03], False), (None, None)]
    assert {row["better"] for row in rows} <= {"higher", "lower"}
    assert all(row["low"] <= row["ratio"] <= row["high"] and row["slices"] == 7 for row in rows)


def test_provenance_and_a_page_are_written_beside_it(run: Callable[..., tuple[int, list]], tmp_path: Path) -> None:
    run([step(SOME[0])])
    facts = json.loads((tmp_path / "bench-provenance.json").read_text())
    assert {"kernel", "cpu_model", "time", "peers", "figures", "missing"} <= facts.keys()
    page = (tmp_path / "bench.html").read_text()
    assert SOME[0] in page and "data:image/png;base64," in page


def test_a_missed_goal_is_a_result_and_no_failure(
    run: Callable[..., tuple[int, list]], capsys: pytest.CaptureFixture[str]
) -> None:
    status, rows = run([step(SOME[0], 0.5)])
    assert (status, rows[0]["meets"]) == (0, False)
    assert "MISSED" in capsys.readouterr().out


def test_a_missing_peer_is_told_and_the_rest_goes_on(
    run: Callable[..., tuple[int, list]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, rows = run([step(SOME[0], peers=("no-such-program",)), step(SOME[1])])
    assert (status, [row["name"] for row in rows]) == (0, [SOME[1]])
    assert "no-such-program" in capsys.readouterr().out
    assert "no-such-program" in json.loads((tmp_path / "bench-provenance.json").read_text())["missing"][SOME[0]]


def test_what_this_machine_lacks_is_told_and_the_rest_goes_on(run: Callable[..., tuple[int, list]]) -> None:
    status, rows = run([step(SOME[0], error=Missing("No sockmap.", "take another kernel")), step(SOME[1])])
    assert (status, [row["name"] for row in rows]) == (0, [SOME[1]])


def test_a_step_that_fails_is_told_and_fails_the_bench_at_its_end(
    run: Callable[..., tuple[int, list]], capsys: pytest.CaptureFixture[str]
) -> None:
    status, rows = run([step(SOME[0], error=LabkitError("It broke.", "fix it")), step(SOME[1])])
    assert (status, [row["name"] for row in rows]) == (1, [SOME[1]])
    assert "It broke." in capsys.readouterr().err


@pytest.mark.parametrize(("only", "names"), [("io.warm.4k.sync", [SOME[0]]), ("trace", [SOME[1]])])
def test_only_runs_what_is_named(run: Callable[..., tuple[int, list]], only: str, names: list[str]) -> None:
    _, rows = run([step(name) for name in SOME], only)
    assert [row["name"] for row in rows] == names


def test_an_unknown_name_is_answered_with_the_nearest(
    run: Callable[..., tuple[int, list]], capsys: pytest.CaptureFixture[str]
) -> None:
    status, rows = run([step(name) for name in SOME], "trace.closur3")
    assert (status, rows) == (2, [])
    assert "trace.closure" in capsys.readouterr().err


def test_ctrl_c_writes_nothing(run: Callable[..., tuple[int, list]]) -> None:
    def stop(progress: Progress) -> list[Figure]:
        raise KeyboardInterrupt

    status, rows = run([Step((SOME[0],), stop, 1)])
    assert (status, rows) == (130, [])


def test_what_it_changes_of_the_scheduler_is_put_back(run: Callable[..., tuple[int, list]], tmp_path: Path) -> None:
    setting, seen = tmp_path / "autogroup", []
    setting.write_text("1\n")

    def look(progress: Progress) -> list[Figure]:
        seen.append(setting.read_text())
        raise KeyboardInterrupt

    run([Step((SOME[0],), look, 1)])
    assert (seen, setting.read_text()) == (["0"], "1\n")


def test_rounds_keep_what_each_slice_measured_beside_its_arm() -> None:
    counts = {"a": 0, "b": 100}

    def arm(name: str) -> Callable[[], dict[str, float]]:
        def one() -> dict[str, float]:
            counts[name] += 1
            return {"first": counts[name], "second": -counts[name]}

        return one

    frame = rounds("a test", {"a": arm("a"), "b": arm("b")}, baseline="a", slices=3, progress=lambda share, note: None)
    assert sorted(frame[frame["arm"] == "b"]["first"]) == [101, 102, 103]
    assert sorted(frame[frame["arm"] != "b"]["first"]) == [1, 2, 3, 4, 5, 6]  # itself and again
    assert (frame["first"] == -frame["second"]).all()


def test_a_figure_has_the_interval_of_the_arm_that_ran_twice() -> None:
    rows = [
        {"arm": arm, "slice": number, "value": level * (1 + 0.01 * (number % 3))}
        for number in range(8)
        for arm, level in {"lab": 2.0, "fio": 1.0, "fio (again)": 1.0}.items()
    ]
    figure = ratio("io.direct.qd1.sync", pd.DataFrame(rows), "value", "lab", "fio")
    assert (figure.ratio, figure.facts["again"]) == (pytest.approx(2.0), [1.0, 1.0])


def test_fio_gets_the_knobs_of_the_job(tmp_path: Path) -> None:
    file = tmp_path / "blocks"
    file.write_bytes(bytes(1 << 20))
    line = fio.command(
        Job("io_uring", cache="warm", queue_depth=32, batch=8, wait_for=4), file, 0.5, 1, registered=True
    )
    wanted = {
        "--ioengine=io_uring",
        "--bs=4096",
        "--iodepth=32",
        "--iodepth_batch=8",
        "--iodepth_batch_complete_min=4",
        "--iodepth_batch_complete_max=32",
        "--direct=0",
        "--runtime=500ms",
        "--time_based=1",
        "--fixedbufs=1",
        "--registerfiles=1",
        "--cpus_allowed=1",
    }
    assert wanted <= set(line)


def test_the_types_agree() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "-p", "bench"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    told = [line for line in ran.stdout.splitlines() if line.startswith("bench")]
    assert told == []


@pytest.mark.bpf
def test_one_figure_end_to_end(tmp_path: Path) -> None:
    """As `make bench ONLY=trace.cost_vs` does it, in a hurry: the peers are really run."""
    ran = bench(tmp_path, "trace.cost_vs")
    out, err = ran.communicate(timeout=500)
    assert ran.returncode == 0, err
    rows = json.loads((tmp_path / "bench.json").read_text())
    told = {row["name"] for row in rows} | set(json.loads((tmp_path / "bench-provenance.json").read_text())["missing"])
    assert told == {name for name in GOALS if name.startswith("trace.cost_vs")}
    assert all(row["low"] <= row["ratio"] <= row["high"] for row in rows)
    assert all(name in out for name in told)


@pytest.mark.bpf
def test_ctrl_c_ends_the_peer_too(tmp_path: Path) -> None:
    """The fixture of every kernel-facing test looks for processes, programs and files that remain."""
    ran = bench(tmp_path, "trace.cost_vs_bpftrace", start_new_session=True)
    assert ran.stderr is not None
    assert "trace.cost_vs_bpftrace" in ran.stderr.readline()
    while ran.poll() is None and not peers_of(ran.pid):
        pass
    assert ran.poll() is None, "it ended before its peer began"
    ran.send_signal(signal.SIGINT)
    ran.communicate(timeout=60)
    assert ran.returncode == 130
    assert list(tmp_path.iterdir()) == []


def bench(to: Path, *arguments: str, **how: bool) -> subprocess.Popen[str]:
    environment = {**os.environ, "LABKIT_QUICK": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments, "--to", str(to)],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **how,
    )


def peers_of(pid: int) -> list[str]:
    """Return the children of a process that are no workload of the lab's."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
        except OSError:
            continue
        if tail.split()[1] == str(pid) and "bpftrace" in head:
            found.append(head)
    return found


def test_the_command_line_of_the_lab_has_it() -> None:
    command = [sys.executable, "-m", "labkit", "bench", "io.nonsense"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert told.returncode == 2 and "'io.nonsense' is not known" in told.stderr
