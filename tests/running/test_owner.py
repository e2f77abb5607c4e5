# SPDX-License-Identifier: Apache-2.0
"""Whatever a measurement holds is released, wherever an interrupt comes."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import thing
from running.interrupting import every_interrupt, interrupted_at, lines_run
from running.thing import Thing

from labkit.machine.folders import data_folder
from labkit.running import cgroup, interrupts, lock, owned, owner, sweep, workload
from labkit.running.cgroup import Cgroup
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.workload import Workload

MODULES = (cgroup, contextlib, interrupts, lock, owned, owner, sweep, workload)


def children() -> list[str]:
    """Return the children of this process, zombies included, as the kernel lists them."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def descriptors() -> dict[str, str]:
    gc.collect()
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


@pytest.fixture
def log() -> Iterator[list[str]]:
    assert owner.held_now() == []
    yield []
    assert owner.held_now() == []


# -- in reverse, once, all of it --------------------------------------------------------------------------


def test_what_a_measurement_left_is_released_in_reverse(log: list[str]) -> None:
    with exclusive("a test"):
        for name in ("first", "second"):
            owner.acquire(name, lambda: None, lambda name=name: log.append(name))
    assert log == ["second", "first"]


def test_it_is_released_once(log: list[str]) -> None:
    held = owner.acquire("one", lambda: None, lambda: log.append("released"))
    held.close()
    held.close()
    assert log == ["released"]


def test_where_acquiring_fails_it_is_released_all_the_same(log: list[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        owner.acquire("one", lambda: 1 // 0, lambda: log.append("released"))
    assert log == ["released"]


def test_an_interrupt_while_it_is_acquired_waits_for_the_end(log: list[str]) -> None:
    def take() -> None:
        signal.raise_signal(signal.SIGINT)
        log.append("acquired")

    with pytest.raises(KeyboardInterrupt):
        owner.acquire("one", take, lambda: log.append("released"))
    assert log == ["acquired", "released"]


def test_where_one_release_fails_the_others_happen(log: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), exclusive("a test"):
        owner.acquire("one", lambda: None, lambda: log.append("one"))
        owner.acquire("two", lambda: None, lambda: 1 // 0)
        owner.acquire("three", lambda: None, lambda: log.append("three"))
    assert log == ["three", "one"]


def test_a_measurement_leaves_alone_what_was_held_before_it(log: list[str]) -> None:
    held = owner.acquire("outer", lambda: None, lambda: log.append("outer"))
    with exclusive("a test"):
        pass
    assert log == []
    held.close()


def test_a_measurement_leaves_alone_what_another_thread_holds(log: list[str]) -> None:
    with exclusive("a test"):
        theirs: list[owner.Held] = []
        thread = threading.Thread(
            target=lambda: theirs.append(owner.acquire("theirs", lambda: None, lambda: log.append("theirs")))
        )
        thread.start()
        thread.join()
    assert log == []
    theirs[0].close()


def test_the_next_measurement_releases_what_the_last_one_left_with_its_lock(log: list[str]) -> None:
    stale = exclusive("a measurement whose end was skipped")
    stale.__enter__()
    owner.acquire("left", lambda: None, lambda: log.append("left"))
    with exclusive("the next", timeout_s=0):
        assert log == ["left"]
        assert owner.held_now() == ["the measurement lock"]


def test_a_child_made_by_fork_holds_nothing_of_its_parents(log: list[str]) -> None:
    held = owner.acquire("the parent's", lambda: None, lambda: log.append("released"))
    pid = os.fork()
    if pid == 0:
        os._exit(len(owner.held_now()))
    assert os.waitpid(pid, 0)[1] == 0
    held.close()


# -- an interrupt at each line ----------------------------------------------------------------------------


def a_workload() -> None:
    with exclusive("a test"), Workload("hello", ["--runs", "1"]) as run:
        run.go()


def all_at_once() -> None:
    with exclusive("a test"), run_folder(), Cgroup() as cgroup, Workload("hello", ["--runs", "1"]) as run:
        cgroup.add(run.pid)


@pytest.mark.bpf
@pytest.mark.parametrize("work", [a_workload, all_at_once])
def test_after_an_interrupt_at_any_line_nothing_is_left(work: Callable[[], None]) -> None:
    work()  # whatever is made once
    before = descriptors()
    gc.freeze()  # `descriptors` collects after each interrupt: all that earlier tests made would take it a second
    try:
        _interrupt_each(work, before)
    finally:
        gc.unfreeze()


def _interrupt_each(work: Callable[[], None], before: object) -> None:
    for number in every_interrupt(work, MODULES):
        with exclusive("the next", timeout_s=0):
            assert owner.held_now() == ["the measurement lock"], number
        assert children() == [], number
        assert descriptors() == before, number
        assert list(data_folder().glob("*labkit-*")) == [], number


def test_an_interrupt_within_popen_leaves_no_zombie() -> None:
    def work() -> None:
        with exclusive("a test"), Workload("hello", ["--runs", "1"]):
            pass

    interrupts = 0
    for number in range(lines_run(work, [subprocess])):
        interrupts += interrupted_at(number, work, [subprocess])
        assert children() == [], number
    assert interrupts > 20


# -- a block of a learner's own, outside a measurement ------------------------------------------------------


def a_bare_block() -> None:
    with Thing():
        pass


def a_block_that_fails() -> None:
    with contextlib.suppress(ZeroDivisionError), Thing():
        raise ZeroDivisionError


def a_bare_workload() -> None:
    with Workload("hello", ["--runs", "1"]) as run:
        run.go()


@pytest.mark.parametrize("work", [a_bare_block, a_block_that_fails, a_bare_workload])
def test_an_interrupt_in_a_bare_block_leaves_nothing_and_is_not_lost(work: Callable[[], None]) -> None:
    work()
    before = descriptors()
    modules = (thing, owner, interrupts, workload)
    lines = lines_run(work, modules)
    assert lines > 15
    gc.freeze()
    try:
        for number in range(lines):
            assert interrupted_at(number, work, modules), number
            assert owner.held_now() == [], number
            assert descriptors() == before, number
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, number
    finally:
        gc.unfreeze()


def test_an_interrupt_in_a_block_takes_effect_at_once() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), Thing():
        reached.append(1)
        signal.raise_signal(signal.SIGINT)
        reached.append(2)
    assert reached == [1]


def test_a_handler_of_the_learners_own_is_called_and_put_back() -> None:
    asked = []

    def mine(number: int, _: object) -> None:
        asked.append(number)

    before = signal.signal(signal.SIGINT, mine)
    try:
        with Thing():
            signal.raise_signal(signal.SIGINT)
            assert asked == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)
