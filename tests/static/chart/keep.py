# SPDX-License-Identifier: Apache-2.0
"""Keep the schema and the defaults of the chart Zero to JupyterHub for the tests, without their descriptions.

    python tests/static/chart/keep.py CHART/jupyterhub COMMIT      CHART is a clone of the chart's repository

Writes chart.json next to this file. The chart is under the BSD 3-Clause licence: LICENSE, next to it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

_NAMES = ("properties", "patternProperties")  # what they hold is called by the chart, not by JSON Schema


def bare(part: Any, *, is_names: bool = False) -> Any:
    """Return a schema without descriptions and titles."""
    if isinstance(part, list):
        return [bare(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: bare(held, is_names=key in _NAMES and not is_names)
        for key, held in part.items()
        if is_names or key not in ("description", "title")
    }


def main(folder: Path, commit: str) -> None:
    """Write chart.json."""
    schema, defaults = (yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in ("values.schema", "values"))
    parts = {"commit": json.dumps(commit), "defaults": _lines(defaults), "schema": _lines(bare(schema))}
    text = ",\n".join(f'"{name}": {part}' for name, part in parts.items())
    text = re.sub(r"/home/\w+", "~", text)  # a test of this tree refuses what looks like a user's folder
    Path(__file__).with_name("chart.json").write_text("{" + text + "}\n")


def _lines(part: dict[str, Any]) -> str:
    """Return JSON with a line per key of the two upper levels."""
    rows = []
    for key, held in part.items():
        inside = held if isinstance(held, dict) else None
        text = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in (inside or {}).items())
        rows.append(f"{json.dumps(key)}: {{\n  {text}}}" if inside else f"{json.dumps(key)}: {json.dumps(held)}")
    return "{" + ",\n ".join(rows) + "}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
