# SPDX-License-Identifier: Apache-2.0
"""Lesson 10 on a Redis server: calls per request, shared syncs, rates of unwatched slices."""

from __future__ import annotations

import shutil

import pytest

from labkit.errors import BadArgument, Missing
from labkit.lessons._redis import server
from labkit.lessons.capstone import calls, servers
from labkit.running.cgroup import Cgroup

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept
needs_redis = pytest.mark.skipif(bool(server.why_not()), reason=server.why_not())


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
    assert syncs["1 client with pipeline 1 and sync always"] == 1
    assert 0 < syncs["50 clients with pipeline 1 and sync always"] < 1
    assert syncs["1 client with pipeline 1 and sync no"] == syncs["50 clients with pipeline 1 and sync no"] == 0
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
    assert servers.ratios(frame)["arm"].tolist() == ["50 clients with pipeline 1", "1 client with pipeline 1 (again)"]
    other = servers.ratios(frame, "50 clients with pipeline 1", "p50_ns")
    assert other["arm"].tolist() == ["1 client with pipeline 1"]
    with pytest.raises(BadArgument, match="did you mean '50 clients with pipeline 1'"):
        servers.ratios(frame, "50 client with pipeline 1")


@bpf
@needs_redis
def test_a_server_without_cgroups_is_missing_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Cgroup) -> Cgroup:
        raise Missing("cgroup v2 is not mounted.", "mount it")

    monkeypatch.setattr(Cgroup, "__enter__", refuse)
    with pytest.raises(Missing, match="cgroup v2"):
        servers.measure(requests=100)


def test_without_redis_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(Missing, match="not installed") as refused:
        servers.measure()
    assert refused.value.fix == "sudo apt-get install redis-tools, then: make setup"
