# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: the functions of Python programs, from the interpreter's own records (c/bpf/labkit_python.h).

Rests on the layout of CPython's frames: Include/internal/pycore_frame.h and pycore_runtime.h of 3.11 and 3.12; 3.13
says its layout itself (`_Py_DebugOffsets`). The interpreter needs neither `-X perf` nor frame pointers.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from labkit.bpf import maps
from labkit.bpf.program import Program
from labkit.bpf.stacks import PYTHON_MARK
from labkit.bpf.usdt.livecode import read_memory
from labkit.errors import LabkitError

__all__ = ["CUT", "VERSIONS", "Pythons"]

CUT = "[more frames]"  # of a stack that is deeper than MOST_FRAMES of the C file
VERSIONS = "3.11 to 3.13"
_NOT_ASCII = 1
_FIELDS: tuple[str, ...] = ("interpreters", "threads", "next", "thread_id", "chunk", "frame")
_FIELDS += ("previous", "code", "owner", "file", "name", "text")
_LAYOUTS = {
    (3, 11): (40, 16, 8, 160, 56, 8, 48, 32, 69, 112, 128, 48),
    (3, 12): (40, 72, 8, 144, 56, 0, 8, 0, 70, 112, 128, 40),
}
# where 3.13's own table in _PyRuntime has them; `chunk` and `text` are not in it
_OWN = (40, 72, 168, 200, None, 184, 232, 240, 264, 280, 296, None)
_OWN_COOKIE, _OWN_BYTES, _FREE_THREADED = b"xdebugpy", 304, 16
_NO_CHUNK, _TEXT = -1, 40
_RECORD = struct.Struct("<QQQQ4Ii7I4x")
_CODE_KEY, _CODE = struct.Struct("<QI4x"), struct.Struct("64s128s")


class Pythons:
    """Finds the interpreters in processes, and names the stacks that the kernel's side read from them."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._unknown: dict[int, str] = {}
        self._codes: dict[tuple[int, int], str] = {}
        self._stacks: dict[int, npt.NDArray[np.uint64]] = {}

    @property
    def unknown(self) -> list[str]:
        """Versions of Python that were met, and whose frames cannot be read."""
        return sorted(set(self._unknown.values()))

    def look_for(self, pid: int, maps_text: str) -> None:
        """Look for an interpreter among the files that a process has mapped (the text of /proc/PID/maps)."""
        found = _interpreter(pid, maps_text)
        if isinstance(found, bytes):
            self._unknown.pop(pid, None)
            maps.write_raw(self._program.map_fd("pythons"), struct.pack("<I", pid), found)
        elif found:
            self._unknown[pid] = found

    def read(self) -> None:
        """Read what the kernel's side kept: after the last tick."""
        keys, values = maps.read_raw(self._program.map_fd("python_codes"))
        for key, value in zip(keys, values, strict=True):
            code, pid = _CODE_KEY.unpack(key.tobytes())
            name, file = (_text(raw) for raw in _CODE.unpack(value.tobytes()))
            self._codes[pid, code] = f"{PYTHON_MARK}{name}:{Path(file).name}".replace(";", ",")
        keys, values = maps.read_raw(self._program.map_fd("python_stacks"))
        self._stacks = {int(key.view(np.uint64)[0]): row.view(np.uint64) for key, row in zip(keys, values, strict=True)}

    def names(self, pid: int, number: int) -> list[str]:
        """Return the functions of a stack, the outermost first; none if it has none of Python."""
        stack = self._stacks.get(number)
        if stack is None:
            return []
        found = [self._codes.get((pid, int(code)), f"{PYTHON_MARK}?") for code in stack[:-1] if code]
        return [*([CUT] if stack[-1] else []), *found[::-1]]


def _interpreter(pid: int, maps_text: str) -> bytes | str:
    """Return the record for the kernel's side; the version that is not known; or nothing, where no Python is mapped."""
    for start, path in re.findall(
        r"^([0-9a-f]+)-\S+ \S+ 00000000 \S+ \S+ +(/\S*python3\.\S+)$", maps_text, re.MULTILINE
    ):
        try:
            symbols = _symbols(Path(f"/proc/{pid}/root{path}"), ("_PyRuntime", "PyCode_Type", "Py_Version"))
            base = int(start, 16)
            runtime, code_type, version_at = (
                base + symbols[name] for name in ("_PyRuntime", "PyCode_Type", "Py_Version")
            )
            (version,) = struct.unpack("<Q", read_memory(pid, version_at, 8))
            space = os.stat(f"/proc/{pid}/ns/pid")
            minor = (version >> 24, version >> 16 & 0xFF)
            layout = _LAYOUTS.get(minor) or (
                _own_layout(read_memory(pid, runtime, _OWN_BYTES)) if minor == (3, 13) else None
            )
        except (LabkitError, OSError, KeyError, ValueError, struct.error):
            continue  # a file of another kind, or the process has ended
        if layout is None:
            return f"{minor[0]}.{minor[1]}"
        return _RECORD.pack(runtime, code_type, space.st_dev, space.st_ino, *layout)
    return ""


def _own_layout(table: bytes) -> tuple[int, ...] | None:
    """Return the layout that Python 3.13 says of itself; None for the build without the global lock."""
    if not table.startswith(_OWN_COOKIE) or table[_FREE_THREADED]:
        return None
    own = {at: struct.unpack_from("<Q", table, at)[0] for at in _OWN if at is not None}
    other = {"chunk": _NO_CHUNK, "text": _TEXT}
    return tuple(other[name] if at is None else own[at] for name, at in zip(_FIELDS, _OWN, strict=True))


def _symbols(path: Path, wanted: tuple[str, ...]) -> dict[str, int]:
    """Return where these dynamic symbols of a 64-bit ELF file are, relative to where its first byte is mapped."""
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    head = raw[:64].tobytes()
    if not head.startswith(b"\x7fELF\x02"):
        raise ValueError(f"{path} is no 64-bit ELF file")
    segments_at, sections_at = struct.unpack_from("<QQ", head, 32)
    segment_bytes, segments, section_bytes, sections = struct.unpack_from("<4H", head, 54)
    base = 0
    for number in range(segments):
        kind, _, offset, address = struct.unpack_from(
            "<IIQQ", raw[segments_at + number * segment_bytes :][:56].tobytes()
        )
        if kind == 1 and offset == 0:  # PT_LOAD
            base = address
    rows = [
        struct.unpack("<IIQQQQIIQQ", raw[sections_at + n * section_bytes :][:64].tobytes()) for n in range(sections)
    ]
    (dynamic,) = [row for row in rows if row[1] == 11]  # SHT_DYNSYM
    names = raw[rows[dynamic[6]][4] :][: rows[dynamic[6]][5]].tobytes()
    table = raw[dynamic[4] :][: dynamic[5]].view(
        np.dtype([("name", "<u4"), ("kind", "<u2"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")])
    )
    found = {}
    for name in wanted:
        place = names.index(b"\0" + name.encode() + b"\0") + 1
        found[name] = int(table["value"][table["name"] == place][0]) - base
    return found


def _text(raw: bytes) -> str:
    return (
        "(a name that is not ASCII)"
        if raw[:1] == bytes([_NOT_ASCII])
        else raw.partition(b"\0")[0].decode("ascii", "replace")
    )
