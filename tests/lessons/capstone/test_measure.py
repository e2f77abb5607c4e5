"""Lesson 10: every system call is counted once, and by its right file. Witnesses: strace, sqlite3's shell, os.stat."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import BadArgument, LabkitError, Missing, Stopped, WorkloadError, WorkloadUnable
from labkit.lessons import capstone
from labkit.lessons.capstone import call_by_call, calls, exercises, servers, sqlite
from labkit.lessons.capstone.calls import NO_FILE
from labkit.lessons.capstone.sqlite import DATABASE, SqliteSettings
from labkit.machine.doctor import software
from labkit.machine.doctor.rows import Finding
from labkit.running import truths
from labkit.running.cgroup import Cgroup
from labkit.running.workload import Workload

bpf = pytest.mark.bpf
needs_redis = pytest.mark.skipif(bool(servers.why_not()), reason=servers.why_not())
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
    seen = calls_of(journals, "delete, full")
    syncs = {file: count for (call, file), count in seen.items() if call in calls.SYNCS}
    assert syncs == {"journal": 2 * 46, "folder": 46, "database": 46}
    assert seen["unlink", NO_FILE] + seen["unlinkat", NO_FILE] == seen["openat", "journal"] == 46


@bpf
def test_with_a_log_it_takes_one_and_nothing_is_unlinked(journals: pd.DataFrame) -> None:
    seen = calls_of(journals, "wal, full")
    syncs = {file: count for (call, file), count in seen.items() if call in calls.SYNCS}
    # besides: the log's own head, and the checkpoint when the database is closed, in each slice
    assert syncs == {"log": 46 + 2 * 2, "database": 2}
    assert seen["openat", "journal"] == 0
    assert seen["unlink", NO_FILE] + seen["unlinkat", NO_FILE] == 2 * 2  # the log and its index, at the end


@bpf
def test_the_journal_is_cut_or_left_in_the_other_modes(journals: pd.DataFrame) -> None:
    assert calls_of(journals, "truncate, full")["ftruncate", "journal"] == 46
    for arm in ("truncate, full", "persist, full"):
        assert calls_of(journals, arm)["unlink", NO_FILE] + calls_of(journals, arm)["unlinkat", NO_FILE] == 0
    assert calls_of(journals, "persist, full")["ftruncate", "journal"] == 0


@bpf
def test_sqlites_own_shell_finds_every_row(journals: pd.DataFrame) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed: run `make setup`")
    assert capstone.summary(journals)["stored_rows"].tolist() == [2 * 46] * 4


@bpf
def test_the_sums_are_those_of_the_table(journals: pd.DataFrame) -> None:
    sums = capstone.summary(journals).set_index("arm")
    assert sums["transactions"].tolist() == sums["rows"].tolist() == [2 * 46] * 4
    assert sums["syncs_per_transaction"]["delete, full"] == 4
    assert sums["syncs_per_transaction"]["wal, full"] == pytest.approx(52 / 46)
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
    assert sums.to_dict() == unwatched.drop("delete, full (again)").to_dict()


@bpf
def test_the_first_arm_is_compared_with_itself_too(journals: pd.DataFrame) -> None:
    ratios = capstone.ratios(journals)
    assert sorted(ratios["arm"]) == ["delete, full (again)", "persist, full", "truncate, full", "wal, full"]
    assert (ratios["low"] <= ratios["ratio"]).all() and (ratios["ratio"] <= ratios["high"]).all()


def found_ratios(again: tuple[float, float, float], slices: int = 6) -> pd.DataFrame:
    ratio, low, high = again
    row = {"arm": "delete, full (again)", "ratio": ratio, "low": low, "high": high, "slices": slices}
    return schema.frame([row], baseline="delete, full")


def test_a_restless_disk_is_told_by_its_factor() -> None:
    told = capstone.steadiness(found_ratios((0.74, 0.6, 0.9)))
    assert told.startswith("delete, full differed from itself by a factor of 0.74 (0.60 to 0.90, 95 % interval)")
    assert told.endswith("Believe only differences that are much larger than that.")
    wide = capstone.steadiness(found_ratios((1.0, 0.7, 1.3)))
    assert wide.startswith("delete, full may differ from itself by any factor within 0.70 to 1.30, 95 % interval")
    assert "agreed with itself, by a factor of 1.01" in capstone.steadiness(found_ratios((1.01, 0.97, 1.04)))
    assert "(0.97 to 1.04, range)" in capstone.steadiness(found_ratios((1.01, 0.97, 1.04), slices=2))


@bpf
def test_extra_syncs_the_folder_once_more_and_a_log_no_more_often() -> None:
    frame = capstone.measure(("delete", "wal"), ("full", "extra"), **SMALL)
    syncs = frame[frame["call"].isin(calls.SYNCS)].groupby(["arm", "file"])["count"].sum()
    assert syncs["delete, full"].to_dict() == {"journal": 2 * 46, "folder": 46, "database": 46}
    assert syncs["delete, extra"].to_dict() == {"journal": 2 * 46, "folder": 2 * 46, "database": 46}
    assert syncs["wal, extra"].to_dict() == syncs["wal, full"].to_dict()


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
    one, place, alike, of = call_by_call._typical(pd.DataFrame(events))
    assert (place, alike, of) == (1, 4, 5)  # 10, 50, 100 and 300 ns long: the middle is the third
    assert one["time_ns"].tolist() == [1, 2]


@bpf
def test_one_transaction_is_a_list_of_its_calls_in_order() -> None:
    frame = capstone.transaction()
    for arm, syncs in (("delete, full", ["journal", "folder", "journal", "database"]), ("wal, full", ["log"])):
        one = frame[frame["arm"] == arm]
        assert one["time_ns"].is_monotonic_increasing and one["time_ns"].iloc[0] >= 0
        assert one.loc[one["call"].isin(calls.SYNCS), "file"].tolist() == syncs
        ends = one["time_ns"] + one["latency_ns"]
        assert (ends.to_numpy()[:-1] <= one["time_ns"].to_numpy()[1:]).all()
        assert re.search(rf"{arm}: transaction \d+ of 10; \d+ of them make {len(one)} calls", frame.attrs["chosen"])
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


# -- the application -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


@pytest.mark.parametrize("journal", capstone.JOURNALS)
def test_the_application_stores_what_it_says(folder: Path, journal: str) -> None:
    python, *options = sqlite.application()
    with Workload(Path(python), [*options, *SqliteSettings(journal, "full", 23, 3, 1000).arguments(folder)]) as run:
        told = run.go()
    assert (told["transactions"], told["rows"], told["elapsed_s"] > 0) == (23, 69, True)
    stored = sqlite3.connect(folder / DATABASE)
    assert stored.execute("SELECT count(*), sum(length(content)) FROM orders").fetchone() == (69, 69_000)
    assert stored.execute("PRAGMA journal_mode").fetchone() == ("wal" if journal == "wal" else "delete",)
    stored.close()


def test_the_application_leaves_quietly_when_nobody_says_go(folder: Path) -> None:
    ran = subprocess.run(
        [*sqlite.application(), "--folder", str(folder)], input="", capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ready\n", "")


def test_a_folder_that_is_not_there_is_told_in_two_lines(folder: Path) -> None:
    python, *options = sqlite.application()
    with (
        pytest.raises(WorkloadError, match=r"SQLite says: unable to open database file\nFix: "),
        Workload(Path(python), [*options, *SqliteSettings().arguments(folder / "nowhere")]),
    ):
        pass


def test_a_python_without_sqlite_says_that_it_cannot_run(folder: Path) -> None:
    python, _, child = sqlite.application()
    (folder / "sqlite3.py").write_text("raise ImportError('No module named _sqlite3')\n")
    command = [
        "-c",
        f"import sys, runpy; sys.path.insert(0, {str(folder)!r}); runpy.run_path({child!r}, run_name='__main__')",
    ]
    with (
        pytest.raises(WorkloadUnable, match="this Python has no SQLite: No module named _sqlite3"),
        Workload(Path(python), [*command, *SqliteSettings().arguments(folder)]),
    ):
        pass


# -- a server under load -------------------------------------------------------------------------------


@bpf
@needs_redis
def test_an_answer_takes_one_write_without_a_pipeline_and_a_part_of_one_with_it() -> None:
    frame = servers.measure((1, 16), requests=1600, slices=2)
    for pipeline, answers in ((1, 1600), (16, 100)):
        written = frame[(frame["pipeline"] == pipeline) & (frame["call"] == "write")]
        settings = 4  # redis-benchmark asks the server for its settings first
        assert len(written) == 2 and written["watched"].all()
        assert written["count"].between(answers, answers + settings).all()
        assert written["written_bytes"].between(5 * 1600, 5 * 1600 + 500).all()  # "+OK\r\n"
    assert frame.attrs["server"].startswith("Redis server") and frame.attrs["lost_events"] == 0
    assert (servers.summary(frame)["syncs_per_request"] == 0).all()


@bpf
@needs_redis
def test_always_syncs_before_each_answer_and_clients_share_a_sync() -> None:
    frame = servers.measure(1, (1, 50), ("no", "always"), requests=400, slices=2)
    syncs = servers.summary(frame).set_index("arm")["syncs_per_request"]
    assert syncs["1 client, pipeline 1, sync: always"] == 1
    assert 0 < syncs["50 clients, pipeline 1, sync: always"] < 1
    assert syncs["1 client, pipeline 1, sync: no"] == syncs["50 clients, pipeline 1, sync: no"] == 0
    own = frame[(frame["call"].isin(calls.SYNCS)) & (frame["append_only"] == "always")]
    assert set(own["file"]) == {"append-only file"}


@bpf
@needs_redis
def test_a_single_client_sends_fewer_requests_and_each_slice_has_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")
    sums = servers.summary(servers.measure(1, (1, 50), slices=2))
    assert sums["requests"].tolist() == [500, 2000]
    assert (sums["low_per_s"] <= sums["requests_per_s"]).all()
    assert (sums["requests_per_s"] <= sums["high_per_s"]).all()


@bpf
@needs_redis
def test_answers_are_compared_by_unwatched_slices_with_an_arm_against_itself() -> None:
    frame = servers.measure(1, (1, 50), requests=400, slices=2)
    assert frame.loc[~frame["watched"], "call"].unique().tolist() == ["(request)"]
    assert servers.ratios(frame)["arm"].tolist() == ["50 clients, pipeline 1", "1 client, pipeline 1 (again)"]
    other = servers.ratios(frame, "50 clients, pipeline 1", "p50_ns")
    assert other["arm"].tolist() == ["1 client, pipeline 1"]
    with pytest.raises(BadArgument, match="did you mean '50 clients, pipeline 1'"):
        servers.ratios(frame, "50 client, pipeline 1")


@bpf
@needs_redis
def test_a_server_without_cgroups_is_missing_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Cgroup) -> Cgroup:
        raise Missing("cgroup v2 is not mounted.", "mount it")

    monkeypatch.setattr(Cgroup, "__enter__", refuse)
    with pytest.raises(Missing, match="cgroup v2"):
        servers.measure(requests=100)


def test_without_redis_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Missing, match="not installed") as refused:
        servers.measure()
    assert refused.value.fix == "sudo apt-get install redis-server redis-tools"


# -- the exercises -------------------------------------------------------------------------------------

TOOL = """
#include "labkit.h"
BPF_HASH(found, u32, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_CALL)
{
	u32 pid = labkit_pid();
	u64 zero = 0, *sum = found.lookup_or_try_init(&pid, &zero);

	if (sum && labkit_is_target())
		__sync_fetch_and_add(sum, ADD);
	return 0;
}
"""


def tool(folder: Path, call: str, add: str) -> Program:
    """A learner's program that sums something up for each process."""
    path = folder / "found.c"
    path.write_text(TOOL.replace("CALL", call).replace("ADD", add))
    return Program(source=path)


def sync_name() -> str:
    frame = capstone.witnesses(transactions=2) if shutil.which("strace") else capstone.measure(**SMALL)
    return next(call for call in frame["call"] if call in calls.SYNCS)


@bpf
def test_the_journal_that_is_asked_for_is_neither_unlinked_nor_cut() -> None:
    frame = exercises.which_journal()
    wide = frame.pivot(index="arm", columns="call", values="count").fillna(0)
    unlinks = wide.get("unlink", 0) + wide.get("unlinkat", 0)
    syncs = wide[[call for call in calls.SYNCS if call in wide]].sum(axis=1)
    quiet = wide[(unlinks < 46) & (wide["ftruncate"] < 46) & (syncs > 3 * 46)]
    assert quiet.index.tolist() == [truths.expected("10-q1")]
    assert "file" not in frame and not {"baseline", "command"} & set(frame.attrs)


@bpf
def test_syncs_tell_the_transactions(folder: Path) -> None:
    with tool(folder, sync_name(), "1") as program:
        program.attach()
        assert "What did your program count?" in exercises.count_transactions(program)
        assert sum(program.hash("found").values()) == 4 * truths.expected("10-q2")  # type: ignore[operator]


@bpf
def test_the_process_with_most_syncs_is_the_one_that_commits_each_row(folder: Path) -> None:
    with tool(folder, sync_name(), "1") as program:
        program.attach()
        assert "Who committed after each row?" in exercises.who_commits(program)
        found = program.hash("found")
    found = {pid: count for pid, count in found.items() if count}
    assert len(found) == 4
    assert max(found, key=lambda pid: found[pid]) == truths.expected("10-q3")
    assert max(found.values()) == 4 * 60


@bpf
def test_the_sizes_of_the_writes_add_up_to_the_log(folder: Path) -> None:
    with tool(folder, "pwrite64", "args->count") as program:
        program.attach()
        assert "How many bytes did it write?" in exercises.log_size(program)
        assert sum(program.hash("found").values()) == truths.expected("10-q4")


@bpf
@pytest.mark.parametrize("riddle", ["count_transactions", "who_commits", "log_size"])
def test_a_program_that_does_not_serve_is_told_in_words(folder: Path, riddle: str) -> None:
    ask = getattr(exercises, riddle)
    assert "not loaded yet" in ask(None)
    path = folder / "nobody.c"
    path.write_text("TRACEPOINT_PROBE(syscalls, sys_enter_openat) { return 0; }\n")
    with Program(source=path) as program:
        assert "does not ask whom it watches" in ask(program)


# -- what goes wrong -----------------------------------------------------------------------------------


@bpf
def test_stop_ends_each_measurement() -> None:
    def stop(share: float, note: str) -> None:
        if note not in ("done", ""):
            raise Stopped

    for function in (capstone.measure, capstone.transaction, capstone.witnesses):
        with pytest.raises(Stopped):
            function(progress=stop)  # type: ignore[operator]


@bpf
@needs_redis
def test_stop_ends_a_server_in_the_midst_of_its_work() -> None:
    def stop(share: float, note: str) -> None:
        if "client" in note:
            raise Stopped

    with pytest.raises(Stopped):
        servers.measure(1, requests=10_000_000, progress=stop)


@bpf
def test_a_full_disk_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    monkeypatch.setattr(Workload, "__enter__", lambda self: pytest.fail("the application was started"))
    for function in (capstone.measure, capstone.transaction):
        with pytest.raises(LabkitError, match="no room"):
            function()  # type: ignore[operator]


@bpf
def test_a_folder_in_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no /dev/shm")
    monkeypatch.setenv("LABKIT_DATA", "/dev/shm/labkit-test")
    try:
        frame = capstone.measure("wal", **SMALL)
        assert re.search(r"in memory \(tmpfs\)", " ".join(frame.attrs["warnings"]))
        assert list(Path("/dev/shm/labkit-test").iterdir()) == []
    finally:
        shutil.rmtree("/dev/shm/labkit-test", ignore_errors=True)


@bpf
def test_a_damaged_database_is_told(monkeypatch: pytest.MonkeyPatch, data_folder: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed: run `make setup`")
    own = data_folder / "damaged"
    own.mkdir()
    (own / DATABASE).write_bytes(b"no database at all" * 1000)
    with pytest.raises(WorkloadError, match="damaged"):
        sqlite.stored_rows(own)
    shutil.rmtree(own)


@bpf
def test_a_database_without_the_shell_is_counted_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "sqlite3" else f"/usr/bin/{name}")
    frame = capstone.measure("wal", **SMALL)
    assert capstone.summary(frame)["stored_rows"].tolist() == [0]
    assert "sqlite3 is not installed" in frame.attrs["warnings"][0]


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        (capstone.measure, {"journal": "wall"}, "journal='wall'.*did you mean 'wal'"),
        (capstone.measure, {"journal": []}, r"journal=\[\]"),
        (capstone.measure, {"journal": ["delete", 3]}, "journal=3"),
        (capstone.measure, {"synchronous": "ful"}, "did you mean 'full'"),
        (capstone.measure, {"synchronous": ()}, r"synchronous=\(\)"),
        (capstone.measure, {"synchronous": None}, "synchronous=None"),
        (capstone.measure, {"rows_per_transaction": 0}, "rows_per_transaction=0"),
        (capstone.measure, {"rows_per_transaction": [1, 10_001]}, "1 to 10000 rows"),
        (capstone.measure, {"transactions": 0}, "transactions=0"),
        (capstone.measure, {"transactions": 2.5}, "transactions=2.5"),
        (capstone.measure, {"transactions": 100_001}, "1 to 100000"),
        (capstone.measure, {"transactions": 100_000}, "may be 256 MiB"),
        (capstone.measure, {"row_bytes": 0}, "row_bytes=0"),
        (capstone.measure, {"row_bytes": (1 << 20) + 1}, "1 to 1048576 bytes"),
        (capstone.measure, {"row_bytes": "4096"}, "row_bytes='4096'"),
        (capstone.measure, {"slices": 1}, "slices=1"),
        (capstone.measure, {"slices": True}, "slices=True"),
        (capstone.transaction, {"journal": "x"}, "journal='x'"),
        (capstone.transaction, {"synchronous": ["full"]}, "synchronous="),
        (capstone.transaction, {"row_bytes": -1}, "row_bytes=-1"),
        (capstone.witnesses, {"journal": "memory"}, "journal='memory'"),
        (capstone.witnesses, {"transactions": -23}, "transactions=-23"),
        (servers.measure, {"pipeline": 0}, "pipeline=0"),
        (servers.measure, {"pipeline": []}, r"pipeline=\[\]"),
        (servers.measure, {"clients": 1001}, "1 to 1000 clients"),
        (servers.measure, {"clients": "many"}, "clients='many'"),
        (servers.measure, {"append_only": "allways"}, "did you mean 'always'"),
        (servers.measure, {"requests": 99}, "requests=99"),
        (servers.measure, {"slices": 0}, "slices=0"),
    ],
)
def test_bad_arguments_are_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, function: Any, arguments: dict[str, object], told: str
) -> None:
    monkeypatch.setattr(Workload, "__enter__", lambda self: pytest.fail("a program was started"))
    with pytest.raises(BadArgument, match=told):
        function(**arguments)


@bpf
def test_a_return_from_a_signal_handler_is_counted_by_its_name() -> None:
    """At the end of rt_sigreturn the kernel tells no number: only its beginning does."""
    with Program("capstone") as program, Workload("hello", ["--getppid", "1000000", "--calls-per-s", "1000"]) as run:
        with calls.watching(program, run.pid, {}):
            run.start()
            while not program.hash("sums"):
                pass  # so that the signal comes in the middle of the work
            run.stop()
            run.result()
        seen = calls.read_calls(program, {})
    assert seen["rt_sigreturn", NO_FILE].count == 1


def test_an_alias_among_the_numbers_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers of 64-bit ARM."""
    said = "#define __NR_fcntl __NR3264_fcntl\n#define __NR3264_fcntl 25\n#define __NR_openat 56\n"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, said, ""))
    calls.call_names.cache_clear()
    try:
        assert {25: "fcntl", 56: "openat"}.items() <= calls.call_names().items()
    finally:
        calls.call_names.cache_clear()


def test_a_process_may_open_and_close_files_while_it_is_looked_at() -> None:
    busy = (
        "import os\nprint('on', flush=True)\nwhile True:\n    [os.close(fd) for fd in [os.dup(1) for _ in range(40)]]"
    )
    with subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "on\n"
            looks = [calls.open_files(process.pid) for _ in range(300)]
        finally:
            process.kill()
    assert all({0, 1, 2} <= look.keys() for look in looks)
    assert len({len(look) for look in looks}) > 1  # it did open and close meanwhile
