# SPDX-License-Identifier: Apache-2.0
"""What the verifier says of a program, with the place in the learner's C of each instruction.

A rejected program is compiled once more, to get the full log and to find out from which line and column each
instruction came.
"""

from __future__ import annotations

import ctypes as ct
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.bpf import bcc, btf, proginfo
from labkit.bpf.capture import captured
from labkit.bpf.compile import compile_error
from labkit.bpf.load import full_log, log_of_all_paths, try_load
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

    def lines(self, path: Path | str) -> dict[int, int]:
        """Return the lines of one file: instruction number -> line."""
        return {number: place.line for number, place in self.places.items() if place.file == str(path)}


@uninterrupted()
def examine(source: Source, function: str, kind: int, verdict: str = "", *, all_paths: bool = False) -> Evidence:
    """Compile a program again; return the verifier's full log and where each instruction came from.

    Parameters
    ----------
    source : what was compiled. `#line` directives in its text say from which file each part came.
    function : its name in the C file.
    kind : the program type, a number of `enum bpf_prog_type`.
    verdict : what the verifier said when it refused the function, if it has.
    all_paths : get the log of all paths of a function that is accepted; otherwise the verdict alone.

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
        log = log_of_all_paths(module, function, kind) if accepted and all_paths else log
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
    types = btf.fetch(info.btf_id)
    rows = room[: min(info.nr_line_info, count)]
    found = []
    for row in rows:
        # The first instruction belongs to the function itself, which is in the main file.
        main = row.file_name_off == rows[0].file_name_off
        header = (types.text(row.file_name_off) if types else "") or "a header"
        found.append(Row(row.insn_off, "" if main else header, row.line_col >> 10, row.line_col & 0x3FF))
    return [row for row in found if row.line]
