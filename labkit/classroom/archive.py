# SPDX-License-Identifier: Apache-2.0
"""What a handed-in archive may hold: names, sizes, and the list of checksums that is its first member."""

from __future__ import annotations

import re
from typing import Any

from labkit.errors import LabkitError

__all__ = ["MANIFEST", "MOST_BYTES", "MOST_FILES", "MOST_FILE_BYTES", "allowed", "learner_name"]

MANIFEST = "hand-in.json"
MOST_FILES = 100
MOST_FILE_BYTES = 20 << 20
MOST_BYTES = 200 << 20
_ALLOWED = re.compile(
    rf"{re.escape(MANIFEST)}|progress\.json|predictions\.json|notebooks/\d\d(-[a-z]+)+\.ipynb"
    r"|frames/\d\d-[a-z-]+\.(csv|json)",
    re.ASCII,
)


def allowed(name: str) -> bool:
    """Return whether an archive may have a member of this name: a short list, so none that leaves its folder."""
    return len(name) <= 100 and _ALLOWED.fullmatch(name) is not None


def learner_name(said: Any) -> str:
    """Return a learner's name as the name of a folder.

    Raises
    ------
    LabkitError : no letter is left of it.
    """
    name = re.sub(r"[^\w .@+-]", "-", str(said))[:60].strip(" .-")
    if not re.search(r"\w", name):
        raise LabkitError(f"{said!r} is not a name.", 'labkit hand-in "Ada Lovelace"')
    return f"{name}-" if name.casefold() == "graded" else name
