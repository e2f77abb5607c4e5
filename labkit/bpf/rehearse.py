# SPDX-License-Identifier: Apache-2.0
"""Compile a program in a process of its own first: clang may end the process that it works for.

BCC carries clang as a library. LLVM reports some errors, "Looks like the BPF stack limit of 512 bytes is exceeded"
among them, by calling exit(3) (LLVMContext::diagnose), which would end the learner's notebook kernel. A program of
unknown origin is therefore compiled in a child before it is compiled here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from labkit.bpf import bcc
from labkit.errors import CompileError
from labkit.machine.bcc import load_bcc
from labkit.running import command

__all__ = ["compile_and_leave", "rehearse"]

_PARENT = Path(__file__).parents[2]  # labkit is imported from here, however the child's environment is set
_CHILD = "import sys; sys.path.insert(0, sys.argv[1]); from labkit.bpf import rehearse; rehearse.compile_and_leave()"
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
    load_bcc()  # it puts into the environment where the kernel headers are, for the child too
    try:
        said = json.dumps([text, list(cflags)])
        child = command.run([sys.executable, "-I", "-c", _CHILD, str(_PARENT)], text_in=said, timeout_s=timeout_s)
    except subprocess.TimeoutExpired:
        raise CompileError(
            f"clang was stopped: it compiled for more than {timeout_s:g} s.",
            "make the program smaller: loops that clang unrolls (#pragma unroll) are the usual cause",
        ) from None
    return None if child.returncode == _CAME_BACK else child.stderr


def compile_and_leave() -> None:
    """Compile the program on stdin and end this process: what the child does."""
    text, cflags = json.load(sys.stdin)
    with bcc.compiled(text, cflags, disassemble=False):
        os._exit(_CAME_BACK)
