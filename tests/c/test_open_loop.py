# SPDX-License-Identifier: Apache-2.0
"""I/Os that are due at random times: how many, how far apart, and what their latency contains.

Witnesses: SciPy for the distribution of the gaps, fio's own Poisson process for the rate.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

Build = Callable[..., Any]
REPO = Path(__file__).parents[2]
ENGINES = {"pool": "psync", "libaio": "libaio", "io_uring": "io_uring"}  # and fio's names for them

GAPS = r"""
#include <assert.h>
#include "loop.h"

struct settings set = { .rate = 5000, .seed = 7 };

int main(void)
{
	schedule_begin(1000000000);
	for (int i = 0; i < 20000; i++) {
		printf("%" PRIu64 "\n", schedule_next());
		schedule_take();
	}
	schedule_shift(500);
	uint64_t last = schedule_next();
	schedule_take();
	assert(schedule_offered(last - 1) == 20000 && schedule_offered(last) == 20001);
	return 0;
}
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = REPO / "build" / f"test-open-loop-{os.getpid()}"
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def io_engines(build: Build, folder: Path) -> Callable[..., dict[str, Any]]:
    program = build("io_engines")

    def run(engine: str, *options: object) -> dict[str, Any]:
        common = ("--folder", folder, "--file-bytes", "4m", "--engine", engine, "--queue-depth", 16)
        result: dict[str, Any] = program.run(*common, *options).result
        return result

    return run


def test_the_gaps_are_exponential_and_the_same_for_a_seed(tmp_path: Path) -> None:
    source, program, workloads = tmp_path / "gaps.c", tmp_path / "gaps", REPO / "c" / "workloads"
    source.write_text(GAPS)
    parts = [workloads / "io_engines" / "schedule.c", *(workloads / "common").glob("*.c")]
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-fsanitize=address,undefined"]
    includes = [f"-I{workloads / 'common'}", f"-I{workloads / 'io_engines'}"]
    subprocess.run(["cc", *flags, *includes, "-o", program, source, *parts, "-lm"], check=True)
    said = [subprocess.run([program], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert said[0] == said[1]
    gaps_ns = np.diff(np.array(said[0].split(), dtype=float), prepend=1e9)
    assert gaps_ns.mean() == pytest.approx(200_000, rel=0.03)
    assert stats.kstest(gaps_ns, "expon", args=(0, 200_000)).pvalue > 0.001


@pytest.mark.parametrize("engine", ENGINES)
def test_below_saturation_all_that_is_offered_is_done(io_engines: Build, engine: str) -> None:
    result = io_engines(engine, "--rate", 2000, "--seconds", 1)
    assert result["rate"] == 2000
    assert 0 <= result["offered_ios"] - result["ios"] <= 16  # the last few may not have started in time
    assert result["offered_ios"] == pytest.approx(2000, rel=0.1)
    assert result["ios"] == result["latency_ns"]["count"] == result["service_ns"]["count"]
    assert result["latency_ns"]["sum_ns"] >= result["service_ns"]["sum_ns"] > 0


@pytest.mark.skipif(not shutil.which("fio"), reason="fio is not installed: apt-get install fio")
@pytest.mark.parametrize("engine", ENGINES)
def test_fio_offers_the_same_rate(io_engines: Build, folder: Path, engine: str) -> None:
    ours = io_engines(engine, "--rate", 2000, "--seconds", 1)
    command = [
        "fio",
        "--name=peer",
        f"--filename={folder / 'blocks'}",
        "--size=4m",
        f"--ioengine={ENGINES[engine]}",
        "--rw=randread",
        "--bs=4k",
        "--direct=1",
        "--iodepth=16",
        "--rate_iops=2000",
        "--rate_process=poisson",
        "--time_based=1",
        "--runtime=1",
        "--io_size=1t",
        "--thread=1",
        "--output-format=json",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout
    peer = json.loads(said[said.index("{") :])["jobs"][0]["read"]
    (folder / "blocks").unlink()
    achieved = ours["ios"] / ours["elapsed_s"]
    assert achieved == pytest.approx(2000, rel=0.1)
    assert achieved == pytest.approx(1000 * peer["total_ios"] / peer["runtime"], rel=0.1)


@pytest.mark.parametrize("engine", ENGINES)
def test_above_saturation_what_waits_is_in_the_latency_and_not_in_the_service(io_engines: Build, engine: str) -> None:
    result = io_engines(engine, "--rate", 5_000_000, "--seconds", 0.2)
    assert 0 < result["ios"] < result["offered_ios"]
    assert result["offered_ios"] == pytest.approx(1_000_000, rel=0.02)
    assert result["latency_ns"]["max_ns"] > 100e6 > result["service_ns"]["sum_ns"] / result["ios"]
    assert result["in_flight"] <= 16.01


@pytest.mark.parametrize("engine", ENGINES)
def test_a_number_of_ios_ends_it_with_all_of_them_done(io_engines: Build, engine: str) -> None:
    result = io_engines(engine, "--rate", 20_000, "--seconds", 0, "--ios", 997, "--verify", "during")
    assert (result["ios"], result["offered_ios"], result["verified_ios"]) == (997, 997, 997)


def test_the_closed_loop_has_no_schedule(io_engines: Build) -> None:
    result = io_engines("pool", "--seconds", 0, "--ios", 101)
    assert result["rate"] == 0 and "offered_ios" not in result and "service_ns" not in result
