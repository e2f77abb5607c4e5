# SPDX-License-Identifier: Apache-2.0
"""Try whether BCC's clang can read a tree of kernel headers: those of a newer kernel may be too new for it.

The trial runs in a process of its own, because clang writes on descriptor 2 and may end its process. What came of it is
kept in the cache folder: each tree is tried once for each library.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from labkit.machine.folders import repo_folder
from labkit.machine.libbcc import library_files
from labkit.machine.patience import run_while_it_works

__all__ = ["COMPILES", "NO_BCC", "REFUSED", "why_not"]

COMPILES, REFUSED, NO_BCC = 77, 78, 79  # exit statuses of labkit.bpf.bcc.header_trial
_TRIAL = "from labkit.bpf.bcc import header_trial; header_trial()"


def why_not(tree: Path, environment: Mapping[str, str], choice: str, cache: Path) -> str:
    """Return clang's first error about a tree of headers; empty if it compiles, or where nothing can be said.

    Parameters
    ----------
    tree : the top of the tree.
    environment : what BCC must find in its environment to use it.
    choice : the variable that must not come from elsewhere.
    cache : the folder in which the results are kept.
    """
    mark = tree / "include/generated/autoconf.h"
    library = " ".join(f"{path} {path.stat().st_mtime_ns}" for path in library_files())
    key = hashlib.sha256(f"{mark.resolve()} {mark.stat().st_ctime_ns} {library}".encode()).hexdigest()[:16]
    kept = cache / f"trial-{key}"
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        pass
    others = {name: value for name, value in os.environ.items() if name != choice}
    others["PYTHONPATH"] = str(repo_folder())
    command = [sys.executable, "-c", _TRIAL]
    try:
        done = run_while_it_works(command, {**others, **environment})
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode == NO_BCC:
        return ""
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    said = "" if done.returncode == COMPILES else (errors or ["clang ended without a word"])[0]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(said, encoding="utf-8")
    return said
