# SPDX-License-Identifier: Apache-2.0
"""Rows on USDT: probes that a program's author placed in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from labkit.machine.doctor.elf import usdt_notes
from labkit.machine.doctor.instructions import count
from labkit.machine.doctor.programs import Counter, Program
from labkit.machine.doctor.rows import Finding, missing, ok, other_kernel, package
from labkit.machine.doctor.software import compiled, includes
from labkit.machine.ending import ended

__all__ = ["python_usdt", "usdt"]

TIMES = 23
_TIMEOUT_S = 10
_SOURCE = f"""
#include <stdio.h>
#include <sys/sdt.h>

int main(void)
{{
	getchar();	/* until the probe is attached */
	for (int i = 0; i < {TIMES}; i++)
		DTRACE_PROBE(labkit, doctor);
	return 0;
}}
"""


def usdt() -> Finding:
    """Compile a program with one probe, and count how often the probe fires."""
    if not includes("sys/sdt.h"):
        return missing("the compiler finds no sys/sdt.h", package("systemtap-sdt-dev"))
    with compiled(_SOURCE) as program:
        notes = usdt_notes(program)
        if not notes:
            return missing("sys/sdt.h left no note of a probe", package("systemtap-sdt-dev"))
        counted = _count(program, notes[0].file_offset)
    if counted != TIMES:
        reason = f"a probe fired {TIMES} times, and {counted} were counted"
        return missing(reason, other_kernel("CONFIG_UPROBE_EVENTS=y"))
    return ok(f"a probe compiled with sys/sdt.h fired {TIMES} times, and {counted} were counted")


def _count(program: Path, offset: int) -> int:
    with Counter() as hits, Program("uprobe", count(hits.descriptor)) as probe:
        with ended(subprocess.Popen([program], stdin=subprocess.PIPE)) as process:
            probe.attach_uprobe(program, offset=offset, pid=process.pid)
            process.communicate(b"\n", timeout=_TIMEOUT_S)
        return hits.value


def python_usdt() -> Finding:
    """Look for the probes of CPython itself, first in the distribution's."""
    for file in filter(Path.is_file, _pythons()):
        names = [note.probe for note in usdt_notes(file) if note.provider == "python"]
        if names:
            return ok(f"{file} has {len(names)} probes: {', '.join(sorted(set(names)))}")
    return missing("no Python here has probes: they were built without --with-dtrace", package("python3"))


def _pythons() -> Iterator[Path]:
    for command in ("/usr/bin/python3", sys.executable):
        program = Path(command).resolve()
        yield program
        library = f"lib{program.name}.so.1.0"  # where a shared build has its probes
        yield from program.parent.parent.glob(f"lib/{library}")
        yield from program.parent.parent.glob(f"lib/*/{library}")
