# SPDX-License-Identifier: Apache-2.0
"""Compile BPF programs for arm64 with this machine's own BCC; print one JSON line per program.

    compile_all.py HEADERS FILE...

BCC obeys ARCH (src/cc/frontends/clang/arch_helper.h) and takes the header tree that BCC_KERNEL_SOURCE names.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS: dict[str, list[dict[str, str]]] = {
    "probes": [{"MECHANISM": str(way), "ENDS": "3", "FUNCTION": "__arm64_sys_getppid"} for way in (1, 2, 3, 5, 6)],
    "maps": [{"WAY": str(way)} for way in (1, 2, 3, 4)],
    "maps_channels": [{"CHANNEL": str(channel), "WAKING": "0", "PAGES": "8"} for channel in (0, 1, 2)],
    "maps_full": [{"ENTRIES": "64"}],
    "maps_pairs": [{"ONE_SLOT": "0"}],
    "maps_sizes": [{"FIRST": "0", "STEP": "64", "BARS": "32"}],
    "serve": [{"NO_EPOLL_WAIT": "1"}],
    "sockmap": [{"MAX_SOCKETS": "1024"}],
    "syscall_latency": [{"CALL": "__NR_pread64"}, {"CALL": "__NR_pwrite64", "SLICES": "40"}],
    "syscall_latency_stages": [
        {"ENTER": "sys_enter_pread64", "EXIT": "sys_exit_pread64"} | hooks for hooks in ({}, {"RAW": "0"})
    ],
    "usdt": [{}, {"NO_ATTACH_COOKIE": "1"}],
    "usdt_python": [{}, {"NO_ATTACH_COOKIE": "1"}],
    "usdt_throw": [{}, {"NO_ATTACH_COOKIE": "1"}],
    "your_program_waits": [{"FUTEX": "98"}],
    "verifier_rounds": [{"ROUNDS": "10"}],
    "verifier_row": [{"LIMIT": "8", "CELLS": "16"}],
}


def variants(path: Path) -> list[dict[str, str]]:
    """Return the macros with which a program is compiled."""
    if path.parent.name == "verifier":
        # clang ends the process over the large stack as it is written (labkit/bpf/rehearse.py)
        return [{"FIXED": "1"}] if path.stem == "large_stack" else [{}, {"FIXED": "1"}]
    return FLAGS.get(path.stem, [{}])


def main(headers: str, files: list[str]) -> None:
    os.environ |= {"ARCH": "arm64", "BCC_KERNEL_SOURCE": headers}
    from labkit.bpf import bcc
    from labkit.bpf.capture import captured
    from labkit.bpf.text import Source

    for path in map(Path, files):
        for flags in variants(path):
            source = Source.of(path.resolve(), flags)
            with captured() as said, bcc.compiled(source.text, source.cflags) as module:
                newer = (
                    [each for name in bcc.functions(module) for each in newer_than_5_10(module, name)] if module else []
                )
            errors = [line for line in said.text().splitlines() if " error: " in line][:3]
            row = {"file": str(path), "flags": flags, "ok": bool(module), "errors": errors, "newer": newer}
            print(json.dumps(row), flush=True)


def newer_than_5_10(module: Any, function: str) -> Iterator[str]:
    """Yield what Linux 5.10 does not know: an atomic operation other than to add, and a later helper."""
    from labkit.bpf import bcc

    code = bcc.instructions_of(module, function)
    for operation, registers, _, constant in struct.iter_unpack("<BBhi", code):
        if operation & 0xE7 == 0xC3 and constant != 0:  # BPF_STX | BPF_ATOMIC; BPF_ADD without its result is 0
            yield f"{function}: atomic {constant:#x}"
        if operation == 0x85 and registers >> 4 == 0 and constant > 155:  # BPF_CALL of bpf_redirect_peer() at most
            yield f"{function}: helper {constant}"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
