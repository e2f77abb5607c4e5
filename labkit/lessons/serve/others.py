# SPDX-License-Identifier: Apache-2.0
"""Lesson 11: the same servers asked by wrk, a load generator that nobody here wrote. It speaks HTTP."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import Missing, WorkloadError, check_float
from labkit.lessons.serve.rates import USUAL
from labkit.lessons.serve.runs import Setting, check_setting, check_ways, serving
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.command import run
from labkit.running.lock import exclusive
from labkit.running.pinning import cpus_for
from labkit.running.progress import Progress
from labkit.stats import trial

__all__ = ["ask", "wrk"]

_ANSWERED = re.compile(r"(\d+) requests in ([\d.]+)(ms|s|m)")
_LATENCY = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", re.MULTILINE)
_NS = {"us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}


def wrk(
    way: str | Sequence[str] = USUAL,
    connections: int = 64,
    message_bytes: int = 64,
    *,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let wrk ask each server by HTTP, one after the other, and compare its count with the server's.

    Parameters
    ----------
    way, connections, message_bytes : as of `serve.measure`; one number, and one size of an answer's body.
    seconds : how long for each way, 1 to 60, in whole seconds; None is 2 (1 with LABKIT_QUICK=1).

    Returns one row per way: generator, arm, connections, answered (by the server's count), requests (by wrk's; what is
    in flight at its end, it does not count), requests_per_s, p50_ns, p99_ns (as wrk reports them).

    Raises
    ------
    Missing : wrk is not installed, or this machine refuses all of the ways.
    """
    ways = check_ways(way)
    setting = check_setting(connections, message_bytes)
    whole = int(check_float("seconds", quick(2, 1) if seconds is None else seconds, 1, 60, "seconds"))
    if shutil.which("wrk") is None:
        raise Missing("wrk is not installed.", "sudo apt-get install wrk")
    warnings: list[str] = []
    with exclusive("lesson 11: wrk", progress) as report:
        asked = {arm: arm for arm in ways}
        made = trial.once(asked, lambda arm, _: _ask(arm, setting, whole), progress=report, warnings=warnings)
        facts = provenance(command=["wrk", "--connections", str(setting.connections)], warnings=warnings)
    return schema.frame(list(made.values()), **facts)


def _ask(way: str, setting: Setting, seconds: int) -> dict[str, Any]:
    client_cpu, _ = cpus_for(setting.pinning)
    with serving(way, setting, protocol="http", seconds=60 + 2 * seconds) as (server, address):
        server.start()
        told = ask(address, setting.connections, seconds, client_cpu)
        server.stop()
        counted = server.result()
    return {
        "generator": "wrk",
        "arm": way,
        "connections": setting.connections,
        "answered": counted["requests"],
        **told,
    }


def ask(address: str, connections: int, seconds: int, cpu: int) -> dict[str, Any]:
    """Let wrk ask a server by HTTP from one CPU, and return what it reports.

    Parameters
    ----------
    address : such as "127.0.0.1:4711".
    seconds : how long, a whole number.

    Returns requests, requests_per_s, p50_ns, p99_ns.

    Raises
    ------
    WorkloadError : wrk reports errors, or does not end.
    """
    command = ["taskset", "--cpu-list", str(cpu), "wrk", "--threads", "1", "--latency"]
    command += ["--connections", str(connections), "--duration", f"{seconds}s", f"http://{address}/"]
    try:
        said = run(command, timeout_s=30 + 2 * seconds).stdout
    except subprocess.TimeoutExpired:
        raise WorkloadError("wrk did not end.", "run the cell again") from None
    answered = _ANSWERED.search(said)
    if answered is None or "Socket errors" in said or "Non-2xx" in said:
        raise WorkloadError("wrk reports errors.", "run the cell again; if it stays so, report it", said)
    requests, took, unit = answered.groups()
    latency = {share: float(value) * _NS[scale] for share, value, scale in _LATENCY.findall(said)}
    return {
        "requests": int(requests),
        "requests_per_s": int(requests) / (float(took) * _NS[unit] / 1e9),
        "p50_ns": latency["50"],
        "p99_ns": latency["99"],
    }
