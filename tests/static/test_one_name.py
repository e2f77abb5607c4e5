# SPDX-License-Identifier: Apache-2.0
"""One thing has one name: as a member in C, as an option, as a key of the workload's JSON, and as a column."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree import named, short

from labkit.schema import COLUMNS

WORKLOADS = named(".c", ".cc", ".h", under="c/workloads")
MEASURING = [
    path
    for path in named(".py", under="labkit/lessons")
    if not path.stem.startswith(("plot", "panel", "questions", "findings", "__init__"))
]
# json_integer("key", a->b.member): not a sum, a call or a lone variable
_REPORTED = re.compile(r'\bjson_\w+\("(\w+)",\s*(?:\(int64_t\)\s*)?&?[\w.\[\]]+?(?:\[\w+\])?(?:->|\.)(\w+)\)')
_OPTION = re.compile(r'\bOPTION_\w+\("([\w-]+)",\s*(?:\(\w+ \*\))?&?((?:\w+(?:\.|->))?\w+)')
# What is named by its table, by the kernel, or by the language; and a histogram, which says its unit in its buckets.
C_NAMES = {"name", "latency", "service", "used", "count"}
OF_CPP = {("throw", "thrown"), ("catch", "caught"), ("rethrow", "rethrown")}  # words of the language are no names
# In a frame, a quantity of a comparison (stats.trial) is named after what it compares.
STATISTICS = {"value", "difference", "ratio", "low", "high"}
# (column, key): the key is the name of a thing that was counted, such as a probe, and the column says what of it
COUNTS_BY_NAME = {("requests", "request_done"), ("fired", "request_detail"), ("result", "read"), ("count", "segments")}
# c/bpf/usdt_python.c has one record for two probes of Python: one number is a line or a generation
TWO_PROBES = {("line", "number"), ("generation", "number"), ("count", "freed")}
# what a server counted, or its clients, next to what the other of them did
TWO_SIDES = {("answered", "requests"), ("requests", "asked")}
OTHER_PROGRAMS = {
    ("requests_per_s", "rps"),
    ("count", "total_ios"),
    ("count", "ios"),
    ("mean_ns", "mean"),
}  # their words
GIVEN_NAMES = COUNTS_BY_NAME | TWO_PROBES | TWO_SIDES | OTHER_PROGRAMS


def same(said: str, name: str) -> bool:
    """Return whether a reported name is the member's, or has in front whose it is: sent.bytes is sent_bytes."""
    return said == name or said.endswith(f"_{name}")


@pytest.mark.parametrize("path", WORKLOADS, ids=short)
def test_a_key_of_the_json_is_the_name_of_the_member(path: Path) -> None:
    reported = _REPORTED.findall(path.read_text())
    assert [pair for pair in reported if not same(*pair) and pair[1] not in C_NAMES and pair not in OF_CPP] == []


@pytest.mark.parametrize("path", WORKLOADS, ids=short)
def test_the_variable_of_an_option_has_its_name(path: Path) -> None:
    options = [
        (name.replace("-", "_"), re.split(r"\.|->", held)[-1]) for name, held in _OPTION.findall(path.read_text())
    ]
    assert [(name, held) for name, held in options if name not in held] == []


def read(node: ast.expr) -> str | None:
    """Return the key that an expression reads, if it does nothing else with it but convert it."""
    match node:
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Call(func=ast.Name(id="int" | "float" | "str" | "bool"), args=[only]):
            return read(only)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(key)), *_]):
            return key
        case ast.Call(func=ast.Attribute(attr="astype" | "to_numpy" | "tolist", value=value)):
            return read(value)
    return None


def pairs(node: ast.AST) -> Iterator[tuple[object, str | None]]:
    """Yield (column, key that it is read from) of a row, an assignment or a renaming."""
    match node:
        case ast.Call(
            func=ast.Attribute(attr="rename"), keywords=[ast.keyword(arg="columns", value=ast.Dict() as names)]
        ):
            for key, value in zip(names.keys, names.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                    yield value.value, key.value
        case ast.Dict():
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield key.value, read(value)
        case ast.Call(func=ast.Attribute(attr="assign")):
            yield from ((keyword.arg, read(keyword.value)) for keyword in node.keywords)
        case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=column))]):
            yield column, read(node.value)


def renamed(text: str) -> list[tuple[str, str]]:
    found = [pair for node in ast.walk(ast.parse(text)) for pair in pairs(node)]
    return [
        (str(column), key)
        for column, key in found
        if column in COLUMNS
        and key is not None
        and key.isidentifier()  # "50.0" is another program's
        and not same(str(column), key)
        and not {column, key} & STATISTICS
        and (column, key) not in GIVEN_NAMES
    ]


@pytest.mark.parametrize("path", MEASURING, ids=short)
def test_a_column_has_the_name_under_which_it_was_reported(path: Path) -> None:
    assert renamed(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        'rows = [{"verified_ios": report["checked"]}]',
        'frame["file_bytes"] = int(told["size"])',
        'frame = frame.rename(columns={"id": "request"})',
        'frame = frame.assign(count=made["number"].astype("int64"))',
    ],
)
def test_another_name_is_seen(text: str) -> None:
    assert len(renamed(text)) == 1


def test_another_name_in_c_is_seen() -> None:
    text = 'json_integer("opened_connections", tally.opened); json_integer("sent_bytes", (int64_t)sent.bytes);'
    assert [pair for pair in _REPORTED.findall(text) if not same(*pair)] == [("opened_connections", "opened")]
