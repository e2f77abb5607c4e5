"""Hand a program to the kernel's verifier, and bring back what it says with the place in the C of each instruction.

`load` is for every load. `examine` is for a refused one: it compiles once more, quietly, to get the full log and to
find out from which line and column of the learner's file each instruction came.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import errno
import os
import re
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.bpf import proginfo
from labkit.bpf.bcc import libbcc
from labkit.bpf.verifier.log import CUT
from labkit.bpf.verifier.places import Place, Row, debug_output, places_of, rows_of_disassembly, without_line_directives
from labkit.errors import CompileError, Missing
from labkit.machine.bcc import load_bcc
from labkit.running.interrupts import uninterrupted

__all__ = ["ONE_CAPTURE", "Evidence", "examine", "load", "refused_maps"]

# <linux/bpf_verifier.h>: 1 logs the path that failed, 4 logs the verdict alone. 4 cannot fail for want of room.
_LOG_PATH, _LOG_VERDICT = 1, 4
_VERDICT_BYTES = 1 << 16
# Before 6.4 the head of a log that is too long is kept, and the verdict is at its end: ask for that apart.
# 16 MiB - 1 is the most that kernels before 5.16 take.
_LOG_BYTES = (1 << 20, (1 << 24) - 1)

_DEBUG_REWRITTEN, _DEBUG_SOURCE = 0x4, 0x8  # bcc.DEBUG_PREPROCESSOR, bcc.DEBUG_SOURCE
_ANY_ATTACH_TYPE = ct.c_uint(-1).value

# Descriptors 1 and 2 belong to all threads: who catches what is printed there holds this meanwhile.
ONE_CAPTURE = threading.RLock()


@dataclass(frozen=True)
class Evidence:
    """What the verifier said of a program."""

    accepted: bool
    log: str
    places: dict[int, Place]  # instruction number -> place


def load(module: Any, function: str, kind: int) -> tuple[int, int, str]:
    """Load one function of a compiled `bcc.BPF`; return (file descriptor, errno, the verifier's verdict).

    The descriptor is negative if the kernel refused; the caller owns it otherwise. Nothing is printed.

    Parameters
    ----------
    module : a `bcc.BPF`, or the module pointer inside it.
    function : its name in the C file.
    kind : the program type, a number of `enum bpf_prog_type` such as `bcc.BPF.KPROBE`.
    """
    return attempt(getattr(module, "module", module), function, kind, _LOG_VERDICT, _VERDICT_BYTES)


@uninterrupted()
def examine(text: str, cflags: Sequence[str], function: str, kind: int) -> Evidence:
    """Compile a refused program again; return the verifier's full log and where each instruction came from.

    Parameters
    ----------
    text : the C that was given to BCC. `#line` directives in it say from which file each part came.
    cflags : the flags that were given to BCC.
    function, kind : as of `load`.
    """
    plain = without_line_directives(text)
    with _compiled(plain, cflags) as (module, said):
        _, rewritten, disassembly = debug_output(said)
        rows = _line_table(module, function, kind) or rows_of_disassembly(disassembly, function)
        accepted, log = _full_log(module, function, kind)
    return Evidence(accepted, log, places_of(rows, rewritten, text))


# -- loading -------------------------------------------------------------------------------------


def attempt(
    module: Any, function: str, kind: int, level: int, log_bytes: int, instructions: Any = None
) -> tuple[int, int, str]:
    lib, name = load_bcc().lib, function.encode()
    log = ct.create_string_buffer(log_bytes)
    code = instructions or lib.bpf_function_start(module, name)
    with _quiet():  # BCC also prints the log on descriptor 2
        ct.set_errno(0)
        fd = lib.bcc_func_load(
            module, kind, name, code, lib.bpf_function_size(module, name), lib.bpf_module_license(module),
            lib.bpf_module_kern_version(module), level, log, log_bytes, None, _ANY_ATTACH_TYPE,
        )  # fmt: skip
        error = ct.get_errno()
    return int(fd), error, log.value.decode(errors="replace")


def _full_log(module: Any, function: str, kind: int) -> tuple[bool, str]:
    fd, _, verdict = attempt(module, function, kind, _LOG_VERDICT, _VERDICT_BYTES)
    if fd >= 0:
        os.close(fd)
        return True, verdict
    log = ""
    for log_bytes in _LOG_BYTES:
        _, error, log = attempt(module, function, kind, _LOG_PATH, log_bytes)
        if error != errno.ENOSPC:
            break
    is_whole = "\nprocessed " in log  # the last line of every log
    return False, log if is_whole else f"{log}\n{CUT}\n{verdict}"


def refused_maps(said: str, program: str) -> Missing | None:
    """Return the error where it was the kernel that refused, and not clang; `said` is what both have printed."""
    line = next((line for line in said.splitlines() if "Operation not permitted" in line), None)
    # BCC says "could not open bpf map: x, error: Operation not permitted"; what clang says has a line and a column
    if line is None or re.search(r":\d+:\d+: (fatal )?error:", said):
        return None
    return Missing(
        f"The kernel refused to make the maps of {program}: {line}",
        "run as root, in a privileged container: sudo make lab",
    )


@contextlib.contextmanager
def _compiled(text: str, cflags: Sequence[str]) -> Iterator[tuple[Any, str]]:
    lib = load_bcc().lib
    flags = (ct.c_char_p * len(cflags))(*(flag.encode() for flag in cflags))
    with _quiet() as said:
        module = lib.bpf_module_create_c_from_string(
            text.encode(), _DEBUG_REWRITTEN | _DEBUG_SOURCE, flags, len(cflags), True, None
        )
        said.seek(0)
        output = said.read().decode(errors="replace")
    if not module:
        raise refused_maps(output, "the program") or CompileError(
            "clang refused the program.", "mend the lines that clang names", debug_output(output)[0]
        )
    try:
        yield module, output
    finally:
        lib.bpf_module_destroy(module)


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
    """Catch what C and C++ print on descriptors 1 and 2."""
    flush = ct.CDLL(None).fflush
    with ONE_CAPTURE, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as aside:
        flush(None)
        saved = [(1, os.dup(1)), (2, os.dup(2))]
        os.dup2(aside.fileno(), 1)
        os.dup2(said.fileno(), 2)
        try:
            yield said
        finally:
            flush(None)
            for descriptor, copy in saved:
                os.dup2(copy, descriptor)
                os.close(copy)


# -- from instructions to lines ------------------------------------------------------------------


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
    count = load_bcc().lib.bpf_function_size(module, function.encode()) // 8
    do_nothing, leave = b"\xb7" + bytes(7), b"\x95" + bytes(7)  # r0 = 0; exit
    twin = ct.create_string_buffer(do_nothing * (count - 1) + leave, 8 * count)
    fd, _, _ = attempt(module, function, kind, _LOG_VERDICT, _VERDICT_BYTES, ct.addressof(twin))
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
        libbcc().bpf_obj_get_info(fd, ct.byref(info), ct.byref(size))
        blob = ct.create_string_buffer(info.btf_size)
        info.btf = ct.addressof(blob)
        libbcc().bpf_obj_get_info(fd, ct.byref(info), ct.byref(size))
    finally:
        os.close(fd)
    header_bytes, _, _, start, length = struct.unpack_from("=5I", blob, 4)
    return blob.raw[header_bytes + start : header_bytes + start + length]
