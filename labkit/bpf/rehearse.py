# SPDX-License-Identifier: Apache-2.0
"""Compile a program in a process of its own first: clang may end the process that it works for.

BCC carries clang as a library. LLVM reports some errors, "Looks like the BPF stack limit of 512 bytes is exceeded"
among them, by calling exit(3) (LLVMContext::diagnose), which would end the learner's notebook kernel. A program of
unknown origin is therefore compiled in a child before it is compiled here.
"""

from __future__ import annotations

import ctypes as ct
import json
import os
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["rehearse"]

_DEBUG_REWRITTEN = 0x4  # bcc.DEBUG_PREPROCESSOR
_CAME_BACK = 77  # the child's exit status if the compiler returned, with or without a program
TIMEOUT_S = 120.0


def rehearse(text: str, cflags: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> str | None:
    """Return what clang said if it ended its process; None if it returned, be the program right or wrong.

    Parameters
    ----------
    text : the C to compile.
    cflags : clang's flags.
    timeout_s : how long clang may take, in seconds.

    Raises
    ------
    CompileError : clang took longer.
    Missing : no BCC, or no kernel headers.
    """
    from labkit.errors import CompileError  # not above: the child runs this file alone
    from labkit.machine.bcc import load_bcc
    from labkit.running import command

    load_bcc()  # it puts into the environment where the kernel headers are, for the child too
    try:
        said = json.dumps([text, list(cflags)])
        child = command.run([sys.executable, "-I", __file__], text_in=said, timeout_s=timeout_s)
    except subprocess.TimeoutExpired:
        raise CompileError(
            f"clang was stopped: it compiled for more than {timeout_s:g} s.",
            "make the program smaller: loops that clang unrolls (#pragma unroll) are the usual cause",
        ) from None
    return None if child.returncode == _CAME_BACK else child.stderr


def _compile() -> None:
    text, cflags = json.load(sys.stdin)
    create = ct.CDLL("libbcc.so.0").bpf_module_create_c_from_string
    create.argtypes = [ct.c_char_p, ct.c_uint, ct.POINTER(ct.c_char_p), ct.c_int, ct.c_bool, ct.c_char_p]
    create.restype = ct.c_void_p
    flags = (ct.c_char_p * len(cflags))(*(flag.encode() for flag in cflags))
    create(text.encode(), _DEBUG_REWRITTEN, flags, len(cflags), True, None)
    os._exit(_CAME_BACK)


if __name__ == "__main__":
    _compile()
