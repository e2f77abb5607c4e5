# SPDX-License-Identifier: Apache-2.0
"""Look into a running process: the instruction bytes that it has now, not those of its file.

Rests on /proc/PID/maps and /proc/PID/mem (proc(5)); reading disturbs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.bpf import disassemble
from labkit.errors import LabkitError
from labkit.machine import proc

__all__ = ["MappedFile", "address_of", "instruction", "mappings", "read_memory"]

_LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+ *(.*)$", re.MULTILINE)
_DELETED = " (deleted)"
LONGEST_INSTRUCTION_BYTES = 15


@dataclass(frozen=True)
class MappedFile:
    """A stretch of a process's memory that shows a stretch of a file."""

    start: int
    end: int
    permissions: str  # such as "r-xp"
    file_offset: int
    path: str


def mappings(pid: int) -> list[MappedFile]:
    """Return what a process has mapped."""
    try:
        text = proc.text(Path(f"/proc/{pid}/maps"))
    except OSError:
        text = ""
    if not text:  # a process that has ended but was not waited for still has the file, empty
        raise _gone(pid)
    return [
        MappedFile(int(start, 16), int(end, 16), permissions, int(offset, 16), path)
        for start, end, permissions, offset, path in _LINE.findall(text)
    ]


def address_of(pid: int, binary: Path, file_offset: int, *, permission: str = "x") -> int:
    """Return where in a process's memory a byte of a file is: programs and libraries are put at random places.

    Parameters
    ----------
    permission : "x" for code, "w" for data. The mappings are made of whole pages. Where code and data share a page of
        the file (`ld -z noseparate-code`), both mappings contain the byte, and the process uses only one of the two.

    Raises
    ------
    LabkitError : the process is gone, or does not run that file.
    """
    for area in _areas_of(pid, binary):
        contains = area.file_offset <= file_offset < area.file_offset + area.end - area.start
        if contains and permission in area.permissions:
            return area.start + file_offset - area.file_offset
    raise LabkitError(f"Process {pid} does not run {binary}.", "pass the file that it runs: ls -l /proc/PID/exe")


def read_memory(pid: int, address: int, count: int) -> bytes:
    """Return `count` bytes of a process's memory."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(count)
    except PermissionError:
        raise LabkitError(f"The memory of process {pid} may not be read.", "run as root") from None
    except OSError:
        raise _gone(pid) from None


def instruction(pid: int, address: int) -> tuple[bytes, str]:
    """Return the bytes of the instruction at an address of a process, and what they mean ("int3").

    The text is empty where objdump is missing; there are four bytes then.
    """
    code = read_memory(pid, address, LONGEST_INSTRUCTION_BYTES)
    lines = disassemble.machine_code(code)
    if not lines:
        return code[:4], ""
    length = int(lines[1].partition(":")[0], 16) if len(lines) > 1 else len(code)
    text = " ".join(lines[0].partition(":")[2].partition("#")[0].split())
    if text.startswith("call ") and length == 5:  # x86-64: the target is given from the next instruction on
        text = f"call {_owner(pid, address + 5 + int.from_bytes(code[1:5], 'little', signed=True))}"
    return code[:length], text


def _owner(pid: int, address: int) -> str:
    """Return the name of what is mapped at an address, such as "[uprobes-trampoline]"."""
    return next((area.path for area in mappings(pid) if area.start <= address < area.end), "") or hex(address)


def _areas_of(pid: int, binary: Path) -> Iterator[MappedFile]:
    wanted = binary.resolve()
    for area in mappings(pid):
        if not area.path.startswith("/") or area.path.endswith(_DELETED):
            continue
        seen = Path(f"/proc/{pid}/root{area.path}")  # by its own name for it: it may live in a container
        if area.path == str(wanted) or (seen.name == wanted.name and seen.exists() and seen.samefile(wanted)):
            yield area


def _gone(pid: int) -> LabkitError:
    return LabkitError(f"Process {pid} is gone.", "start it again, and keep it running while you look into it")
