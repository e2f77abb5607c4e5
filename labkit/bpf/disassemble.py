# SPDX-License-Identifier: Apache-2.0
"""Machine code of this CPU as text, by binutils' objdump."""

from __future__ import annotations

import platform
import re
import subprocess
import tempfile

_MACHINES = {"x86_64": "i386:x86-64", "aarch64": "aarch64"}
_LINE = re.compile(r"^\s+([0-9a-f]+):\t(.*)$", re.MULTILINE)


def machine_code(code: bytes) -> list[str]:
    """Return one line per instruction, such as "  4: push   %rbp"; empty if objdump is missing or there is no code."""
    if not code:
        return []
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(code)
        file.flush()
        command = ["objdump", "-D", "-b", "binary", "-m", _MACHINES.get(platform.machine(), platform.machine())]
        try:
            told = subprocess.run(
                [*command, "--no-show-raw-insn", file.name], capture_output=True, text=True, check=False
            ).stdout
        except FileNotFoundError:
            return []
    return [f"{offset:>4}: {text.strip()}" for offset, text in _LINE.findall(told)]
