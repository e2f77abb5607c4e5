# SPDX-License-Identifier: Apache-2.0
"""Run fio with the same knobs as a job of io_engines, for one short slice.

What is easy to get wrong: `--runtime` wants a unit, and "0.5" means forever; a job ends early when it has read the file
once (`--io_size`); and it takes finished I/Os one by one by default (`--iodepth_batch_complete_max`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labkit.errors import LabkitError
from labkit.lessons._io.job import Job
from labkit.machine import ending

__all__ = ["PEER", "command", "run"]

PEER = "fio"
_ENGINES = {"sync": "psync", "libaio": "libaio", "io_uring": "io_uring"}
_PATIENCE_S = 30


def command(job: Job, file: Path, seconds: float, cpu: int, *, registered: bool = False) -> list[str]:
    """Return fio's command line for a job of io_engines."""
    options: dict[str, Any] = {
        "name": "peer",
        "filename": file,
        "ioengine": _ENGINES[job.engine],
        "rw": "randread",
        "bs": job.block_bytes,
        "size": file.stat().st_size,
        "io_size": "1t",
        "time_based": 1,
        "runtime": f"{round(seconds * 1000)}ms",
        "direct": int(job.cache == "direct"),
        "invalidate": int(job.cache == "direct"),
        "iodepth": job.queue_depth,
        "iodepth_batch": job.batch,
        "iodepth_batch_complete_min": job.wait_for,
        "iodepth_batch_complete_max": job.queue_depth,
        "norandommap": 1,
        "thread": 1,
        "cpus_allowed": cpu,
        "lat_percentiles": 1,
        "clat_percentiles": 0,
        "output-format": "json",
    }
    if registered:
        options |= {"fixedbufs": 1, "registerfiles": 1}
    return [PEER, *(f"--{name}={value}" for name, value in options.items())]


def run(line: list[str]) -> dict[str, float]:
    """Run fio and return what one slice measured: ios_per_s, cpu_ns_per_io, p50_ns, p99_ns."""
    made = ending.run(line, _PATIENCE_S, folder="/")
    if made.returncode != 0:
        raise LabkitError("fio failed.", "run it by hand, as the detail says", made.stderr or made.stdout)
    job = json.loads(made.stdout[made.stdout.index("{") :])["jobs"][0]
    read = job["read"]
    took_s, ios = read["runtime"] / 1e3, read["total_ios"]
    lat = read["lat_ns"]["percentile"]  # from before the submission to the end, as the lab counts; clat is less
    return {
        "ios_per_s": ios / took_s,
        "cpu_ns_per_io": (job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] * 1e6 / ios,
        "p50_ns": lat["50.000000"],
        "p99_ns": lat["99.000000"],
    }
