# SPDX-License-Identifier: Apache-2.0
"""Where the programs of other people are that the lab runs: a notebook's kernel may know fewer places than a shell."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

__all__ = ["find_tool"]


def find_tool(name: str) -> str | None:
    """Return the path of a program on PATH, next to this Python (where `make setup` links some), or in /usr/sbin."""
    places = [os.environ.get("PATH", ""), str(Path(sys.executable).parent), "/usr/sbin", "/sbin"]
    return shutil.which(name, path=os.pathsep.join(filter(None, places)))
