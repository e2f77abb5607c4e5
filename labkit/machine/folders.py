"""Where the lab keeps things: the tree, the learner's data files, the cache; and whether to hurry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def repo_folder() -> Path:
    """Return the folder that holds `c/`, `notebooks/` and `labkit/`."""
    return Path(__file__).resolve().parents[2]


def data_folder() -> Path:
    """Return the folder for data files, made if need be: `LABKIT_DATA`, else `data/` in the tree."""
    folder = Path(os.environ.get("LABKIT_DATA") or repo_folder() / "data")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def build_folder() -> Path:
    """Return the folder of what is built: compiled workloads, executed lessons."""
    return repo_folder() / "build"


def cache_folder() -> Path:
    """Return the folder for what can be made again: `LABKIT_CACHE`, else `~/.cache/labkit`."""
    folder = Path(os.environ.get("LABKIT_CACHE") or Path.home() / ".cache" / "labkit")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def is_quick() -> bool:
    """Return True when `LABKIT_QUICK=1` asks for sizes as small as can still show the point."""
    return os.environ.get("LABKIT_QUICK", "") not in ("", "0")


def quick(full: T, short: T) -> T:
    """Return the usual size of something, or the short one when `LABKIT_QUICK=1` asks for it."""
    return short if is_quick() else full
