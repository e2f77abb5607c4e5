# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin for the emulated machine: reports each result at once, and gives every lesson its share of the time.

Two pytests run there, one for each CPU, from the two ends of the same list. Each claims a test before it runs it, so
that they meet where both are done.

Options: --report FILE takes one JSON line per test; --share S ends a lesson's tests after S seconds, so that a slow
lesson does not take the time of the next; --claims FOLDER is for both; --backwards is for one of them; --done FILE
names tests that have a result already, by the lines of an earlier report.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import defaultdict
from pathlib import Path

import pytest
from kernels.table import lesson_of, read_report, settled

NO_TIME = "no time left for this"
_OF_THE_OTHER = "the other pytest runs this"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--report", type=Path, required=True)
    parser.addoption("--share", type=float, required=True)
    parser.addoption("--claims", type=Path, required=True)
    parser.addoption("--backwards", action="store_true")
    parser.addoption("--done", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Reporter(config))


class _Reporter:
    def __init__(self, config: pytest.Config) -> None:
        self._file = config.getoption("--report").open("a")
        self._share_s = config.getoption("--share")
        self._claims = config.getoption("--claims")
        self._claims.mkdir(exist_ok=True)
        self._backwards = config.getoption("--backwards")
        done = config.getoption("--done")
        self._done = {entry["test"] for entry in settled(read_report(done), NO_TIME)} if done else set()
        self._spent_s: defaultdict[str, float] = defaultdict(float)

    def _tell(self, **entry: object) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put what only some kernels can do first: other kernels are tried for that."""
        items[:] = [item for item in items if item.nodeid not in self._done]
        items.sort(key=lambda item: (lesson_of(item.path), item.get_closest_marker("kernel") is None))
        if self._backwards:
            items.reverse()
        self._tell(release=os.uname().release)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if not self._claim(item):
            pytest.skip(_OF_THE_OTHER)
        if self._spent_s[lesson_of(item.path)] > self._share_s:
            pytest.skip(NO_TIME)
        self._tell(started=item.nodeid)

    def _claim(self, item: pytest.Item) -> bool:
        claim = self._claims / hashlib.sha256(item.nodeid.encode()).hexdigest()
        try:
            claim.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        start = time.monotonic()
        result = yield
        self._spent_s[lesson_of(item.path)] += time.monotonic() - start
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        reason = ""
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
        elif report.failed:
            reason = report.longreprtext
        if reason != _OF_THE_OTHER:
            self._tell(test=report.nodeid, outcome=report.outcome, seconds=round(report.duration, 1), reason=reason)
