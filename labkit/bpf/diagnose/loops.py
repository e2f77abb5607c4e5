# SPDX-License-Identifier: Apache-2.0
"""Loops that clang is asked to write out (`#pragma unroll`) so often that nobody waits for it.

clang tries first and gives up later: a body with a call costs it seconds for 10,000 rounds, and one with a
multiplication costs it minutes. So only loops beyond any doubt are refused at once; others are named when clang was
stopped (see `labkit.bpf.rehearse`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.finding import Finding
from labkit.errors import CompileError

__all__ = ["endless", "stopped"]

_ENDLESS = 100_000  # rounds
_FIX = (
    "take `#pragma unroll` away; from Linux 5.3 on the verifier follows a loop of a constant number of rounds itself, "
    "up to a million instructions in all"
)
_PRAGMA = re.compile(r"#\s*pragma\s+(?:GCC\s+|clang\s+loop\s+)?unroll(?:_count)?\b[ \t]*\(?[ \t]*(\w*)[^\n]*\n\s*")
_HEAD = re.compile(r"for\s*\(([^;]*);([^;]*);([^)]*)\)\s*\{?\s*|while\s*\(([^)]*)\)\s*\{?\s*")
_START = re.compile(r"=\s*([^=,]+)$")
_LIMIT = re.compile(r"(?:<=?|>=?|!=)\s*([^;&|]+?)\s*$")


def endless(code: Code) -> Iterator[Finding]:
    """Yield the first loop that clang would work on for minutes."""
    for line, rounds in _unrolled(code):
        if rounds > _ENDLESS:
            yield _finding(line, f"`#pragma unroll` asks clang to write out this loop {rounds:,} times")
            return


def stopped(code: Code, error: CompileError) -> Finding:
    """Return what a clang that was stopped worked on: the longest unrolled loop, if there is one."""
    what, loops = error.what.rstrip("."), sorted(_unrolled(code), key=lambda loop: -loop[1])
    if not loops:
        return Finding(0, 0, what, error.fix)
    line, rounds = loops[0]
    often = f" {rounds:,} times" if rounds > 1 else ""
    return _finding(line, f"{what}. Here `#pragma unroll` asks it to write out a loop{often}")


def _finding(line: int, what: str) -> Finding:
    return Finding(line, 0, what, _FIX, edits={line: ""})


def _unrolled(code: Code) -> Iterator[tuple[int, int]]:
    """Yield (line of the pragma, rounds) per unrolled loop; nested ones are multiplied. Unknown rounds count as 1."""
    outer_end, outer = -1, 1
    for pragma in _PRAGMA.finditer(code.bare):
        head = _HEAD.match(code.bare, pragma.end())
        if head is None or pragma[1] in ("disable", "0", "1"):
            continue
        asked = code.constant(pragma[1]) if pragma[1] not in ("", "enable", "full") else None
        rounds = min(filter(None, (_rounds(code, head), asked)), default=1)
        rounds *= outer if pragma.start() == outer_end else 1
        outer_end, outer = head.end(), rounds
        yield code.line_at(pragma.start()), rounds


def _rounds(code: Code, head: re.Match[str]) -> int | None:
    """Return the rounds of a loop that counts by one between constants, else None."""
    limit = _LIMIT.search(head[2] or head[4] or "")
    last = code.constant(limit[1]) if limit else None
    start = _START.search(head[1] or "")
    first = (code.constant(start[1]) if start else None) or 0
    return None if last is None else abs(last - first)
