# SPDX-License-Identifier: Apache-2.0
"""Refuse to attach where this kernel would damage the traced process.

A nop of five bytes has room for a call instruction, and x86-64 kernels since 6.18 put one there after the first hit: it
is quicker than a trap. But a call writes its return address just below the stack pointer, and what it calls saves three
registers there. A function that calls no other may keep its own values in that place: the x86-64 ABI promises it those
128 bytes, the red zone. Such a function would go on with wrong values. Later kernels leave five bytes alone; so it is
tried what this one does.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from functools import cache
from pathlib import Path

from labkit.bpf.usdt import livecode, uprobe
from labkit.errors import AttachError, LabkitError
from labkit.machine.doctor.elf import usdt_notes
from labkit.running.workload import Workload, build

__all__ = ["check", "kernel_writes_calls", "uses_red_zone"]

LONG_NOP = b"\x0f\x1f\x44\x00\x00"
TRAP = b"\xcc"
_TRIAL_S = 5.0
_BELOW_STACK_POINTER = re.compile(r"-0x[0-9a-f]+\(%r[sb]p")


def check(binary: Path, address: int, file_offset: int) -> None:
    """Raise AttachError if a breakpoint at this place could damage the process.

    Parameters
    ----------
    binary : the program or library.
    address, file_offset : of the instruction, as linked and in the file.
    """
    if platform.machine() != "x86_64":
        return
    with binary.open("rb") as file:
        file.seek(file_offset)
        if file.read(len(LONG_NOP)) != LONG_NOP:
            return
    if uses_red_zone(binary, address) and kernel_writes_calls():
        raise AttachError(
            f"{binary.name}: to trace the probe at {address:#x} could damage the process on this kernel.",
            "build the program with -mno-red-zone, or with the one-byte nop that sys/sdt.h has by itself",
            "The probe is a nop of five bytes, in a function that calls no other (or whose name was stripped, so that\n"
            "nobody can tell) and that may keep values below the stack pointer. This kernel replaces such a nop by a\n"
            "call, which overwrites those values.",
        )


def uses_red_zone(binary: Path, address: int) -> bool:
    """Return whether the function around an address keeps values below its stack pointer; True if nobody can tell."""
    lines = _function_around(binary, address)
    calls = any(re.search(r"\bcall\b", line) for line in lines)
    return not lines or (not calls and any(_BELOW_STACK_POINTER.search(line) for line in lines))


@cache
def kernel_writes_calls() -> bool:
    """Return whether this kernel makes a call of a traced nop of five bytes: look at a process to which it happens."""
    try:
        binary = build("usdt_app")
        with Workload("usdt_app", ["--loop", "long", "--iterations", "10000000000"]) as run:
            note = next(note for note in usdt_notes(binary) if note.probe == "loop_long")
            address = livecode.address_of(run.pid, binary, note.file_offset)
            event = uprobe.open_event(binary, note.file_offset, pid=run.pid)
            try:
                run.start()
                deadline = time.monotonic() + _TRIAL_S
                # the first hit asks for the call; at the second, it is there or will not be
                while int.from_bytes(os.read(event, 8), "little") < 2 and time.monotonic() < deadline:
                    time.sleep(0.001)
                return livecode.read_memory(run.pid, address, 1) != TRAP
            finally:
                os.close(event)
    except (LabkitError, StopIteration):
        return True  # not tried, so not known to be safe


def _function_around(binary: Path, address: int) -> list[str]:
    """Return the disassembled lines of the function; none if its name was stripped or binutils are missing."""
    try:
        for table in ((), ("-D",)):  # all symbols; those that a stripped library still has
            symbols = _output("nm", "-S", "--defined-only", *table, str(binary))
            for start, size in re.findall(r"^([0-9a-f]+) ([0-9a-f]+) [tTwWiu] ", symbols, re.MULTILINE):
                first, last = int(start, 16), int(start, 16) + int(size, 16)
                if first <= address < last:
                    span = (f"--start-address={first:#x}", f"--stop-address={last:#x}")
                    return re.findall(
                        r"^\s+[0-9a-f]+:\t.*$", _output("objdump", "-d", *span, str(binary)), re.MULTILINE
                    )
    except FileNotFoundError:
        pass
    return []


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
