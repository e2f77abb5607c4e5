# SPDX-License-Identifier: Apache-2.0
"""Delivered + lost = produced, exactly, for each way out of the kernel: python -m faults.tally [EVENTS]

EVENTS in all. What was produced is the workload's own count of its system calls; what was delivered and what was lost
are read from the lab. Prints a row per way; fails where a single event is missing or counted twice.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.lessons import maps
from labkit.running.lock import exclusive
from labkit.running.workload import Workload

MOST_CALLS = 1_000_000  # of one thread in one run
THREADS = 2
KEYS, ENTRIES = 9973, 64


@dataclass(frozen=True)
class Tally:
    """Where the events of some runs went."""

    produced: int
    delivered: int
    lost: int

    @property
    def difference(self) -> int:
        """0 if each event was delivered, or counted as lost."""
        return self.produced - self.delivered - self.lost


def ring_while_read(calls: int) -> Iterator[Tally]:
    """A ring buffer that is drained while it is filled, and whose records are kept."""
    arguments = ["--work", "sizes", "--threads", str(THREADS), "--calls", str(calls)]
    with (
        exclusive("tests: ring buffer"),
        Program("maps_channels", flags={"CHANNEL": 1, "WAKING": 0, "PAGES": 512}) as program,
    ):
        with RingReader(program, "events", max_events=THREADS * calls) as ring, Workload("maps", arguments) as run:
            with program.watching(run.pid):
                made = run.go()["calls"]
            ring.stop()
            yield Tally(made, len(ring.records()), ring.lost)


def channels(calls: int) -> Iterator[Tally]:
    """Ring buffers and perf buffers that are read at the end: most records find no room."""
    frame = maps.channels(calls=calls, threads=THREADS, pages=64, slices=2)
    for row in frame[frame["arm"].isin(maps.CHANNELS)].itertuples():
        yield Tally(THREADS * calls, row.received, row.lost_events)


def histograms(calls: int) -> Iterator[Tally]:
    """Histograms that the kernel counts in: none of their bars can be full."""
    frame = maps.sizes(1, 4999, 7, calls=calls)
    for _, bars in frame.groupby("histogram"):
        yield Tally(int(bars["calls"].iloc[0]), int(bars["count"].sum()), 0)


def full_hash(calls: int) -> Iterator[Tally]:
    """A hash map with more keys than room: what it refuses is counted."""
    times = min(100, max(1, calls // KEYS))
    row = maps.full(KEYS, ENTRIES, times).set_index("arm").loc["hash"]
    yield Tally(int(row["calls"]), int(row["count"]), int(row["refused"]))


WAYS: dict[str, Callable[[int], Iterator[Tally]]] = {
    "ring buffer, read meanwhile": ring_while_read,
    "ring and perf buffers, too small": channels,
    "histograms": histograms,
    "hash map, too small": full_hash,
}


def tallies(events: int) -> pd.DataFrame:
    """Return a row per way with its sums; runs are repeated until each way has its share of the events."""
    rows = []
    for name, way in WAYS.items():
        began_s, found = time.monotonic(), list[Tally]()
        while (left := events // len(WAYS) - sum(each.produced for each in found)) > 0:
            found += way(min(MOST_CALLS, max(left // THREADS, 1)))
        sums = {part: sum(getattr(each, part) for each in found) for part in ("produced", "delivered", "lost")}
        wrong = [each.difference for each in found if each.difference]
        rows.append(
            {"way": name, "runs": len(found), **sums, "wrong_runs": len(wrong), "seconds": time.monotonic() - began_s}
        )
        print(rows[-1], *wrong, flush=True)
    return pd.DataFrame(rows)


def main(events: int) -> int:
    """Print the table; return 1 where a run does not add up."""
    table = tallies(events)
    print(table.to_string(index=False))
    print(f"events in all: {int(table['produced'].sum())}")
    return int((table["wrong_runs"] > 0).any())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000_000))
