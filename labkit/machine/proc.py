# SPDX-License-Identifier: Apache-2.0
"""Read what the kernel says of processes and mounts (proc(5)): lines in which there are names, of any bytes.

Whoever starts a process or makes a folder chooses its name. The kernel writes names as they are but for a few letters,
so a name may be no UTF-8, and may hold what Python takes for the end of a line (str.splitlines() knows ten of them).
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["lines", "shown", "stat_fields", "text", "text_or_empty"]


def text(path: Path) -> str:
    """Return the text of a file of the kernel's; bytes that are no UTF-8 come back by `os.fsencode`.

    Raises
    ------
    OSError : the file cannot be read.
    """
    return path.read_bytes().decode("utf-8", "surrogateescape")  # read_text() would take "\r" for the end of a line


def text_or_empty(path: Path) -> str:
    """Return the text of a small file without the blanks around it; empty where it cannot be read."""
    try:
        return text(path).strip()
    except OSError:
        return ""


def shown(name: bytes | str) -> str:
    """Return a name of any bytes as one line of text: what cannot be printed is escaped, such as "\\n" or "\\xff"."""
    said = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in said)


def lines(path: Path) -> list[str]:
    """Return the lines of such a file: only a newline ends one, which the kernel escapes in names."""
    return text(path).removesuffix("\n").split("\n")


def stat_fields(folder: Path) -> list[str]:
    """Return the fields of the file `stat` after the name, which may hold blanks and brackets: the first is the state.

    Parameters
    ----------
    folder : /proc/PID or /proc/PID/task/TID.

    Raises
    ------
    OSError : there is no such process any more.
    """
    return text(folder / "stat").rpartition(")")[2].split()
