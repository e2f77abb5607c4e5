# SPDX-License-Identifier: Apache-2.0
"""What every test stands on: the `bpf` marker, a data folder of its own, and nothing left behind."""

from __future__ import annotations

import functools
import itertools
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from leftovers import MARK, left_behind, snapshot, still_held

from labkit.machine.folders import build_folder

REQUIRED = os.environ.get("LABKIT_REQUIRE_BPF", "") not in ("", "0")
ONCE_A_FILE = os.environ.get("LABKIT_CLEANUP_ONCE_A_FILE", "") not in ("", "0")  # see tests/kernels
_NUMBERS = itertools.count()

# As the Makefile has it: setup puts links to hidden tools into the environment, Debian gives /usr/sbin to root only.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"])

# A shell lets jobs in its background ignore SIGINT, and whatever they start inherits that. Some tests send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Timings belong in `make bench`; a failure should be found again on the next run.
settings.register_profile("lab", deadline=None, derandomize=True)
settings.load_profile("lab")


@functools.cache
def why_no_bpf() -> str:
    """Return why this machine cannot load BPF programs, or an empty string."""
    if os.geteuid() != 0:
        return "not root: run `sudo make test`"
    if shutil.which("bpftool") is None:
        return "bpftool is missing: run `make setup`"
    listed = subprocess.run(["bpftool", "prog", "list"], capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        return f"bpf(2) is refused here: {listed.stderr.strip()}"
    if not Path("/sys/kernel/tracing/events").is_dir():
        return "tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing"
    from labkit.errors import LabkitError
    from labkit.machine.bcc import load_bcc

    try:
        load_bcc()
    except LabkitError as error:
        return f"{error.what} {error.fix}"
    return ""


def pytest_report_header() -> str:
    need = "required" if REQUIRED else "skipped where it cannot run"
    return f"kernel: {platform.release()} {platform.machine()}; BPF: {why_no_bpf() or 'works'}; BPF tests: {need}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run browser tests last: Playwright keeps an event loop in this thread, and notebooks cannot be run under one."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("bpf") and why_no_bpf():
        pytest.skip(f"{why_no_bpf()} (LABKIT_REQUIRE_BPF=1 makes this a failure)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Fail a kernel-facing test that skips on a machine which says that it can run all of them."""
    report = yield
    expected = item.get_closest_marker("kernel") or hasattr(report, "wasxfail")
    if REQUIRED and report.skipped and item.get_closest_marker("bpf") and not expected:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"LABKIT_REQUIRE_BPF=1, and this test would skip: {reason}"
    return report


@pytest.fixture(scope="session", autouse=True)
def data_folder() -> Iterator[Path]:
    """Give the tests a data folder of their own, on the disk that the tree is on (never a tmpfs)."""
    folder = build_folder() / "test-data" / str(os.getpid())
    folder.mkdir(parents=True)
    os.environ["LABKIT_DATA"] = str(folder)
    # a lock of their own, unless one is named: then several test runs do not wait for each other
    os.environ.setdefault("LABKIT_LOCK", str(folder / "lock"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, data_folder: Path) -> Iterator[None]:
    """Check, after each kernel-facing test, that no program, process, cgroup or file of the lab remains."""
    if ONCE_A_FILE or request.node.get_closest_marker("bpf") is None:
        yield
    else:
        yield from _nothing_left_behind(data_folder, kept=keeps_programs(request))


@pytest.fixture(autouse=True, scope="module")
def nothing_left_behind_by_a_file(request: pytest.FixtureRequest, data_folder: Path) -> Iterator[None]:
    """Check the same after each file under emulation, where a test alone takes long; and the programs that are kept."""
    if ONCE_A_FILE:
        yield from _nothing_left_behind(data_folder)
        return
    yield
    if keeps_programs(request):
        _forget_loaded()
        if remains := still_held():
            pytest.fail("left behind: programs or maps that nobody uses:\n" + "\n".join(remains), pytrace=False)


def _forget_loaded() -> None:
    """Unload what is kept on purpose, so that a rerun does not compile."""
    if "labkit.bpf.shelf" in sys.modules:
        sys.modules["labkit.bpf.shelf"].forget_loaded()


def keeps_programs(request: pytest.FixtureRequest) -> bool:
    """Return whether the tests of this file use the same programs: they stay loaded, not attached, until its end."""
    return request.node.get_closest_marker("programs_kept") is not None


def _nothing_left_behind(data_folder: Path, *, kept: bool = False) -> Iterator[None]:
    mark = f"{os.getpid()}-{next(_NUMBERS)}"
    os.environ[MARK] = mark
    before = snapshot(mark, data_folder, loaded=not kept)
    yield
    if not kept:
        _forget_loaded()
    remains = left_behind(before, mark, data_folder, loaded=not kept)
    if remains:
        pytest.fail("left behind:\n" + "\n".join(remains), pytrace=False)
