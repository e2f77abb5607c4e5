# SPDX-License-Identifier: Apache-2.0
"""No BPF program of the lab loses anything silently: whatever can fail to store an event is checked, and counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tree import ROOT

PROGRAMS = sorted(path for path in (ROOT / "c" / "bpf").glob("*.[ch]"))  # not verifier/: those are never attached
STORES = re.compile(
    r"\b\w+\.(update|insert|push|increment|atomic_increment|lookup_or_try_init|lookup_or_init|ringbuf_reserve"
    r"|ringbuf_output|perf_submit|sock_hash_update|sock_map_update|sk_storage_get)\("
)
COUNTS = re.compile(r"labkit_count_lost\(\)|insert_failures|refused\.lookup")
# lesson 02 shows what is wrong with these
ON_PURPOSE = {("maps.c", "named.increment(slot);")}
# only looks up what was stored before, so nothing can be lost
ASKS_ONLY = "sk_storage_get(sock, 0, 0)"
WITHIN_LINES = 14


def unchecked(text: str, file: str) -> list[str]:
    """Return the lines that store an event without looking at the result, or without counting a failure."""
    code = re.sub(
        r"/\*.*?\*/|^[ \t]*#[^\n]*$", lambda part: re.sub(r"[^\n]", " ", part[0]), text, flags=re.DOTALL | re.MULTILINE
    )
    lines, found = code.splitlines(), []
    for store in STORES.finditer(code):
        number = code.count("\n", 0, store.start())
        said = lines[number].strip()
        before = re.split(r"[;{}]", code[: store.start()])[-1]  # of this statement
        is_looked_at = "=" in before or before.count("(") > before.count(")")
        is_counted = COUNTS.search("\n".join(lines[number : number + WITHIN_LINES]))
        if ASKS_ONLY not in said and (file, said) not in ON_PURPOSE and not (is_looked_at and is_counted):
            found.append(f"{file}:{number + 1}: {said}")
    return found


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_every_store_is_checked_and_its_failure_counted(path: Path) -> None:
    assert unchecked(path.read_text(), path.name) == []


@pytest.mark.parametrize(
    "text",
    [
        "\tbegan.update(&thread, &now);\n",
        "\tif (labkit_is_target())\n\t\tbegan.update(&thread, &now);\n\treturn 0;\n",
        "\tevent = events.ringbuf_reserve(sizeof(*event));\n\tif (!event)\n\t\treturn 0;\n",
        "\tnamed.increment(slot);\n",
        "\tif (began.update(&thread, &now))\n\t\treturn 0;\n",
    ],
)
def test_an_unchecked_store_is_found(text: str) -> None:
    assert unchecked(text, "learner.c") != []


@pytest.mark.parametrize(
    "text",
    [
        "\tif (labkit_is_target() && began.update(&thread, &now))\n\t\tlabkit_count_lost();\n",
        "\tevent = events.ringbuf_reserve(sizeof(*event));\n\tif (!event) {\n\t\tlabkit_count_lost();\n",
        "\t/* began.update(&thread, &now); */\n",
    ],
)
def test_a_checked_store_passes(text: str) -> None:
    assert unchecked(text, "learner.c") == []
