# SPDX-License-Identifier: Apache-2.0
"""The attrs of a frame hold provenance and warnings, never measured data."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree import ROOT, named, short

# of every frame, by labkit.machine.provenance
MACHINE = set(
    """architecture command cpu_model cpus device device_queue_depth filesystem governor governors idle_states kernel
    labkit logical_sector_bytes lost_events mount_options path physical_sector_bytes pressure pressure_before recorded
    rotational scheduler time virtual_machine warnings write_cache""".split()
)
# what was asked for: the settings of a run that are no column
ASKED = set(
    """baseline batch binary cache capacity_records buffer_bytes connections engine files hz ios ipv6 pinned_cpu probe
    queue_depth repeats row_bytes seconds seed slices way work_ns""".split()
)
# facts about the whole frame: programs that took part, arms that could not, columns of watched slices
ABOUT = {"absent", "notes", "server", "sqlite", "watched_columns"}
ALLOWED = MACHINE | ASKED | ABOUT
# frames' attrs passed on as a whole
WHOLE = {"facts", "kept", "frame.attrs", "made.attrs", "found.attrs"}


def given(node: ast.expr) -> Iterator[str]:
    """Yield the keys of an expression that becomes attrs."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            yield from given(value) if key is None else [ast.unparse(key).strip("'")]
    elif isinstance(node, ast.BinOp):
        yield from [*given(node.left), *given(node.right)]
    elif isinstance(node, ast.Call) and node.args and ast.unparse(node.func) == "dict":
        yield from given(node.args[0])
    elif not (isinstance(node, ast.Call | ast.DictComp) or ast.unparse(node) in WHOLE):
        yield f"**{ast.unparse(node)}"  # a call of provenance is looked at by itself; a comprehension only leaves out


def keys_of(text: str) -> Iterator[str]:
    """Yield every key that a module writes into the attrs of a frame."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("provenance", "schema.frame", "schema.derived") or name.endswith("attrs.update"):
                for keyword in node.keywords:
                    yield from given(keyword.value) if keyword.arg is None else [keyword.arg]
            if name.endswith("attrs.update"):
                for argument in node.args:
                    yield from given(argument)
        elif isinstance(node, ast.Assign | ast.AugAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if ast.unparse(target).endswith(".attrs"):
                    yield from given(node.value)
                elif isinstance(target, ast.Subscript) and ast.unparse(target.value).endswith(".attrs"):
                    yield ast.unparse(target.slice).strip("'")


@pytest.mark.parametrize("path", [path for path in named(".py", under="labkit") if path.name != "schema.py"], ids=short)
def test_attrs_hold_nothing_that_was_measured(path: Path) -> None:
    assert sorted(set(keys_of(path.read_text())) - ALLOWED) == []


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks/recorded").glob("*.json")), ids=lambda path: path.stem)
def test_a_recording_carries_nothing_else(path: Path) -> None:
    assert sorted(set(json.loads(path.read_text())) - ALLOWED) == []


@pytest.mark.parametrize(
    "text",
    [
        'facts = provenance(command="x", runs=answer["runs"])',
        "schema.frame(rows, **own)",
        'made.attrs["calls"] = 3',
        'made.attrs.update({**frame.attrs, "calls": 3})',
        'made.attrs = dict(frame.attrs) | {"apple_ns": 3}',
        'made.attrs |= {"calls": 3}',
    ],
)
def test_a_count_among_them_is_found(text: str) -> None:
    assert set(keys_of(text)) - ALLOWED
