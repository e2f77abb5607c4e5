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
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.bpf import bcc
from labkit.errors import CompileError
from labkit.machine.bcc import load_bcc
from labkit.running import command

__all__ = ["compile_and_leave", "is_accepted", "rehearse"]

_PARENT = Path(__file__).parents[2]  # labkit is imported from here, however the child's environment is set
_CHILD = "import sys; sys.path.insert(0, sys.argv[1]); from labkit.bpf import rehearse; rehearse.compile_and_leave()"
_CAME_BACK = 77  # the child's exit status if the compiler returned, with or without a program
_ACCEPTED = 78  # and if the kernel loaded the functions asked for
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
    child = _child(text, cflags, {}, timeout_s)
    return None if child.returncode == _CAME_BACK else child.stderr


def is_accepted(text: str, cflags: Sequence[str], kinds: Mapping[str, int], *, timeout_s: float = TIMEOUT_S) -> bool:
    """Tell whether a program compiles and the kernel accepts its functions; it is never loaded in this process.

    Parameters
    ----------
    text, cflags, timeout_s : as of `rehearse`.
    kinds : the beginning of a function's name -> its program type, a number of `enum bpf_prog_type`. Functions of other
        names are not loaded; one at least has to be.
    """
    return bool(_child(text, cflags, kinds, timeout_s).returncode == _ACCEPTED)


def _child(
    text: str, cflags: Sequence[str], kinds: Mapping[str, int], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    load_bcc()  # it puts into the environment where the kernel headers are, for the child too
    try:
        said = json.dumps([text, list(cflags), dict(kinds)])
        return command.run([sys.executable, "-I", "-c", _CHILD, str(_PARENT)], text_in=said, timeout_s=timeout_s)
    except subprocess.TimeoutExpired:
        raise CompileError(
            f"clang was stopped: it compiled for more than {timeout_s:g} s.",
            "make the program smaller: loops that clang unrolls (#pragma unroll) are the usual cause",
        ) from None


def compile_and_leave() -> None:
    """Compile the program on stdin, load what is asked for, and end this process: what the child does."""
    text, cflags, kinds = json.load(sys.stdin)
    with bcc.compiled(text, cflags, disassemble=False) as module:
        os._exit(_ACCEPTED if module and kinds and _loads(module, kinds) else _CAME_BACK)


def _loads(module: int, kinds: Mapping[str, int]) -> bool:
    """Load each function of a known kind; the kernel frees them when this process ends."""
    known = {
        function: next((kind for begin, kind in kinds.items() if function.startswith(begin)), None)
        for function in bcc.functions(module)
    }
    wanted = {function: kind for function, kind in known.items() if kind is not None}
    return bool(wanted) and all(bcc.load(module, name, kind, 0, 1 << 16)[0] >= 0 for name, kind in wanted.items())
