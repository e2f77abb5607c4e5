# SPDX-License-Identifier: Apache-2.0
"""Lesson 11's measurements: what the kernel counts, what the frames hold, what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running_kernel import since

from labkit.bpf.program import Program
from labkit.errors import BadArgument, Missing, Stopped, WorkloadUnable
from labkit.lessons import serve
from labkit.lessons.serve import exercises, open_loop, runs
from labkit.running import truths
from labkit.running.pinning import PINNINGS, SAME
from labkit.stats import trial

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept
anywhere = pytest.mark.anywhere
QUICK: dict[str, Any] = {"slices": 2, "slice_s": 0.02}


# -- what the kernel sees ----------------------------------------------------------------------------------


@bpf
@pytest.mark.parametrize("way", serve.WAYS)
def test_the_kernel_counts_the_calls_that_the_server_counts(way: str) -> None:
    try:
        frame = serve.calls(way, 64, requests=1999)
    except WorkloadUnable as error:
        pytest.skip(str(error))
    calls = frame[frame["event"].isin(serve.CALLS)]
    # a newer kernel may stop a probe for another process, and skips that one's; each that was skipped is counted
    apart, lost = calls["own_count"] - calls["count"], frame.attrs["lost_events"]
    assert (apart >= 0).all() and apart.sum() <= lost
    assert lost == 0 or since("6.19")
    (row,) = serve.per_request(frame).to_dict("records")
    assert row["calls"] == calls["count"].sum() and row["requests"] == 1999
    assert row["calls_per_request"] < 1 if way in runs.WAYS[2:] else row["calls_per_request"] >= 2


@bpf
def test_a_thread_sleeps_for_each_request_and_the_others_do_not_with_many_clients() -> None:
    found = serve.per_request(serve.calls(["threads", "epoll"], 64, requests=4999, pinning=SAME)).set_index("arm")
    sleeps = found["sleeps_per_request"]
    assert sleeps["threads"] > 0.5
    # before 6.6 the scheduler lets whoever is woken run before the client has sent its other requests
    assert sleeps["epoll"] < (0.5 if since("6.6") else sleeps["threads"])


# -- every byte --------------------------------------------------------------------------------------------


@pytest.mark.kernel
def test_every_byte_comes_back_from_every_way_that_this_kernel_has() -> None:
    frame = serve.integrity(connections=200, requests=1999)
    missing = set(serve.WAYS) - set(frame["arm"])
    if "uring" in missing:
        assert missing == set(runs.WAYS[2:]), "io_uring is refused here, and so is all that needs it"
    else:
        assert missing == (set() if since("6.0") else {"multishot", "registered", "zerocopy"})
    assert len(frame.attrs["warnings"]) == len(missing)
    assert all("Linux 5.19" in said or "Linux 6.0" in said or "uring" in missing for said in frame.attrs["warnings"])
    assert (frame["requests"] == 1999).all() and (frame["answered"] == 1999).all()
    assert (frame["wrong_bytes"] == 0).all() and (frame["visits"] == 1999 // 5).all()


# -- rates -------------------------------------------------------------------------------------------------


def test_measure_has_a_row_for_every_slice_and_epoll_against_itself() -> None:
    frame = serve.measure(["threads", "epoll"], [1, 16], [64, 4096], **QUICK)
    counts = frame.groupby(["connections", "message_bytes", "arm"])["slice"].count()
    assert len(counts) == 4 * 3 and (counts == 2).all()
    assert frame.attrs["baseline"] == "epoll" and (frame["requests"] > 0).all()


def test_medians_and_ratios_have_a_row_for_each_setting_and_arm() -> None:
    frame = serve.measure(["threads", "epoll"], [1, 16], **QUICK)
    assert serve.medians(frame)["arm"].tolist() == ["threads", "epoll", "epoll (again)"] * 2
    found = serve.ratios(frame)
    assert found["arm"].tolist() == ["threads", "epoll (again)"] * 2
    assert (found["low"] <= found["ratio"]).all() and (found["ratio"] <= found["high"]).all()
    assert found.attrs["warnings"].count(trial.TOO_FEW) == 1


def test_unix_sockets_are_measured_too() -> None:
    frame = serve.measure("epoll", 4, transport="unix", **QUICK)
    assert set(frame["transport"]) == {"unix"} and set(frame["arm"]) == {"epoll", "epoll (again)"}


@pytest.mark.parametrize(("pinning", "transport"), list(zip(PINNINGS, runs.TRANSPORTS, strict=True)))
def test_both_loops_take_a_thousand_connections_and_64_kib_in_each_place(pinning: str, transport: str) -> None:
    where: dict[str, Any] = {"pinning": pinning, "transport": transport, **QUICK}
    try:
        frame = serve.measure("epoll", 1000, 65536, **where)
    except Missing as error:
        pytest.skip(str(error))
    assert set(zip(frame["pinning"], frame["transport"], strict=True)) == {(pinning, transport)}
    assert (frame["requests"] > 0).all() and len(frame) == 2 * 2
    opened = serve.offered_load(share=0.1, connections=1000, message_bytes=65536, **where)
    assert opened["loop"].tolist() == ["closed", "closed", "open"]


def test_a_way_that_this_machine_refuses_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.lessons.serve import rates

    real = rates.run_once

    def refuse(way: str, *rest: Any, **more: Any) -> Any:
        if way == "multishot":
            raise WorkloadUnable("No ring here.", "take another kernel")
        return real(way, *rest, **more)

    monkeypatch.setattr(rates, "run_once", refuse)
    frame = serve.measure(["epoll", "multishot"], 4, **QUICK)
    assert "multishot" not in set(frame["arm"])
    assert frame.attrs["warnings"] == ["No ring here. Fix: take another kernel"]


def test_stop_ends_a_long_slice_and_leaves_nothing() -> None:
    asked: list[float] = []

    def press_stop(share: float, note: str) -> None:
        asked.append(share)
        if len(asked) > 5:
            raise Stopped

    with pytest.raises(Stopped):
        serve.measure("epoll", 16, slices=2, slice_s=60, progress=press_stop)


# -- the open loop -----------------------------------------------------------------------------------------


def test_the_open_loop_answers_or_reports_all_that_was_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, run_once = [], open_loop.run_once
    monkeypatch.setattr(open_loop, "run_once", lambda *run, **how: asked.append(how) or run_once(*run, **how))
    frame = serve.offered_load(share=[0.05, 2], connections=4, slices=2, slice_s=0.1)
    assert len({tuple(how["more"]) for how in asked if how.get("rate")}) == 4  # each slice draws its own arrivals
    assert frame["loop"].tolist() == ["closed", "closed", "open", "open"]
    assert frame["again"].tolist() == [False, True, False, False]
    assert frame.loc[:1, ["share", "offered_requests_per_s"]].isna().all(axis=None)  # no rate is offered there
    low, high = frame.iloc[2], frame.iloc[3]
    served = frame["requests"] / (frame["requests"] + frame["never_asked"])
    assert served[2] > served[3]
    assert high["never_asked"] > low["never_asked"]
    assert not high["low"] < 1  # the same requests, by a clock that started earlier; fewer than 1000 have no p99
    assert frame.attrs["warnings"] == [trial.TOO_FEW]


def test_each_histogram_counts_every_answer_and_has_the_percentiles_of_the_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[float, dict[str, Any]]] = []

    def kept(*way: Any, **how: Any) -> runs.Answered:
        made = runs.run_once(*way, **how)
        told.append((how.get("rate", 0), made.clients))
        return made

    monkeypatch.setattr(open_loop, "run_once", kept)
    frame = serve.latencies(share=2, connections=4, slices=2, slice_s=0.25)
    slices = told[3:]  # the first three find the rate of the closed loop
    for row in serve.percentiles(frame).to_dict("records"):
        clients = [each for rate, each in slices if bool(rate) == (row["loop"] == "open")]
        key = "service_ns" if (row["loop"], row["clock"]) == ("open", "sent") else "latency_ns"
        # every latency, at the lower end of its bucket: the percentile is found here by sorting them
        each = np.sort(np.concatenate([np.repeat(*np.transpose(run[key]["buckets"])) for run in clients]))
        assert len(each) == row["requests"] == sum(run["answered"] for run in clients) >= 1000
        for column, share in (("p50_ns", 0.5), ("p99_ns", 0.99)):
            low = each[int(np.ceil(share * len(each))) - 1]
            assert low - 0.5 <= row[column] <= low * (1 + 1 / 64) + 0.5
        longest = max(run[key]["max_ns"] for run in clients)  # the clients keep it exactly
        assert row["max_ns"] == pytest.approx(longest, rel=1 / 64)
    rows = frame.groupby(["loop", "clock"])
    assert (rows["count"].sum() == rows["requests"].first()).all() and len(rows) == 3
    assert not frame.duplicated(["loop", "clock", "latency_ns"]).any() and (frame["count"] > 0).all()


def test_from_when_it_was_sent_no_request_takes_longer_than_from_when_it_was_due() -> None:
    found = serve.percentiles(serve.latencies(share=2, connections=4, slices=2, slice_s=0.1)).set_index("clock")
    due, sent = found.query("loop == 'open'").loc["due"], found.query("loop == 'open'").loc["sent"]
    columns = ["p50_ns", "p99_ns", "max_ns"]
    assert (due[columns].fillna(0) >= sent[columns].fillna(0)).all()  # a busy machine has too few requests for a p99


# -- wrk ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_wrk_counts_what_the_server_counts() -> None:
    (row,) = serve.wrk("epoll", 16, seconds=1).to_dict("records")
    assert 0 <= row["answered"] - row["requests"] <= 16
    assert row["requests_per_s"] > 0 and row["p50_ns"] <= row["p99_ns"]


def test_without_wrk_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Missing, match="wrk is not installed") as refused:
        serve.wrk()
    assert refused.value.fix == "sudo apt-get install wrk"


# -- exercises ---------------------------------------------------------------------------------------------

TOOL = """
#include <uapi/linux/io_uring.h>
#include "labkit.h"
BPF_HASH(found, u32, u64);
TRACEPOINT_PROBE(CATEGORY, EVENT)
{
	u32 key = 0;

	if (labkit_is_target() && (CONDITION))
		found.increment(key);
	return 0;
}
"""
RING_EVENT = "io_uring_submit_req" if since("6.4") else "io_uring_submit_sqe"


def count(tmp_path: Path, ask: Callable[[object], str], category: str, event: str, condition: str = "1") -> int:
    """Return what a learner's program counts while an exercise runs."""
    path = tmp_path / "found.c"
    path.write_text(TOOL.replace("CATEGORY", category).replace("EVENT", event).replace("CONDITION", condition))
    with Program(source=path) as program:
        program.attach()
        assert "How many requests were there?" in ask(program)
        return int(program.hash("found").get(0, 0))


@bpf
def test_sends_are_the_requests_of_epoll_and_receives_are_more(tmp_path: Path) -> None:
    assert count(tmp_path, exercises.count_by_calls, "syscalls", "sys_enter_sendto") == truths.expected("11-q2")
    received = count(tmp_path, exercises.count_by_calls, "syscalls", "sys_enter_recvfrom")
    assert 31 <= received - truths.expected("11-q2") <= 61  # type: ignore[operator]


@bpf
def test_sends_in_the_ring_are_the_requests_and_calls_are_none(tmp_path: Path) -> None:
    ask, opcode = exercises.count_in_the_ring, "args->opcode == IORING_OP_SEND"
    assert count(tmp_path, ask, "io_uring", RING_EVENT, opcode) == truths.expected("11-q3")
    assert count(tmp_path, ask, "syscalls", "sys_enter_sendto") == 0


@bpf
@anywhere
@pytest.mark.parametrize("ask", [exercises.count_by_calls, exercises.count_in_the_ring])
def test_a_program_that_cannot_be_used_is_refused_in_words(tmp_path: Path, ask: Callable[[object], str]) -> None:
    assert "not loaded yet" in ask(None)
    path = tmp_path / "nobody.c"
    path.write_text("TRACEPOINT_PROBE(syscalls, sys_enter_openat) { return 0; }\n")
    with Program(source=path) as program:
        assert "does not ask whom it watches" in ask(program)


@bpf
@anywhere  # the notebook's exercise asks the same
def test_the_way_with_the_threads_is_the_one_that_sleeps() -> None:
    frame = exercises.which_way()
    assert frame.loc[frame["sleeps_per_request"].idxmax(), "arm"] == truths.expected("11-q1")


def test_where_there_is_no_multishot_the_exercise_takes_single_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(way: str, *_: Any, **__: Any) -> None:
        asked.append(way)
        if way != "uring":
            raise WorkloadUnable("No such ring here.", "take another kernel")

    monkeypatch.setattr(exercises, "run_once", refuse)
    monkeypatch.setattr(exercises, "watcher", lambda program: program)
    assert "the server (uring)" in exercises.count_in_the_ring(object()) and asked == ["multishot", "uring"]
    assert "cannot be done here. No such ring" in exercises.count_by_calls(object())


def test_littles_law_gives_the_clients() -> None:
    (row,) = exercises.how_many_connections().to_dict("records")
    clients = truths.expected("11-q4")
    assert isinstance(clients, int)
    assert abs(row["requests_per_s"] * row["mean_ns"] / 1e9 - clients) < 0.1 * clients


# -- arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (serve.measure, {"way": "epol"}, "did you mean 'epoll'"),
        (serve.measure, {"connections": 1001}, "pass connections as a whole number from 1 to 1000"),
        (serve.measure, {"message_bytes": 0}, "from 1 to 65536 bytes"),
        (serve.measure, {"pinning": "some core"}, "did you mean 'same core'"),
        (serve.measure, {"transport": "udp"}, "tcp, unix"),
        (serve.measure, {"slices": 1}, "from 2 to 1000"),
        (serve.measure, {"slice_s": 0}, "from 0.005 to 60"),
        (serve.calls, {"requests": 0}, "from 1 to 10000000 requests"),
        (serve.integrity, {"connections": 9}, "from 10 to 1000"),
        (serve.offered_load, {"share": 2.5}, "from 0.01 to 2"),
        (serve.offered_load, {"transport": "udp"}, "tcp, unix"),
        (serve.offered_load, {"connections": [1, 2]}, "pass connections as a whole number from 1 to 1000"),
        (serve.latencies, {"share": 0}, "from 0.01 to 2"),
        (serve.latencies, {"way": "epol"}, "did you mean 'epoll'"),
        (serve.wrk, {"seconds": 0.5}, "from 1 to 60"),
    ],
)
def test_a_bad_argument_is_refused_before_anything_starts(
    function: Callable[..., Any], arguments: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs.Workload, "__enter__", lambda _: pytest.fail("a program was started"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(BadArgument) as refused:
        function(**arguments)
    assert said in str(refused.value)
