# SPDX-License-Identifier: Apache-2.0
"""The stopwatch reads the generic timer of 64-bit ARM where the kernel's clock source is that timer, and only there.

Run under user-mode emulation, which shows a program the files below its -L folder instead of this machine's own.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tree import ROOT

COMMON = ROOT / "c/workloads/common"
CLOCK_SOURCE = Path("sys/devices/system/clocksource/clocksource0/current_clocksource")


@pytest.fixture(scope="module")
def program(cross: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small program around the stopwatch, for arm64."""
    result: Path = tmp_path_factory.mktemp("stopwatch") / "stopwatch"
    sources = [Path(__file__).with_name("stopwatch.c"), *(COMMON / f"{name}.c" for name in ("stopwatch", "workload"))]
    sources += [COMMON / f"{name}.c" for name in ("json", "options")]
    words = ["aarch64-linux-gnu-gcc", "-static", "-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*words, f"-I{COMMON}", *map(str, sources), "-o", str(result), "-pthread", "-lm"], check=True)
    return result


def measured(program: Path, folder: Path, clock_source: str) -> tuple[int, int, int]:
    """Return scale, nanoseconds by the stopwatch, and by clock_gettime, on a kernel with this clock source."""
    (folder / CLOCK_SOURCE).parent.mkdir(parents=True)
    (folder / CLOCK_SOURCE).write_text(f"{clock_source}\n")
    words = ["qemu-aarch64-static", "-L", str(folder), str(program)]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    scale, by_stopwatch, by_clock = map(int, told.stdout.split())
    return scale, by_stopwatch, by_clock


def test_it_follows_the_generic_timer_where_the_kernel_does(program: Path, tmp_path: Path) -> None:
    scale, by_stopwatch, by_clock = measured(program, tmp_path, "arch_sys_counter")
    assert scale > 0
    # a process that is paused between the two clocks makes them differ; the timer's tick must be right all the same
    assert 0.5 < by_stopwatch / by_clock < 2


@pytest.mark.parametrize("clock_source", ["jiffies", "tsc", "arch_sys_counter_of_another_name"])
def test_it_takes_clock_gettime_elsewhere(program: Path, tmp_path: Path, clock_source: str) -> None:
    assert measured(program, tmp_path, clock_source)[0] == 0


def test_nothing_is_read_ahead_of_what_came_before(program: Path) -> None:
    """Each read of the timer comes after an instruction barrier. The witness is the disassembler."""
    words = ["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", str(program)]
    code = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    ours = [body for body in code.split("\n\n") if re.search(r"<(main|stopwatch_\w+)(\.\w+)*>:", body)]
    reads = re.findall(r":\t(\S+)[^\n]*\n[^\n]*\tmrs\s+x\d+, cntvct_el0", "\n".join(ours))
    assert reads and set(reads) <= {"isb"}, reads
