# SPDX-License-Identifier: Apache-2.0
"""Where the programs of other people are that the lab runs: a notebook's kernel may know fewer places than a shell."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["find_tool", "missing_tools", "search_path"]


def find_tool(name: str) -> str | None:
    """Return the path of a program in one of the folders of `search_path`, or None."""
    return shutil.which(name, path=search_path())


def search_path() -> str:
    """Return PATH, with the folder of this Python (where `make setup` links some programs) and with /usr/sbin."""
    places = [os.environ.get("PATH", ""), str(Path(sys.executable).parent), "/usr/sbin", "/sbin"]
    return os.pathsep.join(filter(None, places))


def missing_tools(wanted: Mapping[str, str]) -> str:
    """Return "not installed: …" with the packages (program -> package) of those that are missing; empty if none is."""
    missing = [package for tool, package in wanted.items() if find_tool(tool) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""
