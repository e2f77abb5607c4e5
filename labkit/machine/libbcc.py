# SPDX-License-Identifier: Apache-2.0
"""BCC's shared library: where it is, and a handle on it."""

from __future__ import annotations

import ctypes as ct
from pathlib import Path

__all__ = ["library", "library_files"]


def library() -> ct.CDLL:
    """Load BCC's library and return a new handle on it; raises OSError where that fails."""
    return ct.CDLL("libbcc.so.0", use_errno=True)


def library_files() -> list[Path]:
    """Return the files of BCC's library that are installed: others mean another BCC."""
    return sorted([*Path("/usr/lib").glob("*/libbcc.so.0.*"), *Path("/usr/lib").glob("libbcc.so.0.*")])
