# SPDX-License-Identifier: Apache-2.0
"""`make test-kernels`: run the kernel-facing tests on other kernels, and print one table of kernel x lesson.

    make test-kernels                  every lesson's first tests, 5.10 to the newest: at most 25 minutes per kernel
    make test-kernels ARCH=arm64       the same on an arm64 Debian 13, with pages of 4 and of 16 KiB
    make test-kernels MINUTES=90       the same with more time; QUICK=1: with six minutes per kernel
    make test-kernels ADD=1            what the run before did not try, and what failed; its other results are kept
    make test-kernels KERNELS=6.12     one kernel
    make test-kernels TESTS="tests/lessons/hello/test_measure.py"

Results: build/kernels/SERIES/ (what the machine said). A run of all tests, with at least the default
minutes, also replaces its kernel's column in docs/kernels.md; the columns are made from docs/kernels.json.
On x86_64 only. Timings mean nothing under emulation, so nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernels.reporter import NO_TIME
from kernels.table import SWITCHED_OFF, as_markdown, as_text, lesson_of, put_between, read_report, settled, summarise

from labkit.errors import LabkitError
from labkit.machine.folders import build_folder, repo_folder
from labkit.machine.kernels.arm64 import ARM64, run_in_arm64, why_not_arm64
from labkit.machine.kernels.boot import run_in, why_not
from labkit.machine.kernels.fetch import HEADERS_OF, SUITES, fetch

_MINUTES, _QUICK_MINUTES = 25, 6
_START_S = 90  # to boot, and to collect the tests
_MORE_BOOTS = 3  # the emulated 6.12 now and then ends by itself: "Oops: int3" where it had just changed its own code
_SHARED = 0.8  # of the time; a lesson's last test may take longer than what is left of its share
_WAYS = (["--report=/mnt/report-1.jsonl"], ["--report=/mnt/report-2.jsonl", "--backwards"])  # a pytest for each CPU
# QEMU's arm64 may go on with the old code where the kernel has just changed it: see docs/kernels.md, "What the emulator
# does wrong". It was seen only while two processes attached at once.
_ARM64_WAYS = _WAYS[:1]

FACING = ("bpf", "running", "stats", "lessons")

_FACING = "(bpf or kernel) and not anywhere"

# Slow there, with nothing that another kernel does differently.
DESELECTED = (
    "tests/stats/test_trial.py",  # statistics
)


def chosen() -> list[str]:
    """Return the test files that face the kernel, as pytest takes them."""
    tree = repo_folder()
    files = [file for folder in FACING for file in tree.glob(f"tests/{folder}/**/test_*.py")]
    files.append(tree / "tests/machine/test_doctor.py")
    facing = [str(file.relative_to(tree)) for file in sorted(files) if "mark.bpf" in file.read_text()]
    return [file for file in facing if file not in DESELECTED]


def try_kernel(series: str, tests: Sequence[str], total_s: float, *, add: bool = False) -> dict[str, Any]:
    """Run tests on a kernel; return release, lessons (see table.summarise), seconds, ended.

    Where the machine ends by itself in the middle of a test, it is booted again for what is left and what failed.

    Parameters
    ----------
    add : keep the results of the run before, and run what has none there, or failed.
    """
    ends = time.monotonic() + total_s
    result = _boot(series, tests, total_s, add=add)
    for _ in range(_MORE_BOOTS):
        fell = [test for test in failures(result) if test["reason"] == SWITCHED_OFF]
        left_s = ends - time.monotonic()
        if not fell or not result["ended"] or left_s < 2 * _START_S:
            break
        names = ", ".join(test["test"] for test in fell)
        print(f"{series}: the emulated machine ended by itself in the middle of {names}; booting again", flush=True)
        result = _boot(series, tests, left_s, add=True)
    return result


def failures(result: dict[str, Any]) -> list[dict[str, str]]:
    return [failure for row in result["lessons"].values() for failure in row["failures"]]


def _boot(series: str, tests: Sequence[str], total_s: float, *, add: bool) -> dict[str, Any]:
    lessons = {lesson_of(repo_folder() / test.partition("::")[0]) for test in tests}
    ways = _ARM64_WAYS if series in ARM64 else _WAYS
    share = (total_s * _SHARED - _START_S) / len(lessons) * len(ways)
    known = build_folder() / "kernels" / f"{series}.jsonl"
    before = settled(read_report(known), NO_TIME) if add else []
    words = ["env", "PYTHONPATH=tests", "LABKIT_CLEANUP_ONCE_A_FILE=1", "python", "-m", "pytest", "-m", _FACING]
    words += ["-p", "kernels.reporter", "-p", "no:cacheprovider", "--tb=short"]
    words += [f"--share={share:.0f}", "--claims=/dev/shm/claims", *([f"--done={known}"] if before else []), *tests]
    both = [f"{shlex.join([*words, *way])} >/mnt/output-{number} 2>&1 &" for number, way in enumerate(ways, start=1)]
    started = time.monotonic()
    out, ended = _run_on(series, " ".join([*both, "wait"]), total_s)
    entries = [*before, *(entry for report in sorted(out.glob("report-*")) for entry in read_report(report))]
    known.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return {
        "release": next((entry["release"] for entry in entries if "release" in entry), "did not boot"),
        "lessons": summarise(entries, no_time=NO_TIME),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(time.monotonic() - started),
        "ended": ended,
    }


def _run_on(series: str, command: str, timeout_s: float) -> tuple[Path, bool]:
    """Run a line of shell on a kernel; return the folder of what it wrote to /mnt, and whether it ended."""
    if series in ARM64:
        print("arm64: where the cache folder has no system, one is made from packages first: minutes", flush=True)
        return run_in_arm64(series, f"ldconfig && make -s -C c -j2 && {{ {command}; }}", timeout_s=timeout_s)
    subprocess.run(["make", "-s", "-C", str(repo_folder() / "c")], check=True)  # gcc is slow there
    return run_in(fetch(series), fetch(HEADERS_OF).headers, ["sh", "-c", command], timeout_s=timeout_s)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make test-kernels", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=int, default=_MINUTES, help="for each kernel, shared among the lessons")
    parser.add_argument("--quick", dest="minutes", action="store_const", const=_QUICK_MINUTES)
    parser.add_argument("--add", action="store_true", help="to the results before: run what was not tried, or failed")
    parser.add_argument("--arch", choices=["x86_64", "arm64"], default="x86_64")
    parser.add_argument("--kernels", nargs="+", choices=[*SUITES, *ARM64], help="all of the architecture if none")
    parser.add_argument("tests", nargs="*", help="pytest's names of tests; all that face the kernel if none")
    arguments = parser.parse_args(argv)
    is_arm = arguments.arch == "arm64"
    kernels = arguments.kernels or list(ARM64 if is_arm else SUITES)
    reason = why_not() or (why_not_arm64() if is_arm else "")
    if reason:
        print(f"test-kernels: not possible here: {reason}\nFix: make test, which installs what it can", file=sys.stderr)
        return 1
    results: dict[str, dict[str, Any]] = {}
    for series in kernels:
        print(f"{series}: booting, and running the tests ...", flush=True)
        try:
            results[series] = try_kernel(series, arguments.tests or chosen(), arguments.minutes * 60, add=arguments.add)
        except LabkitError as error:
            print(f"test-kernels: {error}", file=sys.stderr)
            return 1
        print(f"{series}: {results[series]['seconds']} s", flush=True)
    write(results, page=arguments.minutes >= _MINUTES and not arguments.tests)
    return report(results)


def write(results: dict[str, dict[str, Any]], *, page: bool) -> None:
    """Keep the runs of all tests in docs/kernels.json, each kernel's latest, and make the page's table from them."""
    docs = repo_folder() / "docs"
    if not page or not docs.exists():
        return
    file, text = docs / "kernels.json", docs / "kernels.md"
    known = (json.loads(file.read_text()) if file.exists() else {}) | results
    known = {series: known[series] for series in (*SUITES, *ARM64) if series in known}
    file.write_text(json.dumps(known, indent=1) + "\n")
    text.write_text(put_between(text.read_text(), as_markdown(known)))


def report(results: dict[str, dict[str, Any]]) -> int:
    """Print the table and what failed; return the exit status."""
    print(f"\n{as_text(results)}")
    bad = False
    for series, result in results.items():
        for failure in failures(result):
            last = failure["reason"].strip().splitlines()[-12:]
            print(f"\nFAILED on {series}: {failure['test']}\n    " + "\n    ".join(last))
        if not result["lessons"]:
            print(f"\n{series} ran no test: read build/kernels/{series}/boot.log and output")
        bad |= bool(failures(result)) or not result["lessons"]
    return int(bad)


if __name__ == "__main__":
    os.chdir(repo_folder())
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the machine is switched off
    sys.exit(main())
