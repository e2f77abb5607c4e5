# SPDX-License-Identifier: Apache-2.0
"""Run an experiment of each lesson in a loop, and look whether anything grows: python -m faults.soak [MINUTES]

After each round: memory, descriptors, threads, programs and maps of this process, and the lab's files. Each slope over
the second half of the time comes with a 95 % interval; the run fails where an interval lies above 0.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from faults.experiments import EXPERIMENTS, bpf_objects, held, measured_right
from scipy import stats

LEAST_ROUNDS = 6
# allocators settle slowly; less than this for each round is no leak that a day of work would show
MEMORY_KIB_PER_ROUND = 64.0


def main(minutes: float) -> int:
    """Print the table of slopes; return 1 where something grows."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="soak-") as made:
        tempfile.tempdir = made  # to count what is left there
        os.environ["TMPDIR"] = made
        return _loop(minutes)


def _loop(minutes: float) -> int:
    rounds: list[dict[str, float]] = []
    end_s = time.monotonic() + 60 * minutes
    while time.monotonic() < end_s or len(rounds) < LEAST_ROUNDS:
        for name in EXPERIMENTS:
            measured_right(name)
        rounds.append(holdings())
        print(f"round {len(rounds)}: {rounds[-1]}", flush=True)
    return judged(pd.DataFrame(rounds))


def judged(rounds: pd.DataFrame) -> int:
    """Print the table of slopes; return 1 where something grows."""
    table = slopes(rounds)
    print(table.to_string())
    return int(table["grows"].any())


def slopes(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return by how much each column grows from round to round in the second half, with a 95 % interval."""
    late = rounds.iloc[len(rounds) // 2 :]
    rows = {}
    for name, values in late.items():
        fit = stats.linregress(np.arange(len(values)), values)
        reach = float(stats.t.ppf(0.975, max(1, len(values) - 2)) * np.nan_to_num(fit.stderr))
        least = MEMORY_KIB_PER_ROUND if name == "memory_kib" else 0.0
        low, high = fit.slope - reach, fit.slope + reach
        rows[name] = {"per_round": fit.slope, "low": low, "high": high, "grows": low > least}
    return pd.DataFrame.from_dict(rows, orient="index")


def holdings() -> dict[str, float]:
    """Return what this process holds now: memory, and numbers of things."""
    now = held()
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory_kib": resident_pages * resource.getpagesize() / 1024,
        "descriptors": sum(now["descriptors"].values()),
        "threads": len(now["threads"]),
        "bpf_objects": len(bpf_objects()),
        "files": len(now["files"]),
        "temporary_files": sum(1 for _ in Path(tempfile.gettempdir()).rglob("*labkit*")),
        "children": len(now["children"]),
    }


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60))
