# SPDX-License-Identifier: Apache-2.0
"""What every frame carries: on which machine it was measured, how, and what went wrong.

>>> frame.attrs.update(provenance(command="io_engines --engine sync", path=file, lost_events=0))
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from labkit.errors import Missing
from labkit.machine import lock_places
from labkit.machine.ending import run
from labkit.machine.folders import data_folder
from labkit.machine.proc import text_or_empty
from labkit.machine.storage import device_facts, mount_below

__all__ = ["note_pressure", "provenance"]

CPUS = Path("/sys/devices/system/cpu")
PRESSURE = Path("/proc/pressure")
_BEFORE: dict[str, float] = {}


def provenance(*, command: str | Sequence[str] = "", path: Path | None = None, **more: Any) -> dict[str, Any]:
    """Return the facts that go with a measurement, as `frame.attrs` keeps them.

    Parameters
    ----------
    command : the exact command of the workload; a list is quoted as a shell would want it.
    path : the file or folder whose file system matters; the data folder if None.
    more : anything else worth keeping, such as `repeats=5`; a name given here replaces what is found.

    Returns
    -------
    kernel, architecture, cpu_model (of CPUs of several kinds, each), cpus (those this process may use), governor
    (of CPU 0; empty where it cannot be seen), governors (of every CPU, each once), idle_states (names of the
    C-states of CPU 0), virtual_machine (the hypervisor's name, or empty), filesystem, mount_options, device and
    what `labkit.machine.storage.device_facts` knows of it, pressure (the shares of the last ten seconds in which
    some task waited for "cpu", "io" or "memory", in per cent; /proc/pressure), pressure_before (the same when the
    measurement began), command, time (UTC), labkit (version), lost_events (0 unless given), warnings (a list).
    """
    place = path or _usable_data_folder()
    mount = mount_below(place) if place else None  # read once: the table is long on a machine with many containers
    return {
        **_facts(),
        "cpus": len(os.sched_getaffinity(0)),
        "governor": text_or_empty(CPUS / "cpu0/cpufreq/scaling_governor"),
        "governors": _distinct(CPUS.glob("cpu[0-9]*/cpufreq/scaling_governor")),
        "idle_states": _distinct(CPUS.glob("cpu0/cpuidle/state[0-9]*/name")),
        "filesystem": mount.kind if mount else "",
        "mount_options": mount.options if mount else "",
        "device": (mount.device or mount.source) if mount else "",
        **device_facts(mount),
        "pressure": _pressure(),
        "pressure_before": dict(_BEFORE),
        "command": command if isinstance(command, str) else shlex.join(command),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "lost_events": 0,
        **more,
        "warnings": [*lock_places.warnings(), *more.get("warnings", [])],
    }


def note_pressure() -> None:
    """Note how busy the machine is now, as the measurement begins, for the `provenance` of its frame."""
    _BEFORE.clear()
    _BEFORE.update(_pressure())


@functools.cache
def _facts() -> dict[str, str]:
    """Look once for what cannot change while a process lives."""
    system = os.uname()
    processor = _lscpu()
    return {
        "kernel": system.release,
        "architecture": system.machine,
        "cpu_model": processor.get("Model name", system.machine),
        "virtual_machine": processor.get("Hypervisor vendor", ""),
        "labkit": _version(),
    }


def _lscpu() -> dict[str, str]:
    """Return what lscpu(1) says; it knows the names of ARM's processors, which /proc/cpuinfo gives as numbers."""
    try:
        told = run(["lscpu"], 5, environment={**os.environ, "LC_ALL": "C"}).stdout
    except (OSError, subprocess.SubprocessError):
        told = Path("/proc/cpuinfo").read_text().replace("model name", "Model name")
    found: dict[str, dict[str, None]] = {}
    for name, value in re.findall(r"^\s*([^:\n]+?)\s*:[ \t]*(\S.*?)\s*$", told, re.MULTILINE):
        if value != "-":
            found.setdefault(name, {})[value] = None
    return {name: ", ".join(values) for name, values in found.items()}  # a machine may have CPUs of several kinds


def _distinct(files: Iterable[Path]) -> list[str]:
    """Return what is in these files of sysfs, each content once."""
    return list(dict.fromkeys(text for file in sorted(files) if (text := text_or_empty(file))))


def _pressure() -> dict[str, float]:
    """Return how much of the last ten seconds some task had to wait (Documentation/accounting/psi.rst)."""
    found = {}
    for kind in ("cpu", "io", "memory"):
        some = re.search(r"^some avg10=([\d.]+)", text_or_empty(PRESSURE / kind))
        if some:
            found[kind] = float(some[1])
    return found


def _usable_data_folder() -> Path | None:
    """Return the data folder, or None: what does not use it is measured where it cannot be used, too."""
    try:
        return data_folder()
    except (OSError, Missing):
        return None


def _version() -> str:
    try:
        return metadata.version("labkit")
    except metadata.PackageNotFoundError:  # run from the tree without being installed
        return "unknown"
