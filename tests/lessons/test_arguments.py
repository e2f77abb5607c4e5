# SPDX-License-Identifier: Apache-2.0
"""One whole number or several, names, seeds: what cannot be one is named, in words, before anything is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labkit import errors
from labkit.errors import BadArgument
from labkit.lessons import capstone, io_engines, maps, probes, serve, sockmap, syscall_latency, uring, usdt, verifier
from labkit.lessons.capstone import servers as capstone_redis
from labkit.lessons.sockmap import live as sockmap_live
from labkit.lessons.sockmap import servers as sockmap_redis
from labkit.running import lock, workload
from labkit.stats import trial


def live(**arguments: Any) -> object:
    return sockmap_live.live(bool, **arguments)


NUMBERS = [
    (sockmap.measure, "message_bytes"),
    (sockmap.throughput, "message_bytes"),
    (live, "message_bytes"),
    (sockmap_redis.measure, "pipeline"),
    (capstone.measure, "rows_per_transaction"),
    (capstone_redis.measure, "pipeline"),
    (capstone_redis.measure, "clients"),
    (verifier.loops, "rounds"),
    (usdt.tell_apart, "requests"),
    (io_engines.measure, "block_bytes"),
    (io_engines.measure, "queue_depth"),
    (syscall_latency.measure, "block_bytes"),
    (syscall_latency.stages, "block_bytes"),
    (uring.measure, "batch"),
    (uring.registered, "block_bytes"),
    (maps.channels, "pages"),
    (serve.measure, "message_bytes"),
]
NO_NUMBERS = [64.0, 512.0, "64", True, [64.0, 64], [64, None], [[64, 64], 64], {}, np.float64(64), np.bool_(True)]
NAMES = [
    (sockmap.measure, "pinning"),
    (live, "pinning"),
    (capstone.measure, "journal"),
    (capstone.measure, "synchronous"),
    (capstone_redis.measure, "append_only"),
    (verifier.measure, "programs"),
    (verifier.measure, "versions"),
    (verifier.loops, "bodies"),
    (usdt.measure, "probes"),
    (io_engines.measure, "engine"),
    (io_engines.calls, "cache"),
    (syscall_latency.measure, "cache"),
    (uring.measure, "submitter"),
    (maps.measure, "ways"),
    (maps.pairs, "keys"),
    (probes.measure, "mechanisms"),
    (probes.cost, "ends"),
    (probes.look, "functions"),
    (serve.measure, "way"),
    (serve.calls, "way"),
    (serve.integrity, "way"),
    (serve.latencies, "way"),
    (serve.offered_load, "way"),
    (serve.wrk, "way"),
]
NO_NAMES = [3, 1.5, [], [3], [["a"]], np.array([1, 2])]
SEEDED = [
    sockmap.measure,
    sockmap.throughput,
    sockmap.integrity,
    sockmap_redis.measure,
    capstone.measure,
    capstone_redis.measure,
    io_engines.measure,
    syscall_latency.measure,
    uring.registered,
    uring.files,
    maps.measure,
    maps.channels,
    probes.cost,
    serve.measure,
    serve.offered_load,
    serve.latencies,
]
NO_SEEDS = [[1], -1, 1.5, "1", True, 2**32]

Function = Callable[..., object]


@pytest.fixture(autouse=True)
def nothing_may_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock.owner, "acquire", lambda *_, **__: pytest.fail("the lock was taken"))
    monkeypatch.setattr(workload.Workload, "__enter__", lambda _: pytest.fail("a program was started"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def refused(function: Function, name: str, value: object) -> None:
    with pytest.raises(BadArgument) as caught:
        function(**{name: value})
    assert caught.value.what.startswith(f"{name}="), caught.value
    assert caught.value.fix.startswith(f"pass {name} as "), caught.value


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize(("function", "name"), NUMBERS)
def test_what_is_no_whole_number_is_refused_in_words(function: Function, name: str, value: object) -> None:
    refused(function, name, value)


@pytest.mark.parametrize(("function", "name"), [each for each in NUMBERS if each[0] is not verifier.loops])
def test_none_is_no_number_where_nothing_is_said_of_it(function: Function, name: str) -> None:
    refused(function, name, None)


@pytest.mark.parametrize("value", NO_NAMES, ids=repr)
@pytest.mark.parametrize(("function", "name"), NAMES)
def test_what_is_no_name_is_refused_in_words(function: Function, name: str, value: object) -> None:
    refused(function, name, value)


@pytest.mark.parametrize("value", NO_SEEDS, ids=repr)
@pytest.mark.parametrize("function", SEEDED)
def test_a_seed_is_checked_before_the_lock_is_taken(function: Function, value: object) -> None:
    refused(function, "seed", value)


@pytest.mark.parametrize("value", NO_SEEDS, ids=repr)
def test_a_trial_checks_its_seed_before_the_first_slice(value: object) -> None:
    arms = {"a": lambda: pytest.fail("a slice was run")}
    refused(lambda **seed: trial.compare(arms, baseline="a", **seed), "seed", value)


@pytest.mark.parametrize(
    ("name", "value"), [("message_bytes", [64, 128]), ("pinning", list(sockmap.PINNINGS)), ("pinning", None)]
)
def test_the_switch_takes_one_size_and_one_place(name: str, value: object) -> None:
    refused(live, name, value)


@pytest.mark.parametrize(
    ("values", "listed"),
    [
        (64, [64]),
        (np.int64(64), [64]),
        ([64, 65, 64], [64, 65]),
        ((np.uint8(7), 8), [7, 8]),
        (range(1, 4), [1, 2, 3]),
        (np.array([5, 6]), [5, 6]),
    ],
)
def test_one_whole_number_or_several_of_any_kind_are_taken(values: object, listed: list[int]) -> None:
    made = errors.check_ints("sizes", values, 1, 1000)
    assert made == listed
    assert {type(each) for each in made} == {int}


@pytest.mark.parametrize("names", ["null_test", ["null_test"], np.array(["null_test", "null_test"])])
def test_one_name_may_stand_alone(names: object) -> None:
    assert errors.check_choices("programs", names, verifier.GALLERY) == ["null_test"]


def test_a_seed_is_kept_and_none_is_drawn() -> None:
    assert errors.check_seed(np.int64(7)) == 7
    assert len({errors.check_seed(None) for _ in range(3)}) == 3


def test_a_number_without_end_is_no_number_of_seconds() -> None:
    with pytest.raises(BadArgument, match=r"pass seconds as a number from 0\.1 to 60"):
        errors.check_float("seconds", 10**400, 0.1, 60)
