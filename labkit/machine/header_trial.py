# SPDX-License-Identifier: Apache-2.0
"""Try whether BCC's clang can read a tree of kernel headers: those of a newer kernel may be too new for it.

The trial runs in a process of its own, because clang writes on descriptor 2 and may end its process. What came of it is
kept in the cache folder: each tree is tried once for each library.
"""

from __future__ import annotations

import ctypes as ct
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["why_not"]

_TEXT = b"#include <uapi/linux/ptrace.h>\n#include <linux/sched.h>\nint labkit_trial(void *ctx) { return 0; }\n"
_COMPILES, _REFUSED, _NO_BCC = 77, 78, 79  # exit statuses
_TIMEOUT_S = 120.0


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
    key = hashlib.sha256(f"{mark.resolve()} {mark.stat().st_ctime_ns} {_library()}".encode()).hexdigest()[:16]
    kept = cache / f"trial-{key}"
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        pass
    others = {name: value for name, value in os.environ.items() if name != choice}
    command = [sys.executable, "-I", __file__]
    try:
        done = subprocess.run(
            command, env={**others, **environment}, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode == _NO_BCC:
        return ""
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    said = "" if done.returncode == _COMPILES else (errors or ["clang ended without a word"])[0]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(said, encoding="utf-8")
    return said


def _library() -> str:
    """Return what changes when another BCC is installed."""
    found = sorted(Path("/usr/lib").glob("*/libbcc.so.0.*")) + sorted(Path("/usr/lib").glob("libbcc.so.0.*"))
    return " ".join(f"{path} {path.stat().st_mtime_ns}" for path in found)


def _compile() -> None:
    try:
        create = ct.CDLL("libbcc.so.0").bpf_module_create_c_from_string
    except OSError:
        os._exit(_NO_BCC)
    create.argtypes = [ct.c_char_p, ct.c_uint, ct.c_void_p, ct.c_int, ct.c_bool, ct.c_char_p]
    create.restype = ct.c_void_p
    os._exit(_COMPILES if create(_TEXT, 0, None, 0, True, None) else _REFUSED)


if __name__ == "__main__":
    _compile()
