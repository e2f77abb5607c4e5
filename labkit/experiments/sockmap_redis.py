"""Lesson 09 on a program that nobody here wrote: an unmodified Redis server, with and without the short cut.

Two servers run at the same time, each in a cgroup of its own with its clients; the short cut is on in one of the two.
Rests on the distribution's redis-server and redis-benchmark, which speak plain TCP over 127.0.0.1.
"""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.engine.cgroup import Cgroup
from labkit.engine.lock import exclusive
from labkit.engine.owned import run_folder
from labkit.engine.progress import Progress, silent
from labkit.engine.workload import TICK_S, Tick
from labkit.errors import LabkitError, Missing, WorkloadError, check_int, check_ints, check_seed
from labkit.experiments.sockmap_short_cut import ShortCut, lo_traffic
from labkit.experiments.sockmap_slices import SHORT_CUT, UNIX, Setting, check_pinning, cpus_for, sweep
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance

__all__ = ["Server", "measure", "redis_version", "why_not"]

START_S = 20.0
_TRIES = 5


def why_not() -> str:
    """Return why Redis cannot be measured here, with the mend, or an empty string."""
    absent = [name for name in ("redis-server", "redis-benchmark") if shutil.which(name) is None]
    if not absent:
        return ""
    return f"{' and '.join(absent)} not installed: sudo apt-get install redis-server redis-tools"


def measure(
    pipeline: int | Sequence[int] = (1, 16),
    pinning: str | Sequence[str] | None = None,
    *,
    clients: int = 50,
    requests: int | None = None,
    value_bytes: int = 64,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let redis-benchmark ask a Redis server by TCP, by TCP with the short cut and by a Unix socket, interleaved.

    Parameters
    ----------
    pipeline : how many requests a client sends at once, 1 to 1000; one number or several.
    pinning : where server and clients run: "same core", "cross core" or both; None takes what this machine can do.
    clients : connections, 1 to 1000.
    requests : GETs in a slice, 100 to 100,000,000; None is 12,000 sends of `pipeline` requests (2,000 in a hurry).
    value_bytes : size of the value that is read, 1 to 1 MiB.
    slices : slices of each arm, 2 to 1000; None is 6 (2 in a hurry).
    seed : of the order of the slices.

    Returns
    -------
    One row a slice: pinning, pipeline, arm, slice, requests_per_s, p50_ns, p99_ns (as redis-benchmark tells them),
    requests, redirects, misses, lo_packets, lo_bytes. `attrs["server"]` is what the server says it is.

    Raises
    ------
    BadArgument; Missing : Redis is not installed, or the short cut cannot be had here.
    """
    batches = check_ints("pipeline", pipeline, 1, 1000, "requests")
    places = check_pinning(pinning)
    check_int("clients", clients, 1, 1000, "connections")
    if requests is not None:
        check_int("requests", requests, 100, 100_000_000, "requests")
    check_int("value_bytes", value_bytes, 1, 1 << 20, "bytes")
    slices = check_int("slices", (2 if quick() else 6) if slices is None else slices, 2, 1000, "slices")
    seed = check_seed(seed)
    if why_not():
        what, _, fix = why_not().partition(": ")
        raise Missing(f"{what}.", fix)

    settings = [{"pinning": place, "pipeline": batch} for place in places for batch in batches]
    options = ["-c", str(clients), "-d", str(value_bytes)]
    report = progress or silent
    servers: dict[tuple[Cgroup, str], Server] = {}
    with exclusive("lesson 09: Redis", report), run_folder() as folder, ShortCut() as cut, Cgroup() as plain:

        def run(arm: str, setting: Setting, tick: Tick) -> dict[str, Any]:
            cgroup = cut.cgroup if arm == SHORT_CUT else plain
            place, batch = setting["pinning"], setting["pipeline"]
            if (cgroup, place) not in servers:
                servers[cgroup, place] = Server(cgroup, place, folder, options)
            total = requests or (2_000 if quick() else 12_000) * batch
            before, lo_before = cut.counts(), lo_traffic()
            server, arguments = servers[cgroup, place], ["-t", "get", "-n", str(total), "-P", str(batch)]
            told = server.ask(arguments, by_file=arm == UNIX, tick=tick)
            counted, lo = cut.counts() - before, lo_traffic() - lo_before
            return {
                "requests_per_s": float(told["rps"]),
                "p50_ns": float(told["p50_latency_ms"]) * 1e6,
                "p99_ns": float(told["p99_latency_ms"]) * 1e6,
                "requests": total,
                "redirects": counted.redirects,
                "misses": counted.misses,
                "lo_packets": lo.packets,
                "lo_bytes": lo.bytes,
            }

        made = sweep(settings, run, "requests_per_s", slices, seed, report)
    facts = provenance(command=["redis-benchmark", "-t", "get", *options], baseline=SHORT_CUT, server=redis_version())
    return schema.frame(made, **facts)


class Server:
    """A Redis server in a cgroup, pinned; it ends with the cgroup.

    Parameters
    ----------
    cgroup : where it and its clients live.
    place : where they run, "same core" or "cross core".
    folder : of its files.
    options : of redis-benchmark, each time it asks.
    settings : of the server; with these it keeps nothing on disk.
    """

    def __init__(
        self, cgroup: Cgroup, place: str, folder: Path, options: Sequence[str],
        settings: Sequence[str] = ("--appendonly", "no"),
    ) -> None:  # fmt: skip
        self._cgroup, self._options, self._settings = cgroup, options, settings
        self._cpu, self._client_cpu = cpus_for(place)
        self._file = folder / f"{cgroup.path.name}-{self._cpu}-{self._client_cpu}.sock"
        for _ in range(_TRIES):
            self._port = _free_port()
            if self._start(folder):
                break
        else:
            raise LabkitError(
                f"redis-server found no free port in {_TRIES} tries.", "end other servers: see `ss -tlnp`"
            )
        self.ask(["-t", "set", "-n", "1"])  # GET shall find a value

    def _start(self, folder: Path) -> bool:
        """Start it and wait until it listens; return False if another program took the port meanwhile."""
        log = folder / f"{self._file.stem}.log"
        command = ["taskset", "-c", str(self._cpu), "redis-server", "--bind", "127.0.0.1", "--port", str(self._port)]
        command += ["--unixsocket", str(self._file), "--save", "", "--dir", str(folder), *self._settings]
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._cgroup.command(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.pid = process.pid  # each command in the chain replaces the one before
        deadline = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < deadline:
            if "Ready to accept connections" in log.read_text(errors="replace"):
                return True
            time.sleep(0.01)
        said = log.read_text(errors="replace")
        if "Address already in use" in said:
            return False
        raise WorkloadError(f"redis-server did not start on port {self._port}.", "start it by hand: redis-server", said)

    def ask(self, arguments: Sequence[str], *, by_file: bool = False, tick: Tick | None = None) -> dict[str, str]:
        """Let redis-benchmark ask it from inside the same cgroup, and return the numbers it tells."""
        where = ["-s", str(self._file)] if by_file else ["-h", "127.0.0.1", "-p", str(self._port)]
        command = ["taskset", "-c", str(self._client_cpu), "redis-benchmark", "--csv", *where, *self._options]
        pipe, started = subprocess.PIPE, time.monotonic()
        with subprocess.Popen(
            self._cgroup.command([*command, *arguments]), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        ) as asking:
            while True:
                try:
                    told, complaints = asking.communicate(timeout=TICK_S)
                    break
                except subprocess.TimeoutExpired:
                    try:
                        (tick or _wait)(time.monotonic() - started)
                    except BaseException:
                        asking.kill()  # Stop was pressed: do not wait for the rest
                        raise
        rows = list(csv.DictReader(told.splitlines()))
        if asking.returncode != 0 or not rows:
            raise WorkloadError("redis-benchmark failed.", "run it by hand: redis-benchmark -t get", complaints)
        return rows[-1]


def _wait(_: float) -> None:
    """Go on waiting: what `ask` does when nobody can press Stop."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def redis_version() -> str:
    told = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=False).stdout
    return " ".join(told.split()[:3])
