# SPDX-License-Identifier: Apache-2.0
"""Where the lab keeps things: the tree, the learner's data files, the cache; and whether to hurry."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from labkit.errors import Missing

T = TypeVar("T")


def repo_folder() -> Path:
    """Return the folder that holds `c/`, `notebooks/` and `labkit/`."""
    return Path(__file__).resolve().parents[2]


def data_folder() -> Path:
    """Return the folder for data files, made if need be: `LABKIT_DATA`, else `data/` in the tree.

    Others may have files in it, as in /var/tmp, but they must not be able to replace the lab's.

    Raises
    ------
    Missing : it cannot be made, or others could replace the lab's files in it.
    """
    folder = Path(os.environ.get("LABKIT_DATA") or repo_folder() / "data")
    return _made(folder, "set LABKIT_DATA to a folder on a real disk that only you may write to", sticky_is_safe=True)


def build_folder() -> Path:
    """Return the folder of what is built: compiled workloads, executed lessons."""
    return repo_folder() / "build"


def cache_folder() -> Path:
    """Return the folder for what can be made again: `LABKIT_CACHE`, else `~/.cache/labkit`.

    Raises
    ------
    Missing : it cannot be made, or others may write to it: what is in it is code that runs as this user.
    """
    folder = Path(os.environ.get("LABKIT_CACHE") or Path.home() / ".cache" / "labkit")
    return _made(folder, "set LABKIT_CACHE to a folder that only you may write to")


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder, filled by `make` if it is not there.

    It is made aside and renamed: a second process that makes it too, or one that fails half-way, leaves no half folder.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        make(aside)
        aside.chmod(0o755)
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():  # not the race that another process won
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _made(folder: Path, fix: str, *, sticky_is_safe: bool = False) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve(strict=True)
        reason = others_may_write(folder, sticky_is_safe=sticky_is_safe)
    except (OSError, ValueError) as cause:  # ValueError: a NUL in the name
        raise _unusable(folder, getattr(cause, "strerror", None) or str(cause), fix) from cause
    if reason:
        raise _unusable(folder, reason, fix)
    return folder


def _unusable(folder: Path, reason: str, fix: str) -> Missing:
    return Missing(f"The folder {str(folder)[:200]} cannot be used: {reason}.", fix)


def others_may_write(path: Path, *, sticky_is_safe: bool = False) -> str:
    """Return why somebody else could put files of theirs at a path, or an empty text. Only root is that careful.

    Parameters
    ----------
    path : a file or a folder. That it is a symbolic link is a reason, too.
    sticky_is_safe : accept a folder like /tmp: in it, nobody removes or renames what is another's.
    """
    if os.geteuid() != 0:
        return ""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "it is a symbolic link"
    is_sticky = sticky_is_safe and stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)
    # whoever owns the tree may change the code that root runs here
    if status.st_uid not in (0, repo_folder().stat().st_uid):
        return f"it belongs to user {status.st_uid}"
    # a group of the same number as its owner has no other member on Debian and its derivatives
    group = 0 if status.st_gid in (0, status.st_uid) else stat.S_IWGRP
    if status.st_mode & (stat.S_IWOTH | group) and not is_sticky:
        return "others may write to it (`ls -ld` shows it; `chmod go-w` changes it)"
    return ""


def open_own(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """Return a descriptor of a plain file of this user's, which is not followed if it is a link (open(2)).

    Raises
    ------
    OSError : it is a link, a pipe or another user's, or the kernel refuses.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        if reason := others_may_write(path):
            raise OSError(errno.EPERM, reason, str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_quick() -> bool:
    """Return True when `LABKIT_QUICK=1` asks for the smallest sizes that still show the point."""
    return os.environ.get("LABKIT_QUICK", "") not in ("", "0")


def quick(full: T, short: T) -> T:
    """Return the usual size of something, or the short one when `LABKIT_QUICK=1` asks for it."""
    return short if is_quick() else full
