# SPDX-License-Identifier: Apache-2.0
"""One function at many places, each with a number of its own, on kernels without cookies (before Linux 5.15).

There each place runs a copy of the function, in which the place's number stands as a constant.
"""

from __future__ import annotations

import ctypes as ct
import os
import re
import struct
from typing import Any

from labkit.bpf import bcc
from labkit.bpf.load import try_load
from labkit.errors import AttachError

__all__ = ["copy_for"]

_NUMBER = struct.pack("<Q", 0x6C61626B69740000)  # in usdt_place() of c/bpf/labkit_usdt.h
# r = constant, 64 bits: two instructions with half of the constant each (BPF_LD | BPF_IMM | BPF_DW)
_SETS_IT = re.compile(
    b"(\x18[\x00-\x0a]\x00\x00)" + re.escape(_NUMBER[:4]) + b"(\x00{4})" + re.escape(_NUMBER[4:]), re.DOTALL
)


def copy_for(module: Any, function: str, number: int) -> int:
    """Load a copy of a uprobe's function for the place of this number.

    Parameters
    ----------
    module : a `bcc.BPF` that was compiled with NO_ATTACH_COOKIE.

    Returns
    -------
    the file descriptor of the program, which the caller closes.

    Raises
    ------
    AttachError : the kernel refused it, though it has accepted the function itself.
    """
    code = _SETS_IT.sub(
        lambda found: found[1] + struct.pack("<I", number) + found[2] + bytes(4), bcc.instructions_of(module, function)
    )
    copy = ct.create_string_buffer(code, len(code))
    program, error, said = try_load(module, function, bcc.program_type("KPROBE"), ct.addressof(copy))
    if program < 0:
        reason = said.strip() or os.strerror(error)
        raise AttachError(f"A copy of {function} for one more place was refused: {reason}.", "attach to fewer probes")
    return program
