# SPDX-License-Identifier: Apache-2.0
"""What the verifier says of a program, with the place in the learner's C of each instruction.

A rejected program is compiled once more, to get the full log and to find out from which line and column each
instruction came.
"""

from __future__ import annotations

import ctypes as ct
import os
import struct
from dataclasses import dataclass
from typing import Any

from labkit.bpf import bcc, proginfo
from labkit.bpf.capture import captured
from labkit.bpf.compile import compile_error
from labkit.bpf.load import full_log, try_load
from labkit.bpf.text import Source
from labkit.bpf.verifier.places import Place, Row, debug_output, places_of, rows_of_disassembly, without_line_directives
from labkit.running.interrupts import uninterrupted

__all__ = ["Evidence", "examine"]


@dataclass(frozen=True)
class Evidence:
    """What the verifier said of a program."""

    accepted: bool
    log: str
    places: dict[int, Place]  # instruction number -> place


@uninterrupted()
def examine(source: Source, function: str, kind: int, verdict: str = "") -> Evidence:
    """Compile a program again; return the verifier's full log and where each instruction came from.

    Parameters
    ----------
    source : what was compiled. `#line` directives in its text say from which file each part came.
    function : its name in the C file.
    kind : the program type, a number of `enum bpf_prog_type`.
    verdict : what the verifier said when it refused the function, if it has.

    Raises
    ------
    CompileError, Missing : clang, or the kernel, refused it.
    """
    # without the directives, the places that clang writes down are those in the text that BCC made of it
    plain = without_line_directives(source.text)
    with captured() as said, bcc.compiled(plain, source.cflags) as module:
        output = said.text()
        if not module:
            raise compile_error(debug_output(output)[0] or output, source.path)
        _, rewritten, disassembly = debug_output(output)
        rows = _line_table(module, function, kind) or rows_of_disassembly(disassembly, function)
        accepted, log = full_log(module, function, kind, verdict)
    return Evidence(accepted, log, places_of(rows, rewritten, source.text))


class _LineInfo(ct.Structure):
    """`struct bpf_line_info` (<linux/bpf.h>)."""

    _fields_ = [
        ("insn_off", ct.c_uint32),
        ("file_name_off", ct.c_uint32),
        ("line_off", ct.c_uint32),
        ("line_col", ct.c_uint32),
    ]


def _line_table(module: Any, function: str, kind: int) -> list[Row]:
    """Ask the kernel for the line table of a function that it refuses.

    BCC gives the table to the kernel with the program, and the kernel gives it back for a loaded one. So a twin is
    loaded: as many instructions, with the same table, that do nothing and return 0.
    """
    count = bcc.size_of(module, function) // 8
    do_nothing, leave = b"\xb7" + bytes(7), b"\x95" + bytes(7)  # r0 = 0; exit
    twin = ct.create_string_buffer(do_nothing * (count - 1) + leave, 8 * count)
    fd, _, _ = try_load(module, function, kind, ct.addressof(twin))
    if fd < 0:
        return []
    room = (_LineInfo * count)()
    wanted = proginfo.BpfProgInfo(
        nr_line_info=count, line_info_rec_size=ct.sizeof(_LineInfo), line_info=ct.addressof(room)
    )
    try:
        info = proginfo.query(fd, wanted)
    finally:
        os.close(fd)
    strings = _btf_strings(info.btf_id)
    rows = room[: min(info.nr_line_info, count)]
    found = []
    for row in rows:
        # The first instruction belongs to the function itself, which is in the main file.
        main = row.file_name_off == rows[0].file_name_off
        header = strings[row.file_name_off :].partition(b"\0")[0].decode(errors="replace") or "a header"
        found.append(Row(row.insn_off, "" if main else header, row.line_col >> 10, row.line_col & 0x3FF))
    return [row for row in found if row.line]


class _BtfInfo(ct.Structure):
    """The first fields of `struct bpf_btf_info` (<linux/bpf.h>)."""

    _fields_ = [("btf", ct.c_uint64), ("btf_size", ct.c_uint32), ("id", ct.c_uint32)]


def _btf_strings(btf_id: int) -> bytes:
    """Return the string section of a BTF object (Documentation/bpf/btf.rst), or nothing where it is refused."""
    fd = ct.CDLL("libbpf.so.1", use_errno=True).bpf_btf_get_fd_by_id(btf_id)
    if fd < 0:
        return b""
    try:
        info = _BtfInfo()
        size = ct.c_uint32(ct.sizeof(info))
        bcc.libbcc().bpf_obj_get_info(fd, ct.byref(info), ct.byref(size))
        blob = ct.create_string_buffer(info.btf_size)
        info.btf = ct.addressof(blob)
        bcc.libbcc().bpf_obj_get_info(fd, ct.byref(info), ct.byref(size))
    finally:
        os.close(fd)
    header_bytes, _, _, start, length = struct.unpack_from("=5I", blob, 4)
    return blob.raw[header_bytes + start : header_bytes + start + length]
