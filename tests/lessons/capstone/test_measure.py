# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: every system call is counted once, and by its right file. Witnesses: strace, sqlite3's shell, os.stat."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import Missing, WorkloadError
from labkit.lessons import capstone
from labkit.lessons.capstone import call_by_call, calls, sqlite
from labkit.lessons.capstone.calls import NO_FILE
from labkit.lessons.capstone.sqlite import DATABASE, SqliteSettings
from labkit.machine.doctor import software
from labkit.machine.doctor.rows import Finding
from labkit.running.workload import Workload

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: run `make setup`")
SMALL: dict[str, Any] = {"transactions": 23, "slices": 2}
MEMORY_CALLS = {"brk", "mmap", "munmap", "mremap", "madvise"}  # the allocator's business, not SQLite's


def calls_of(frame: pd.DataFrame, arm: str) -> Counter[tuple[str, str]]:
    rows = capstone.call_table(frame, arm)
    return Counter({(row["call"], row["file"]): row["count"] for row in rows.to_dict("records")})


@pytest.fixture(scope="module")
def journals() -> pd.DataFrame:
    """All four journal modes, two watched slices of 23 transactions each: 46; and as many unwatched."""
    return capstone.measure(capstone.JOURNALS, **SMALL)


@bpf
def test_a_transaction_with_a_journal_takes_four_syncs(journals: pd.DataFrame) -> None:
    seen = calls_of(journals, "delete/full")
    syncs = {file: count for (call, file), count in seen.items() if call in calls.SYNCS}
    assert syncs == {"journal": 2 * 46, "folder": 46, "database": 46}
    assert seen["unlink", NO_FILE] + seen["unlinkat", NO_FILE] == seen["openat", "journal"] == 46


@bpf
def test_with_a_log_it_takes_one_and_nothing_is_unlinked(journals: pd.DataFrame) -> None:
    seen = calls_of(journals, "wal/full")
    syncs = {file: count for (call, file), count in seen.items() if call in calls.SYNCS}
    # besides: the log's own head, and the checkpoint when the database is closed, in each slice
    assert syncs == {"log": 46 + 2 * 2, "database": 2}
    assert seen["openat", "journal"] == 0
    assert seen["unlink", NO_FILE] + seen["unlinkat", NO_FILE] == 2 * 2  # the log and its index, at the end


@bpf
def test_the_journal_is_cut_or_left_in_the_other_modes(journals: pd.DataFrame) -> None:
    assert calls_of(journals, "truncate/full")["ftruncate", "journal"] == 46
    for arm in ("truncate/full", "persist/full"):
        assert calls_of(journals, arm)["unlink", NO_FILE] + calls_of(journals, arm)["unlinkat", NO_FILE] == 0
    assert calls_of(journals, "persist/full")["ftruncate", "journal"] == 0


@bpf
def test_sqlites_own_shell_finds_every_row(journals: pd.DataFrame) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed: run `make setup`")
    assert capstone.summary(journals)["stored_rows"].tolist() == [2 * 46] * 4


@bpf
def test_the_sums_are_those_of_the_table(journals: pd.DataFrame) -> None:
    sums = capstone.summary(journals).set_index("arm")
    assert sums["transactions"].tolist() == sums["rows"].tolist() == [2 * 46] * 4
    assert sums["syncs_per_transaction"]["delete/full"] == 4
    assert sums["syncs_per_transaction"]["wal/full"] == pytest.approx(52 / 46)
    for arm, rows in capstone.call_table(journals).groupby("arm"):
        assert sums["ns_per_row"][arm] == sums["ns_per_transaction"][arm]
        assert sums["calls_per_transaction"][arm] == pytest.approx(rows["count"].sum() / 46)
        assert rows["share"].sum() <= 1  # calls are a part of the time
        assert (rows["mean_ns"] * rows["count"]).round().tolist() == rows["total_ns"].tolist()
    assert journals["p99_ns"].isna().all()  # of fewer than 1000 calls
    assert journals.attrs["lost_events"] == 0


@bpf
def test_times_are_those_of_unwatched_slices_and_calls_those_of_watched_ones(journals: pd.DataFrame) -> None:
    runs = journals[journals["call"] == "(transaction)"]
    assert runs[~runs["watched"]].groupby("arm").size().tolist() == [2] * 5  # the A/A arm among them
    assert runs[runs["watched"]].groupby("arm").size().tolist() == [2] * 4
    assert journals[journals["call"] != "(transaction)"]["watched"].all()
    unwatched = runs[~runs["watched"]].groupby("arm")["ns_per_row"].median()
    sums = capstone.summary(journals).set_index("arm")["ns_per_row"]
    assert sums.to_dict() == unwatched.drop("delete/full (again)").to_dict()


@bpf
def test_the_first_arm_is_compared_with_itself_too(journals: pd.DataFrame) -> None:
    ratios = capstone.ratios(journals)
    assert sorted(ratios["arm"]) == ["delete/full (again)", "persist/full", "truncate/full", "wal/full"]
    assert (ratios["low"] <= ratios["ratio"]).all() and (ratios["ratio"] <= ratios["high"]).all()


def found_ratios(again: tuple[float, float, float], slices: int = 6) -> pd.DataFrame:
    ratio, low, high = again
    row = {"arm": "delete/full (again)", "ratio": ratio, "low": low, "high": high, "slices": slices}
    return schema.frame([row], baseline="delete/full")


def test_a_restless_disk_is_told_by_its_factor() -> None:
    told = capstone.steadiness(found_ratios((0.74, 0.6, 0.9)))
    assert told.startswith("delete/full differed from itself by a factor of 0.74 (0.60 to 0.90, 95 % interval)")
    assert told.endswith("Believe only differences that are much larger than that.")
    wide = capstone.steadiness(found_ratios((1.0, 0.7, 1.3)))
    assert wide.startswith("delete/full may differ from itself by any factor within 0.70 to 1.30, 95 % interval")
    assert "agreed with itself, by a factor of 1.01" in capstone.steadiness(found_ratios((1.01, 0.97, 1.04)))
    assert "(0.97 to 1.04, range)" in capstone.steadiness(found_ratios((1.01, 0.97, 1.04), slices=2))


@bpf
def test_extra_syncs_the_folder_once_more_and_a_log_no_more_often() -> None:
    frame = capstone.measure(("delete", "wal"), ("full", "extra"), **SMALL)
    syncs = frame[frame["call"].isin(calls.SYNCS)].groupby(["arm", "file"])["count"].sum()
    assert syncs["delete/full"].to_dict() == {"journal": 2 * 46, "folder": 46, "database": 46}
    assert syncs["delete/extra"].to_dict() == {"journal": 2 * 46, "folder": 2 * 46, "database": 46}
    assert syncs["wal/extra"].to_dict() == syncs["wal/full"].to_dict()


@bpf
def test_extra_syncs_the_folder_after_the_unlink() -> None:
    one = capstone.transaction("delete", "extra")
    story = [(row["call"], row["file"]) for row in one.to_dict("records")]
    (unlinked,) = [place for place, (call, _) in enumerate(story) if call in ("unlink", "unlinkat")]
    assert [file for call, file in story[unlinked:] if call in calls.SYNCS] == ["folder"]


@bpf
@pytest.mark.parametrize("journal", ["truncate", "persist"])
def test_the_other_journals_are_synced_a_last_time_after_the_database(journal: str) -> None:
    one = capstone.transaction(journal)
    files = one.loc[one["call"].isin(calls.SYNCS), "file"].tolist()
    assert files == ["journal", "folder", "journal", "database", "journal"]


@bpf
def test_only_calls_that_write_have_bytes(journals: pd.DataFrame) -> None:
    assert set(journals.loc[journals["written_bytes"].notna(), "call"]) == {"pwrite64"}


@bpf
def test_the_bytes_in_the_log_are_the_size_that_the_file_had() -> None:
    frame = capstone.measure("wal", **SMALL)
    written = frame.loc[(frame["call"] == "pwrite64") & (frame["file"] == "log"), "written_bytes"].sum()
    assert written == 2 * size_of_log(SqliteSettings("wal", transactions=23))


def size_of_log(job: SqliteSettings) -> int:
    """Run the application unwatched and without its end, and ask the file system."""
    folder = Path(os.environ["LABKIT_DATA"]) / "unwatched"
    folder.mkdir()
    python, *options = sqlite.application()
    try:
        with Workload(Path(python), [*options, *job.arguments(folder), "--leave-open"]) as run:
            run.go()
        return (folder / f"{DATABASE}-wal").stat().st_size
    finally:
        shutil.rmtree(folder)


@bpf
def test_normal_syncs_a_log_at_checkpoints_only_and_off_never() -> None:
    sums = capstone.summary(capstone.measure("wal", ("normal", "off"), **SMALL)).set_index("arm")
    assert sums["syncs_per_transaction"].mul(46).round().tolist() == [3 * 2, 0]


@bpf
def test_rows_that_are_committed_together_share_their_syncs() -> None:
    frame = capstone.measure("delete", rows_per_transaction=(1, 13), row_bytes=100, **SMALL)
    sums = capstone.summary(frame)
    assert sums["rows"].tolist() == [2 * 46, 2 * 13 * 46]
    assert sums["syncs_per_transaction"].tolist() == [4, 4]
    if shutil.which("sqlite3"):
        assert sums["stored_rows"].tolist() == [2 * 46, 2 * 13 * 46]


@bpf
@needs_strace
@pytest.mark.parametrize("journal", capstone.JOURNALS)
def test_strace_counts_the_same_calls(journal: str) -> None:
    frame = capstone.witnesses(journal, 23)
    ours = frame[~frame["call"].isin(MEMORY_CALLS)]
    assert len(ours) >= 8
    assert ours["count"].tolist() == ours["strace_count"].tolist()


@bpf
def test_strace_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Missing, match="strace is not installed"):
        capstone.witnesses()


@bpf
@needs_strace
def test_ptrace_that_is_refused_is_told_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Workload) -> Workload:
        raise WorkloadError("strace failed.", "run it by hand")

    monkeypatch.setattr(Workload, "__enter__", refuse)
    with pytest.raises(WorkloadError, match="strace failed"):  # ptrace works here: it is something else
        capstone.witnesses()
    monkeypatch.setattr(software, "strace", lambda: Finding("refused", "kernel.yama.ptrace_scope is 3", "reboot"))
    with pytest.raises(Missing, match="ptrace_scope is 3") as refused:
        capstone.witnesses()
    assert refused.value.fix == "reboot" and not isinstance(refused.value, WorkloadError)


def test_of_several_transactions_a_typical_one_is_chosen() -> None:
    """The second makes more calls than the others."""
    number = {name: each for each, name in calls.call_names().items()}
    mark, call = number[call_by_call.MARK], number["pwrite64"]
    begins = {0: 2, 100: 5, 200: 2, 500: 2, 510: 2, 560: 0}  # when a transaction begins -> its calls
    events = [
        {"time_ns": begin + place, "number": mark if place == 0 else call, "kind": 0}
        for begin, calls in begins.items()
        for place in range(calls + 1)
    ]
    one = call_by_call._typical(pd.DataFrame(events))
    assert one[["transaction", "alike", "transactions"]].iloc[0].tolist() == [
        1,
        4,
        5,
    ]  # 10, 50, 100 and 300 ns long: the middle is the third
    assert one["time_ns"].tolist() == [1, 2]


@bpf
def test_one_transaction_is_a_list_of_its_calls_in_order() -> None:
    frame = capstone.transaction()
    for arm, syncs in (("delete/full", ["journal", "folder", "journal", "database"]), ("wal/full", ["log"])):
        one = frame[frame["arm"] == arm]
        assert one["time_ns"].is_monotonic_increasing and one["time_ns"].iloc[0] >= 0
        assert one.loc[one["call"].isin(calls.SYNCS), "file"].tolist() == syncs
        ends = one["time_ns"] + one["latency_ns"]
        assert (ends.to_numpy()[:-1] <= one["time_ns"].to_numpy()[1:]).all()
        assert re.search(
            rf"{arm}: transaction \d+ of 10; \d+ of them make {len(one)} calls", capstone.which_transaction(frame)
        )
    assert call_by_call.MARK not in set(frame["call"]) and frame.attrs["lost_events"] == 0


@bpf
def test_another_process_of_the_same_kind_is_not_counted(data_folder: Path) -> None:
    """A second application works at the same time in the same folder, and nobody aims at it."""
    python, *options = sqlite.application()
    other, own = data_folder / "other", data_folder / "own"
    other.mkdir()
    own.mkdir()
    with (
        Program("capstone") as program,
        Workload(Path(python), [*options, *SqliteSettings().arguments(other)]) as neighbour,
    ):
        seen = sqlite.run_once(SqliteSettings(transactions=23), own, lambda _: started(neighbour), watch=program)
        neighbour.result()
    shutil.rmtree(other)
    shutil.rmtree(own)
    assert sum(call.count for (name, _), call in seen.calls.items() if name in calls.SYNCS) == 4 * 23


def started(run: Workload, _once: list[bool] = []) -> None:  # noqa: B006
    if not _once:
        _once.append(True)
        run.start()


def test_the_names_of_the_calls_are_this_machines() -> None:
    names = calls.call_names()
    own = {name: number for number, name in names.items()}
    assert len(names) > 200 and len(own) == len(names)
    assert {"openat", "read", "write", "fsync", "fdatasync", "pwrite64", "exit_group"} <= set(own)
    assert calls.name_of(9999) == "call 9999"
