# SPDX-License-Identifier: Apache-2.0
"""Compile a BPF program: clang's diagnostics become an error, or stay with the program that was accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.bpf import bcc
from labkit.bpf.capture import captured
from labkit.bpf.diagnose import clang, written
from labkit.bpf.diagnose import said as diagnostics
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.structures import as_written
from labkit.bpf.text import Source
from labkit.bpf.verifier.repair import Repair, passes
from labkit.errors import CompileError, LabkitError, Missing
from labkit.machine import refusals

__all__ = ["Compiled", "compile_error", "compile_source"]


@dataclass(frozen=True)
class Compiled:
    """A compiled program with its maps, of which nothing is loaded or attached yet.

    `module` is a `bcc.BPF`; `said` is what clang and BCC printed all the same: warnings.
    """

    module: Any
    said: str


def compile_source(source: Source) -> Compiled:
    """Compile a program and make its maps.

    Raises
    ------
    CompileError : clang refused it; the diagnostics carry the learner's file and line.
    Missing : no BCC, no kernel headers, or the kernel refused the maps.
    """
    try:
        with captured() as said:
            module = bcc.make_module(source.text, source.cflags)
    except LabkitError:
        raise
    except Exception as cause:  # BCC raises bare Exception, and prints clang's diagnostics on descriptor 2
        if isinstance(cause, OSError) and (refused := refusals.refused_meanwhile("the compiler", cause)):
            raise refused from cause
        raise compile_error(said.text() or str(cause), source.path, source) from None
    return Compiled(module, said.text())


def compile_error(said: str, path: Path, source: Source | None = None) -> LabkitError:
    """Return the error for a program that did not compile; with `source`, its fix is tried on a copy.

    Parameters
    ----------
    said : what clang and BCC printed.
    path : the learner's file.
    """
    if refused := _refused_maps(said, path.name):
        return refused
    code = Code(path.read_text(encoding="utf-8"))
    told = diagnostics.in_file(said, str(path), code)
    found = clang.error(told, code) or next(written.map_mistakes(code), None)
    if found:
        detail, repair = found.detail(code.text, path.name), Repair("", found.fix, found.edits)
        verified = bool(found.edits) and source is not None and passes(repair, source)
        detail = f"{detail}\n{repair.proof(code)}" if verified else detail
        return CompileError(found.headline(path.name), found.fix, detail, verified=verified)
    unmade = re.search(r"could not open bpf map: (\w+), error: (.+)", said)
    if unmade and (declared := code.map_named(unmade[1])):
        what = f"the kernel refuses the map {unmade[1]} ({unmade[2].strip()})"
        unknown = Finding(declared.line, 0, what, "check its type, the size of its key and value, and its entries")
        return CompileError(unknown.headline(path.name), unknown.fix, unknown.detail(code.text, path.name))
    said = as_written(said, code.text)
    lines = said.strip().splitlines()
    first = next((line for line in lines if "error:" in line), lines[0] if lines else "")
    return CompileError(
        f"clang refused {path.name}: {first.replace(str(path), path.name)}",
        f"fix the line named and run again (the C dialect: {path.name}, and BCC's reference guide)",
        said,
    )


def _refused_maps(said: str, program: str) -> Missing | None:
    """Return the error where it was the kernel that refused, and not clang."""
    # BCC says "could not open bpf map: x, error: Operation not permitted"; what clang says has a line and a column
    if re.search(r":\d+:\d+: (fatal )?error:", said):
        return refusals.no_tracefs() if "struct tracepoint__" in said else None
    return refusals.refusal(f"The maps of {program} could not be made", "bpf", said)
