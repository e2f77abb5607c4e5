#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Take the outputs out of notebooks: strip-notebooks.py FILE... Exits with 1 if one had any."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat


def strip(path: Path) -> bool:
    """Remove outputs and execution counts; return whether there were any."""
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.writes(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    if nbformat.writes(notebook) == before:
        return False
    nbformat.write(notebook, path)
    return True


if __name__ == "__main__":
    changed = [name for name in sys.argv[1:] if strip(Path(name))]
    for name in changed:
        print(f"outputs removed: {name}")
    sys.exit(bool(changed))
