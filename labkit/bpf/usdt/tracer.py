# SPDX-License-Identifier: Apache-2.0
"""Find USDT probes in programs and libraries, and attach BPF functions to them.

    with Program("usdt") as program, Usdt(program) as probes, Workload("usdt_app") as run:
        program.aim(pid=run.pid)
        probes.attach("on_request_start", binary, "labkit:request_start", pid=run.pid, reads=3)
        run.go()

The program is loaded once and serves every probe: it learns from a map where the arguments are (`operands`). The kernel
itself raises the probe's semaphore, and lowers it when the attachment ends, also when this process is killed.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from labkit.bpf import maps
from labkit.bpf.program import Program
from labkit.bpf.usdt import livecode, redzone, uprobe
from labkit.bpf.usdt.numbered import copy_for
from labkit.bpf.usdt.operands import ARGUMENTS, Operand, packed, parse
from labkit.errors import AttachError, BadArgument, LabkitError, unknown_name
from labkit.machine.doctor import helpers
from labkit.machine.doctor.elf import UsdtNote, usdt_notes
from labkit.running.interrupts import uninterrupted

__all__ = ["Probe", "Usdt", "find", "probes_of", "probes_of_process"]

MOST_PLACES = 64  # USDT_PROBES in c/bpf/labkit_usdt.h


@dataclass(frozen=True)
class Probe(UsdtNote):
    """One place of one probe in a file, `binary`."""

    binary: Path

    @cached_property
    def operands(self) -> list[Operand]:
        """Where its arguments are."""
        return parse(self.arguments)

    def code_of(self, pid: int) -> tuple[bytes, str]:
        """Return the instruction that a process has at this place now: its bytes, and what they mean."""
        return livecode.instruction(pid, livecode.address_of(pid, self.binary, self.file_offset))

    def semaphore_of(self, pid: int) -> int:
        """Return the value of the semaphore in a process: above 0 while somebody listens; 0 if there is none."""
        if not self.semaphore:
            return 0
        address = livecode.address_of(pid, self.binary, self.semaphore_offset, permission="w")
        return int.from_bytes(livecode.read_memory(pid, address, 2), "little")


def probes_of(binary: Path | str) -> list[Probe]:
    """Return the places of all probes of a program or library, in the order of its notes.

    Raises
    ------
    BadArgument : no such file, not a 64-bit ELF file, a damaged one, or one without probes.
    """
    path = Path(binary)
    try:
        changed_ns = path.stat().st_mtime_ns
        found = _read(path, changed_ns)
    except OSError as error:
        raise BadArgument(
            f"{path} cannot be read: {error.strerror}.", "pass the path of a program or library"
        ) from None
    if not found:
        raise BadArgument(
            f"{path.name} has no USDT probes.",
            f"pass a program that was built with some; `readelf -n {path}` lists them (owner: stapsdt)",
        )
    return found


def find(binary: Path | str, name: str) -> list[Probe]:
    """Return the places of one probe, "provider:probe": a probe in an inlined function has several.

    Raises
    ------
    BadArgument : as `probes_of`, or there is no such probe; the nearest name is suggested.
    """
    found = probes_of(binary)
    places = [probe for probe in found if probe.name == name]
    if not places:
        raise unknown_name("probe", name, dict.fromkeys(probe.name for probe in found))
    return places


def probes_of_process(pid: int) -> list[Probe]:
    """Return the places of all probes in the program of a process and in the libraries that it has mapped."""
    files = dict.fromkeys(area.path for area in livecode.mappings(pid) if "x" in area.permissions)
    found: list[Probe] = []
    for file in files:
        # by way of /proc, so that the file is right if the process lives in a container
        seen = Path(f"/proc/{pid}/root{file}")
        if file.startswith("/") and seen.is_file():
            path = Path(file) if os.path.exists(file) and seen.samefile(file) else seen
            found += _read(path, path.stat().st_mtime_ns)
    return found


@lru_cache(maxsize=64)
def _read(path: Path, changed_ns: int) -> list[Probe]:
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            raise BadArgument(f"{path.name} is not a program or library (an ELF file).", "pass the path of one")
    try:
        notes = usdt_notes(path)
    except (struct.error, ValueError, IndexError):
        raise BadArgument(f"{path.name} is damaged: its notes cannot be read.", "build or install it again") from None
    return [Probe(**vars(note), binary=path.resolve()) for note in notes]


class Usdt:
    """Attaches functions of a loaded program to USDT probes; leaving the block detaches them.

    A C file whose functions read arguments includes `labkit_usdt.h`.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._links: list[int] = []

    def __enter__(self) -> Usdt:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    @uninterrupted()
    def attach(
        self, function: str, binary: Path | str, name: str, *, pid: int | None = None, reads: int = 0
    ) -> Sequence[Probe]:
        """Run `function` whenever the probe fires; return the places that it was attached to.

        Parameters
        ----------
        function : its name in the C file.
        binary : a program or library.
        name : "provider:probe".
        pid : the process to put the breakpoint in; None: every process that runs the file, now or later.
        reads : how many arguments the function reads.

        Raises
        ------
        BadArgument : no such probe or process.
        AttachError : an argument cannot be read, the place is not safe, or the kernel refused.
        Missing : this kernel has no uprobes.
        """
        places = find(binary, name)
        if pid is not None and not Path(f"/proc/{pid}").exists():
            raise BadArgument(f"pid={pid!r} is not a running process.", "pass the id of a process that runs")
        if len(self._links) + len(places) > MOST_PLACES:
            raise AttachError(f"A program can have at most {MOST_PLACES} places.", "attach to fewer probes")
        for probe in places:
            _check_arguments(probe, reads)
            redzone.check(probe.binary, probe.address, probe.file_offset)
        program = self._program.load_function(function, "KPROBE")
        for probe in places:
            cookie = len(self._links)
            if reads:
                table = self._program.map_fd("labkit_operands")
                maps.write_array(table, packed(probe.operands), first=cookie * ARGUMENTS)
            with self._numbered(function, program, cookie) as own:
                link = uprobe.attach(
                    own,
                    probe.binary,
                    probe.file_offset,
                    pid=pid,
                    cookie=cookie,
                    semaphore_offset=probe.semaphore_offset,
                )
            self._links.append(link)
        return places

    @contextlib.contextmanager
    def _numbered(self, function: str, program: int, cookie: int) -> Iterator[int]:
        """Give what is to be attached: the loaded program, or without cookies a copy that knows its number."""
        if helpers.may_call("uprobe", helpers.GET_ATTACH_COOKIE):
            yield program
            return
        copy = copy_for(self._program.bcc, function, cookie)
        try:
            yield copy
        finally:
            os.close(copy)  # the attachment keeps it

    @uninterrupted()
    def detach(self) -> None:
        """Take all breakpoints out again and lower the semaphores."""
        while self._links:
            os.close(self._links.pop())


def _check_arguments(probe: Probe, reads: int) -> None:
    operands = probe.operands
    if len(operands) < reads:
        raise AttachError(
            f"{probe.name} has {len(operands)} arguments, not {reads}.", "attach a function that reads fewer"
        )
    for number, operand in enumerate(operands[:reads], start=1):
        if not operand.is_readable:
            raise AttachError(
                f"{probe.name}: argument {number} is at {operand.text}, which cannot be read.",
                "read only the other arguments: vector registers and symbols are beyond this reader",
            )
    if probe.semaphore and not probe.semaphore_offset:
        raise LabkitError(f"{probe.name} has a semaphore that is not in its file.", "build the program again")
