# SPDX-License-Identifier: Apache-2.0
"""Lesson 11's threads that wait for one port: the kernel's count of wake-ups, and the threads' own of their sleeps."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from labkit.errors import BadArgument
from labkit.lessons import serve
from labkit.running import workload

bpf = pytest.mark.bpf


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return serve.herd(threads=7, connections=97)


@bpf
def test_a_plain_set_wakes_all_threads_and_the_other_ways_wake_one(frame: pd.DataFrame) -> None:
    woken = frame.set_index("arm")["wakeups"]
    # an interrupt may wake one more, now and then
    assert 7 * 97 <= woken["plain"] <= 7 * 97 + 9
    assert all(97 <= woken[arm] <= 97 + 9 for arm in ("exclusive", "reuseport"))
    assert (frame["connections"] == 97).all()


@bpf
def test_each_sleep_that_the_threads_count_ends_with_a_wake_up_that_the_kernel_counts(frame: pd.DataFrame) -> None:
    """The witness is getrusage(2). The last wake-up of each thread is the end, which is not a connection's."""
    apart = frame["voluntary_switches"] - frame["wakeups"] - frame["threads"]
    assert (apart.abs() <= 9).all()


@bpf
def test_the_client_wakes_the_servers_and_main_ends_them() -> None:
    frame = serve.wakers("plain", threads=5, connections=53)
    woken = frame.set_index("waker")["wakeups"]
    assert woken["client"] > 4 * 53 and woken["main"] == 5
    assert set(woken.index) <= {"client", "main", "server", "elsewhere"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"share": "plane"}, "did you mean 'plain'"),
        ({"threads": 65}, "from 1 to 64 threads"),
        ({"connections": 0}, "from 1 to 100000 connections"),
    ],
)
def test_a_bad_argument_is_refused_before_anything_starts(
    arguments: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workload.Workload, "__enter__", lambda _: pytest.fail("a program was started"))
    for measure in (serve.herd, serve.wakers):
        with pytest.raises(BadArgument) as refused:
            measure(**arguments)
        assert said in str(refused.value)
