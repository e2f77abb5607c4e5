# SPDX-License-Identifier: Apache-2.0
"""A map of stacks as a frame: the addresses of each, by name."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labkit.bpf import maps
from labkit.bpf.bcc import kernel_symbol, symbols
from labkit.bpf.stacks import KERNEL_MARK
from labkit.errors import bad_argument

__all__ = ["stacks"]

_KERNEL_FROM = 1 << 63  # the upper half of the addresses is the kernel's, on x86-64 and arm64


def stacks(fd: int, pid: int | None) -> pd.DataFrame:
    """Return a row per stack: stack_id, stack (its functions, the outermost first, separated by semicolons).

    Parameters
    ----------
    fd : of a map that BPF_STACK_TRACE declares.
    pid : the process whose functions are to be named, while it lives; None leaves user space's addresses as numbers.

    Raises BadArgument for a process that does not run.
    """
    keys, values = maps.read_raw(fd)
    with contextlib.ExitStack() as held:
        known = None
        if pid is not None:
            if not isinstance(pid, int) or not Path(f"/proc/{pid}").exists():
                raise bad_argument("pid", pid, "the id of a process that runs")
            known = held.enter_context(symbols(pid))
        rows = [";".join(_name(int(at), known) for at in row.view(np.uint64)[::-1] if at) for row in values]
    return pd.DataFrame({"stack_id": keys.view(np.uint32)[:, 0] if len(keys) else [], "stack": rows})


def _name(address: int, known: Any) -> str:
    if address >= _KERNEL_FROM:
        return f"{kernel_symbol(address)}{KERNEL_MARK}"
    name = known.resolve(address, True)[0] if known is not None else None
    return name.decode(errors="replace") if name else hex(address)
