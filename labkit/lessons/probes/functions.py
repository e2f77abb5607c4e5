# SPDX-License-Identifier: Apache-2.0
"""Lesson 04: is there a function to put a probe on? Look before you attach.

Rests on nm(1) and objdump(1) for a program, on /proc/kallsyms and BTF for the kernel.
"""

from __future__ import annotations

import ctypes as ct
import functools
import random
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import LabkitError, Missing, bad_argument, check_int, several
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.workload import Workload, build

__all__ = ["hidden", "inlined", "kernel_function", "look", "look_kernel"]

FUNCTIONS = ("visible", "half_hidden", "hidden")
_KALLSYMS = Path("/proc/kallsyms")
_FUNC = 12  # BTF_KIND_FUNC in include/uapi/linux/btf.h


def look(functions: Sequence[str] = FUNCTIONS) -> pd.DataFrame:
    """Look for functions in the workload's file, before anything is attached.

    Parameters
    ----------
    functions : names of C functions.

    Returns one row per function: function, symbol ("yes", "no"), call_instructions (in the file's code).
    """
    names, program = _names(functions), build("probes")
    symbols = set(re.findall(r" [tTwW] (\S+)$", _run("nm", str(program)), re.MULTILINE))
    code = _run("objdump", "-d", "--no-show-raw-insn", str(program))
    calls = re.findall(r"\t(?:call|callq|bl)\s+\S+ <(\w+)>$", code, re.MULTILINE)
    rows = [
        {"function": name, "symbol": "yes" if name in symbols else "no", "call_instructions": calls.count(name)}
        for name in names
    ]
    return schema.frame(rows, **provenance(command=f"nm {program}; objdump -d {program}"))


def look_kernel(functions: Sequence[str] = ("vfs_read", "blk_account_io_start", "finish_task_switch")) -> pd.DataFrame:
    """Look for functions of the running kernel.

    Returns one row per function: function, symbol ("yes", "no", or its other names in this kernel).
    """
    names = _names(functions)
    symbols = set(re.findall(r" [tTwW] (\S+)$", _KALLSYMS.read_text(), re.MULTILINE))
    rows = []
    for name in names:
        others = sorted(other for other in symbols if re.fullmatch(rf"(__)?{re.escape(name)}(\.\w+)*", other))
        found = "yes" if name in symbols else f"as {', '.join(others)}" if others else "no"
        rows.append({"function": name, "symbol": found})
    return schema.frame(rows, **provenance(command=f"grep -w FUNCTION {_KALLSYMS}"))


def inlined(calls: int = 23, through_pointer: int = 7) -> pd.DataFrame:
    """Call three functions equally often, and count the calls of each with a uprobe.

    Parameters
    ----------
    calls : of each function, 1 to 1 million.
    through_pointer : how many of the calls of half_hidden go through a pointer, 0 to `calls`.

    Returns one row per function: function, calls (as the workload counted them), count (as the probe did),
    state ("ok" or "refused"), reason.
    """
    calls = check_int("calls", calls, 1, 1_000_000, "calls")
    through_pointer = check_int("through_pointer", through_pointer, 0, calls, "calls")
    arguments = ["--work", "hide", "--calls", str(calls), "--through-pointer", str(through_pointer)]
    rows = []
    with exclusive("lesson 04: inlined functions"):
        for name in FUNCTIONS:
            with Workload("probes", arguments) as run, Program("probes", flags={"MECHANISM": 5, "ENDS": 1}) as program:
                command = run.command
                program.aim(pid=run.pid)
                state, reason = "ok", ""
                try:
                    program.attach_uprobe("on_entry", run.command[0], name)
                except LabkitError as error:
                    state, reason = "refused", error.detail.splitlines()[0] if error.detail else error.what
                told = run.go()
                program.detach()
                count = int(program.counters("hits")[0])
            rows.append({"function": name, "calls": told["calls"], "count": count, "state": state, "reason": reason})
        facts = provenance(command=command)
    return schema.frame(rows, **facts)


def hidden() -> pd.DataFrame:
    """Run `inlined` with secret numbers; exercise 04-q1 asks for what the probe missed.

    Returns one row per function: function, count.
    """
    seen, missed = 200, random.SystemRandom().randint(11, 97)
    made = inlined(seen + missed, through_pointer=seen)
    truths.expect("04-q1", missed)
    shown = made.loc[made["state"] == "ok", ["function", "count"]].reset_index(drop=True)
    shown.attrs["command"] = ""  # it contains the answer
    return shown


@functools.cache
def kernel_function(call: str) -> str:
    """Return the name of the kernel's function for a system call as BTF has it, where fentry looks for it.

    Raises
    ------
    Missing : this kernel has no BTF, or none for it.
    """
    try:
        lib = ct.CDLL("libbpf.so.1")
        lib.btf__load_vmlinux_btf.restype = ct.c_void_p
        types = lib.btf__load_vmlinux_btf()
    except (OSError, AttributeError) as error:
        raise Missing(f"libbpf does not load: {error}", "apt-get install libbpf1") from None
    if not types:
        raise Missing("This kernel has no BTF, and fentry needs it.", "use a kernel with CONFIG_DEBUG_INFO_BTF=y")
    lib.btf__find_by_name_kind.argtypes = [ct.c_void_p, ct.c_char_p, ct.c_uint32]
    try:
        # __x64_sys_getppid and its like on other architectures; where that is an alias, BTF may have the other name
        names = re.findall(rf" [tT] (__(?:\w+?_)?sys_{call})$", _KALLSYMS.read_text(), re.MULTILINE)
        for name in sorted(set(names), key=lambda each: each.startswith("__do_")):
            if lib.btf__find_by_name_kind(types, name.encode(), _FUNC) > 0:
                return str(name)
    finally:
        lib.btf__free.argtypes = [ct.c_void_p]
        lib.btf__free(types)
    raise Missing(f"BTF has no function for the system call {call}.", "use another kernel, or another mechanism")


def _names(functions: Sequence[str]) -> list[str]:
    allowed = 'one or more names, such as ["step"]'
    names = several("functions", functions, allowed)
    if not all(isinstance(name, str) and name for name in names):
        raise bad_argument("functions", functions, allowed)
    return names


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise Missing(f"{command[0]} is not installed.", "apt-get install binutils") from None
