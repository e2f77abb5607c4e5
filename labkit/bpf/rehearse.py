# SPDX-License-Identifier: Apache-2.0
"""Compile a program in a process of its own first: clang may end the process that it works for.

BCC carries clang as a library. LLVM reports some errors, "Looks like the BPF stack limit of 512 bytes is exceeded"
among them, by calling exit(3) (LLVMContext::diagnose), which would end the learner's notebook kernel. A program of
unknown origin is therefore compiled in a child before it is compiled here.

The child may use a limited CPU time, so that the limit means the same on a busy machine: RLIMIT_CPU, see getrlimit(2).
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
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
TIMEOUT_S = 600.0
CPU_S = 12  # clang takes 0.3 s for a small program, and 3 s for one with <net/sock.h>
_START_S = 0.2  # CPU time to start the child; where it takes longer, as on an emulated machine, clang gets more too


def rehearse(text: str, cflags: Sequence[str], *, cpu_s: float = CPU_S) -> str | None:
    """Return what clang said if it ended its process; None if it returned, be the program right or wrong.

    Parameters
    ----------
    text : the C to compile.
    cflags : clang's flags.
    cpu_s : how much CPU time clang may take, in seconds; a slow machine gets more.

    Raises
    ------
    CompileError : clang took longer.
    Missing : no BCC, or no kernel headers.
    """
    child = _child(text, cflags, {}, TIMEOUT_S, cpu_s)
    return None if child.returncode == _CAME_BACK else child.stderr


def is_accepted(text: str, cflags: Sequence[str], kinds: Mapping[str, int], *, timeout_s: float = TIMEOUT_S) -> bool:
    """Tell whether a program compiles and the kernel accepts its functions; it is never loaded in this process.

    Parameters
    ----------
    text, cflags : as of `rehearse`.
    kinds : the beginning of a function's name -> its program type, a number of `enum bpf_prog_type`. Functions of other
        names are not loaded; one at least has to be.
    timeout_s : how long clang may take, in seconds.
    """
    return bool(_child(text, cflags, kinds, timeout_s).returncode == _ACCEPTED)


def _child(
    text: str, cflags: Sequence[str], kinds: Mapping[str, int], timeout_s: float, cpu_s: float = CPU_S
) -> subprocess.CompletedProcess[str]:
    load_bcc()  # it puts into the environment where the kernel headers are, for the child too
    try:
        said = json.dumps([text, list(cflags), dict(kinds), cpu_s])
        child = command.run([sys.executable, "-I", "-c", _CHILD, str(_PARENT)], text_in=said, timeout_s=timeout_s)
    except subprocess.TimeoutExpired:
        raise _stopped(f"{timeout_s:g} s") from None
    if child.returncode == -signal.SIGXCPU:
        raise _stopped(f"the {child.stdout.strip()} s of CPU time that it may take")
    return child


def _stopped(most: str) -> CompileError:
    return CompileError(
        f"clang was stopped: it worked for more than {most}.",
        "make the program smaller: loops that clang unrolls (#pragma unroll) are the usual cause, or macros in macros",
    )


def compile_and_leave() -> None:
    """Compile the program on stdin, load what is asked for, and end this process: what the child does."""
    text, cflags, kinds, cpu_s = json.load(sys.stdin)
    most_s = math.ceil(cpu_s * max(1.0, time.process_time() / _START_S))
    resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s + 5))
    sys.stdout.write(str(most_s))
    sys.stdout.flush()
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
