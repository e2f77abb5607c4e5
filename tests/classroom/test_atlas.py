# SPDX-License-Identifier: Apache-2.0
"""Thirty machines in one picture: those that are far from the others are named, damaged frames are left out."""

from __future__ import annotations

import json
from pathlib import Path

import ipywidgets as widgets
import pytest

from labkit.classroom import atlas
from labkit.cli import main
from labkit.errors import BadArgument
from labkit.notebook.kept_frames import FRAMES
from labkit.notebook.plotting import style

SIZES = next(known for known in FRAMES if known.key == "07-sizes")
MACHINES = 30


def machine(folder: Path, name: str, factor: float, kernel: str = "6.12") -> Path:
    """Write the frames of a machine whose disk is `factor` times as quick as the class's."""
    own = folder / name / "frames"
    own.mkdir(parents=True)
    rows = [
        f"{engine},{size},{factor * size * 1e4 * (2 if engine == 'io_uring' else 1)}"
        for engine in ("sync", "io_uring")
        for size in (4096, 16384, 65536)
    ]
    (own / "07-sizes.csv").write_text("\n".join(["engine,block_bytes,bytes_per_s", *rows]) + "\n")
    facts = {"kernel": kernel, "cpu_model": "A $CPU_{x", "filesystem": "ext4", "device": f"sd{name[0]}"}
    (own / "07-sizes.json").write_text(json.dumps(facts))
    trips = [f"{arm},same core,64,{factor * 9000}" for arm in ("TCP", "TCP + sockmap")]
    (own / "09-trips.csv").write_text("\n".join(["arm,pinning,message_bytes,rtt_ns", *trips]) + "\n")
    (own / "09-trips.json").write_text(json.dumps(facts))
    costs = [f"{arm},getppid,{factor * cost}" for arm, cost in (("nobody watches", 226.0), ("ring buffer", 647.0))]
    (own / "06-cost.csv").write_text("\n".join(["arm,call,ns_per_call", *costs]) + "\n")
    (own / "06-cost.json").write_text(json.dumps(facts))
    lacks = name.endswith("7")  # fentry
    arms = {"nothing": 90.0, "tracepoint at entry": 250.0, "fentry at entry": 150.0, "uprobe at entry": 1300.0}
    each = [f"{arm},{part},{factor * ns}" for arm, ns in arms.items() for part in (0, 1) if not (lacks and "fe" in arm)]
    (own / "04-cost.csv").write_text("\n".join(["arm,slice,ns_per_call", *each]) + "\n")
    (own / "04-cost.json").write_text(json.dumps(facts))
    return own


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(MACHINES - 1):
        machine(tmp_path, f"m{number:02}", 1 + 0.01 * (number % 7), kernel=f"6.{number % 3}")
    machine(tmp_path, "slow one", 0.2)
    return tmp_path


def test_the_outlier_is_named_and_no_other(folder: Path) -> None:
    made = atlas.read(folder)
    assert made["machine"].nunique() == MACHINES
    rows = made[(made["frame"] == "07-sizes") & (made["line"] == "sync")]
    found = atlas.outliers(rows)
    assert found["machine"].tolist() == ["slow one"]
    assert found["ratio"].iloc[0] == pytest.approx(0.2, rel=0.05)
    drawn = style.figure()
    ax = atlas.plot(rows, SIZES, colour="kernel", ax=drawn.subplots())
    assert len(ax.lines) == MACHINES
    assert [text.get_text() for text in ax.texts] == ["slow one: 0.19x"]
    assert len({line.get_color() for line in ax.lines}) == 4  # 6.0, 6.1, 6.2, and the slow one's 6.12


def test_what_probes_cost_is_drawn_from_the_cheapest_mechanism_to_the_dearest(folder: Path) -> None:
    """A machine that lacks a mechanism has a gap there, not a line that turns back."""
    rows = atlas.read(folder).query("frame == '04-cost'")
    assert rows["line"].unique().tolist() == ["all mechanisms"]
    known = next(known for known in FRAMES if known.key == "04-cost")
    ax = atlas.plot(rows, known, ax=style.figure().subplots())
    labels = [tick.get_text() for tick in ax.get_xticklabels()]
    assert labels == ["nothing", "fentry at entry", "tracepoint at entry", "uprobe at entry"]
    drawn = {tuple(line.get_xdata()) for line in ax.lines}
    assert drawn == {(0, 1, 2, 3), (0, 2, 3)}
    assert [text.get_text() for text in ax.texts] == ["slow one: 0.19x"]


def test_machines_that_are_alike_have_no_outlier(tmp_path: Path) -> None:
    for number in range(6):
        machine(tmp_path, f"m{number}", 1.0 if number else 1.2)
    made = atlas.read(tmp_path)
    assert atlas.outliers(made[(made["frame"] == "07-sizes") & (made["line"] == "sync")]).empty


def test_the_page_has_every_table_and_loads_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["atlas", str(folder), "--colour", "cpu"]) == 0
    page = (folder / "atlas.html").read_text()
    assert capsys.readouterr().out.strip() == str(folder / "atlas.html")
    assert page.count("<img") == 6  # two engines, two arms, one call, one for all mechanisms
    assert "slow one" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_what_cannot_be_read_is_left_out_and_named(folder: Path) -> None:
    (folder / "m00/frames/07-sizes.csv").write_text("engine\nsync\n")
    (folder / "m01/frames/07-sizes.json").write_text("[1]")
    recorded = folder / "m02/frames/07-sizes.json"
    recorded.write_text(json.dumps({"recorded": True}))
    (folder / "m03/frames/07-sizes.csv").write_text("engine,block_bytes,bytes_per_s\nsync,a,b\nsync,-1,inf\n")
    made = atlas.read(folder)
    warnings = made.attrs["warnings"]
    assert [line.partition(":")[0] for line in warnings] == ["m00", "m01", "m02"]
    assert "recording" in warnings[2]
    assert made[made["frame"] == "07-sizes"]["machine"].nunique() == MACHINES - 4


def test_the_panel_draws_what_is_chosen(folder: Path) -> None:
    box = atlas.panel(folder)
    (controls, shown) = box.children
    assert isinstance(shown, widgets.HTML)
    before = shown.value
    table, line, colour = controls.children
    table.value = next(held for _, held in table.options if held.key == "09-trips")
    assert line.options == ("TCP", "TCP + sockmap")
    after = shown.value
    assert after != before
    colour.value = "kernel"
    assert shown.value != after


def test_bad_calls_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="is not a folder"):
        atlas.read(tmp_path / "none")
    with pytest.raises(BadArgument, match="has a frame"):
        atlas.read(tmp_path)
    with pytest.raises(BadArgument, match="did you mean 'disk'"):
        atlas.page(tmp_path, colour="disc")
