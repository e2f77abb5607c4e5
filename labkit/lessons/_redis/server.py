# SPDX-License-Identifier: Apache-2.0
"""What lessons 09 and 10 share: an unmodified Redis server in a cgroup, asked by redis-benchmark.

Rests on the distribution's redis-server and redis-benchmark, which speak plain TCP over 127.0.0.1.
"""

from __future__ import annotations

import csv
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.errors import LabkitError, Missing, WorkloadError
from labkit.machine import ending
from labkit.machine.tools import find_tool
from labkit.running.cgroup import Cgroup
from labkit.running.pinning import cpus_for
from labkit.running.progress import Tick
from labkit.running.workload import TICK_S

__all__ = ["Server", "check_installed", "redis_version", "why_not"]

START_S = 20.0
_TRIES = 5


def why_not() -> str:
    """Return why Redis cannot be measured here, with the fix, or an empty string."""
    absent = [name for name in ("redis-server", "redis-benchmark") if find_tool(name) is None]
    if not absent:
        return ""
    return f"{' and '.join(absent)} not installed: sudo apt-get install redis-tools, then: make setup"


def check_installed() -> None:
    """Raise `Missing` where Redis cannot be measured."""
    if why := why_not():
        what, _, fix = why.partition(": ")
        raise Missing(f"{what}.", fix)


class Server:
    """A Redis server in a cgroup, pinned. Leaving its block ends it and takes its exit status.

    Parameters
    ----------
    cgroup : where it and its clients live.
    place : where they run, "same core" or "cross core".
    folder : of its files.
    options : of redis-benchmark, each time it asks.
    settings : of the server; with these it keeps nothing on disk.
    """

    def __init__(
        self,
        cgroup: Cgroup,
        place: str,
        folder: Path,
        options: Sequence[str],
        settings: Sequence[str] = ("--appendonly", "no"),
    ) -> None:
        self._cgroup, self._options, self._settings = cgroup, options, settings
        self._cpu, self._client_cpu = cpus_for(place)
        self._file = folder / f"{cgroup.path.name}-{self._cpu}-{self._client_cpu}.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            for _ in range(_TRIES):
                self._port = _free_port()
                if self._start():
                    break
            else:
                raise LabkitError(
                    f"redis-server found no free port in {_TRIES} tries.", "end other servers: see `ss -tlnp`"
                )
            self.ask(["-t", "set", "-n", "1"])  # so that GET finds a value
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        """Kill the server, and wait for it: otherwise its entry stays in the process table as a zombie."""
        if self._process is not None:
            self._process.kill()
            ending.wait_killed(self._process)

    def _start(self) -> bool:
        """Start it and wait until it listens; return False if another program took the port meanwhile."""
        log = self._folder / f"{self._file.stem}.log"
        command = [
            "taskset",
            "-c",
            str(self._cpu),
            _path("redis-server"),
            "--bind",
            "127.0.0.1",
            "--port",
            str(self._port),
        ]
        command += ["--unixsocket", str(self._file), "--save", "", "--dir", str(self._folder), *self._settings]
        with log.open("wb") as output:
            process = self._process = subprocess.Popen(
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

    def ask(self, arguments: Sequence[str], *, by_file: bool = False, tick: Tick | None = None) -> dict[str, float]:
        """Let redis-benchmark ask it from inside the same cgroup; return requests_per_s, p50_ns and p99_ns."""
        where = ["-s", str(self._file)] if by_file else ["-h", "127.0.0.1", "-p", str(self._port)]
        command = ["taskset", "-c", str(self._client_cpu), _path("redis-benchmark"), "--csv", *where, *self._options]
        pipe, started = subprocess.PIPE, time.monotonic()
        benchmark = subprocess.Popen(
            self._cgroup.command([*command, *arguments]), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        )
        with ending.ended(benchmark) as asking:
            while True:
                try:
                    result, complaints = asking.communicate(timeout=TICK_S)
                    break
                except subprocess.TimeoutExpired:
                    (tick or _wait)(time.monotonic() - started)
        rows = list(csv.DictReader(result.splitlines()))
        if asking.returncode != 0 or not rows:
            raise WorkloadError("redis-benchmark failed.", "run it by hand: redis-benchmark -t get", complaints)
        told = rows[-1]
        latencies = {f"{place}_ns": float(told[f"{place}_latency_ms"]) * 1e6 for place in ("p50", "p99")}
        return {"requests_per_s": float(told["rps"]), **latencies}


def _wait(_: float) -> None:
    """Go on waiting: there is no Stop button."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _path(name: str) -> str:
    return find_tool(name) or name


def redis_version() -> str:
    result = subprocess.run([_path("redis-server"), "--version"], capture_output=True, text=True, check=False).stdout
    return " ".join(result.split()[:3])
