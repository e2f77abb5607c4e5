# SPDX-License-Identifier: Apache-2.0
"""Compile BPF programs for arm64 with this machine's own BCC; print one JSON line per program.

    compile_all.py HEADERS FILE...

BCC obeys ARCH (src/cc/frontends/clang/arch_helper.h) and takes the header tree that BCC_KERNEL_SOURCE names.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

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
                pass
            errors = [line for line in said.text().splitlines() if " error: " in line][:3]
            print(json.dumps({"file": str(path), "flags": flags, "ok": bool(module), "errors": errors}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
