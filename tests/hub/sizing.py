# SPDX-License-Identifier: Apache-2.0
"""What a learner costs a host: the figures of docs/teaching.md.

    PYTHONPATH=tests:. python -m hub.sizing           as root, with podman and the image of `make classroom-image`
    PYTHONPATH=tests:. python -m hub.sizing 06 07     these lessons only
    PYTHONPATH=tests:. python -m hub.sizing none      only the others' effect on medians

For each lesson, in one container with the hub's limits: seconds, seconds of CPU, highest memory, and for how long the
measurement lock was held, as the note in the BPF file system shows. Then: one lab measures while others wait for the
lock or draw plots, with more of them each time, and alone before and after: how many are there when the interval of the
median leaves that of the rounds alone? Writes build/sizing.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import yaml
from container.box import ENGINE, RUN_FLAGS, engine
from hub.hub import overlap
from tree import ROOT

from labkit.course import LESSONS
from labkit.machine.folders import build_folder
from labkit.stats.trial import median_interval

NAME = "labkit-sizing"
NOTE = Path("/sys/fs/bpf/labkit-holder")
POLL_S = 0.05
NEIGHBOURS = (4, 8, 16, 32)
ROUNDS = 8
MEASURE = f"""
from labkit.lessons import io_engines, sockmap
for _ in range({ROUNDS}):
    tcp = sockmap.measure(slices=4).query("arm == 'TCP'")["p50_ns"].median()
    print(float(io_engines.measure("io_uring", slices=4)["p50_ns"].iloc[0]), float(tcp), flush=True)
"""
# What a learner does who does not measure: plots of a frame, one per second. And who presses Run again and again.
PLOT = """
import time
import matplotlib; matplotlib.use("svg")
import matplotlib.pyplot as plt
while True:
    figure, axes = plt.subplots()
    axes.plot(range(1000))
    figure.savefig("/tmp/plot.svg")
    plt.close(figure)
    time.sleep(1)
"""
WAIT = """
import time
from labkit.running.lock import exclusive
while True:
    with exclusive("waiting", timeout_s=600):
        time.sleep(0.1)
"""


def start(name: str) -> None:
    """Start a container with what the hub gives."""
    reduced = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["reduced"]
    flags = [*RUN_FLAGS, "--cgroupns", "private", "--memory", "2g", "--cpus", "2", "--shm-size", "256m"]
    flags += [f"--cap-add={capability}" for capability in reduced["cap_add"]]
    flags += [f"--security-opt={option}" for option in reduced["security_opt"]]
    flags += [f"--volume={volume}" for volume in reduced["volumes"] if volume.startswith("/sys/")]
    engine("run", "--detach", "--name", name, *flags, "labkit-class:local", "sleep", "7200")
    time.sleep(4)  # it mounts, and comes to its command


def counters(name: str) -> dict[str, int]:
    """Return what the container's cgroup says, of either version: highest memory in bytes, CPU time in ns."""
    [told] = json.loads(engine("container", "inspect", name))
    found: dict[str, int] = {}
    for path in Path("/sys/fs/cgroup").glob(f"**/*{told['Id']}/*"):
        if path.name in ("memory.max_usage_in_bytes", "memory.peak"):
            found["peak"] = int(path.read_text())
        elif path.name == "cpuacct.usage":
            found["cpu"] = int(path.read_text())
        elif path.name == "cpu.stat" and "usage_usec" in (text := path.read_text()):
            found.setdefault("cpu", 1000 * int(text.split()[1]))
    return found


def forget_the_peak(name: str) -> None:
    [told] = json.loads(engine("container", "inspect", name))
    for path in Path("/sys/fs/cgroup").glob(f"**/*{told['Id']}/memory.max_usage_in_bytes"):
        path.write_text("0")


def one_lesson(number: str) -> dict[str, Any]:
    """Run a lesson and return its figures."""
    forget_the_peak(NAME)
    before, began_s, held_s, done = counters(NAME), time.monotonic(), 0.0, threading.Event()

    namespace = f'"pid_namespace": {engine("exec", NAME, "stat", "-Lc", "%i", "/proc/self/ns/pid").strip()},'

    def watch() -> None:
        nonlocal held_s
        while not done.wait(POLL_S):
            with contextlib.suppress(OSError):  # no measurement runs
                held_s += POLL_S if namespace in os.readlink(NOTE) else 0.0

    watcher = threading.Thread(target=watch)
    watcher.start()
    ran = subprocess.run(
        [*ENGINE, "exec", NAME, "labkit", "lessons", number, "--to", "/lab/data/lessons"],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    done.set()
    watcher.join()
    after = counters(NAME)
    return {
        "lesson": number,
        "ok": ran.returncode == 0,
        "seconds": round(time.monotonic() - began_s),
        "cpu_s": round((after["cpu"] - before["cpu"]) / 1e9),
        "peak_mb": round(after["peak"] / 1e6),
        "lock_s": round(held_s),
    }


def with_neighbours(count: int) -> list[tuple[float, ...]]:
    """Measure in one lab while `count` others are busy: half of them wait for the lock, half draw plots.

    Returns the medians of each round, in nanoseconds: io_uring's, and of a round trip by TCP.
    """
    names = [f"{NAME}-{number}" for number in range(count)]
    busy = []
    try:
        for number, name in enumerate(names):
            start(name)
            code = (WAIT, PLOT)[number % 2]
            command = [*ENGINE, "exec", "--env", "LABKIT_QUICK=1", name, "python", "-c", code]
            busy.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        told = engine("exec", "--env", "LABKIT_QUICK=1", NAME, "python", "-W", "ignore", "-c", MEASURE, timeout_s=1200)
        if ended := [process.args for process in busy if process.poll() is not None]:
            raise RuntimeError(f"{len(ended)} of {count} others ended before the measurement did: {ended[0]}")
    finally:
        if names:
            engine("rm", "--force", "--volumes", *names, check=False, timeout_s=300)
        for process in busy:
            process.wait(30)
    return [tuple(map(float, line.split())) for line in told.splitlines()]


def compared(alone: list[tuple[float, ...]], near: list[tuple[float, ...]], count: int) -> dict[str, Any]:
    """Return medians and intervals in microseconds, alone and next to `count` others, and which of them moved."""
    told: dict[str, Any] = {"others": count}
    for column, name in enumerate(("io_uring", "a round trip by TCP")):
        both = [[row[column] / 1000 for row in rows] for rows in (alone, near)]
        middles = [[round(value, 2) for value in median_interval(each)] for each in both]
        told[name] = {"alone, us": middles[0], "next to others, us": middles[1], "moved": not overlap(*both)}
    return told


def main() -> None:
    """Measure, print and keep the figures."""
    numbers = [each for each in sys.argv[1:] if each != "none"]
    if not sys.argv[1:]:
        numbers = [lesson.number for lesson in LESSONS]
    told: dict[str, Any] = {"lessons": [], "neighbours": []}
    try:
        start(NAME)
        for number in numbers:
            told["lessons"].append(one_lesson(number))
            print(told["lessons"][-1], flush=True)
        before = with_neighbours(0)
        for count in NEIGHBOURS:
            near, after = with_neighbours(count), with_neighbours(0)
            told["neighbours"].append(compared(before + after, near, count))
            print(told["neighbours"][-1], flush=True)
            before = after
    finally:
        engine("rm", "--force", "--volumes", NAME, check=False, timeout_s=120)
        (build_folder() / "sizing.json").write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
