# SPDX-License-Identifier: Apache-2.0
"""Which Linux runs. For tests alone, which say what must be true from which release on; the lab looks at features."""

from __future__ import annotations

import os
import re

__all__ = ["RUNNING", "since"]


def _release() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    assert found
    return int(found[1]), int(found[2])


RUNNING = _release()


def since(text: str) -> bool:
    """Return True if the running kernel is of this release, such as "6.5", or a later one."""
    major, minor = text.split(".")
    return (int(major), int(minor)) <= RUNNING
