# SPDX-License-Identifier: Apache-2.0
"""Archives for tests: some as `labkit hand-in` makes them, and some bad ones."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["archive", "good"]

FILES = {"notebooks/00-start.ipynb": b'{"cells": []}', "progress.json": b'{"solved": {}}'}


def good(path: Path, learner: str = "Ada", files: dict[str, bytes] | None = None) -> Path:
    """Write an archive whose list of checksums is right."""
    held = FILES if files is None else files
    listed = {name: {"sha256": hashlib.sha256(content).hexdigest()} for name, content in held.items()}
    manifest = json.dumps({"learner": learner, "files": listed}).encode()
    return archive(path, {"hand-in.json": manifest, **held}.items())


def archive(
    path: Path, members: Iterable[tuple[str, bytes]], change: Callable[[tarfile.TarInfo], None] | None = None
) -> Path:
    """Write an archive; `change` may make of each member whatever tar knows."""
    with tarfile.open(path, "w:gz") as made:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if change:
                change(member)
            made.addfile(member, io.BytesIO(content))
    return path
