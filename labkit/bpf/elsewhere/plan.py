# SPDX-License-Identifier: Apache-2.0
"""On which kernels a program can be tried: those in the cache folder, and for each other one why not."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labkit.errors import Missing, check_choice
from labkit.machine.folders import repo_folder
from labkit.machine.kernels import fetch
from labkit.machine.kernels.arm64 import ARM64, found_arm64, run_in_arm64, why_not_arm64
from labkit.machine.kernels.boot import run_in, why_not
from labkit.machine.kernels.emulated import Tick

__all__ = ["Boot", "Candidate", "candidates", "fetch_missing"]


class Boot(Protocol):
    """Boots a kernel for a task in a folder, which is its /mnt; returns whether the machine ended in time."""

    def __call__(self, out: Path, given: dict[str, str], timeout_s: float, tick: Tick) -> bool: ...


@dataclass(frozen=True)
class Candidate:
    """A kernel that a program may be tried on.

    Attributes
    ----------
    name : "5.10", "sid", "arm64", …
    boot : how to boot it; None if it cannot be.
    reason : why it cannot, with the command that changes that.
    """

    name: str
    boot: Boot | None
    reason: str = ""


def candidates(names: Collection[str] = ()) -> list[Candidate]:
    """Return the kernels to try, the oldest first.

    Parameters
    ----------
    names : some of 5.10, 6.1, 6.12, backports, sid, arm64, arm64-16k; all if empty.

    Raises
    ------
    BadArgument : another name.
    Missing : this machine cannot boot other kernels, or the cache folder has none.
    """
    known = (*fetch.SUITES, *ARM64)
    for name in names:
        check_choice("kernels", name, known)
    setup = f"cd {shlex.quote(str(repo_folder()))} && scripts/setup.sh test"
    if reason := why_not():
        fix = setup if reason.startswith("not installed") else "run it as root on x86_64, from a tree outside of /tmp"
        raise Missing(f"Other kernels cannot be booted here: {reason}.", fix)
    wanted = [name for name in known if name in names or not names]
    found = [_candidate(name) for name in wanted]
    if not any(candidate.boot for candidate in found):
        raise Missing(f"No kernel is in the cache: {', '.join(wanted)}.", _fetching(wanted))
    return found


def fetch_missing(names: Collection[str], say: Callable[[str], object]) -> None:
    """Fetch the x86-64 kernels that the cache folder lacks, and the headers; raise Missing as `fetch.fetch` does."""
    for name in dict.fromkeys([fetch.HEADERS_OF, *(names or fetch.SUITES)]):
        if name in fetch.SUITES:
            say(f"{name}: {'in the cache' if fetch.find(name) else 'fetching about 100 MB ...'}")
            fetch.fetch(name)


def _fetching(names: Collection[str]) -> str:
    stock = [name for name in names if name in fetch.SUITES]
    if not stock:
        return f"make test-kernels ARCH=arm64 QUICK=1 KERNELS={next(iter(names))}   (makes the arm64 system)"
    return f"labkit elsewhere --fetch --kernels {' '.join(stock)}"


def _candidate(name: str) -> Candidate:
    if name in ARM64:
        return _arm64_candidate(name)
    kernel, headers = fetch.find(name), fetch.find(fetch.HEADERS_OF)
    if kernel is None or headers is None:
        return Candidate(name, None, f"not in the cache: {_fetching([name])}")

    def boot(out: Path, given: dict[str, str], timeout_s: float, tick: Tick) -> bool:
        words = ["sh", "/mnt/run"]
        return run_in(kernel, headers.headers, words, timeout_s=timeout_s, out=out, given=given, tick=tick)[1]

    return Candidate(name, boot)


def _arm64_candidate(name: str) -> Candidate:
    made = found_arm64(name)
    if made is None:
        return Candidate(name, None, f"no arm64 system in the cache: {_fetching([name])}")
    if reason := why_not_arm64():
        return Candidate(name, None, f"{reason}: scripts/setup.sh emulate")

    def boot(out: Path, given: dict[str, str], timeout_s: float, tick: Tick) -> bool:
        command = "sh /mnt/run"
        return run_in_arm64(name, command, timeout_s=timeout_s, made=made, out=out, given=given, tick=tick)[1]

    return Candidate(name, boot)
