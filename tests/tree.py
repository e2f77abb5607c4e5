# SPDX-License-Identifier: Apache-2.0
"""The files of this tree, as a reader of the repository would find them."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from labkit.machine.folders import repo_folder

ROOT = repo_folder()
_MADE = {".git", ".venv", ".venv-docs", "build", "data", "__pycache__", ".ipynb_checkpoints", ".hypothesis"}


@functools.cache
def files() -> list[Path]:
    """Return every file that belongs to the project: those that git tracks, or all files without git."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        found = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        found = list(ROOT.rglob("*"))
    return sorted(path for path in found if path.is_file() and not _is_made(path))


def _is_made(path: Path) -> bool:
    names = path.relative_to(ROOT).parts
    return any(name in _MADE or name.endswith((".egg-info", "_cache")) for name in names)


def named(*suffixes: str, under: str = "") -> list[Path]:
    """Return the project's files with these suffixes, below a folder."""
    return [path for path in files() if path.suffix in suffixes and path.is_relative_to(ROOT / under)]


def short(path: Path) -> str:
    """Return a path as people name it, for a test's id."""
    return str(path.relative_to(ROOT))
