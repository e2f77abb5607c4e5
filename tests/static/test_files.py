# SPDX-License-Identifier: Apache-2.0
"""Files are clean: one character set, one line end, a licence in every C file, nothing of one machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tree import files, named, short

C_FILES = named(".c", ".cc", ".h", under="c")
TEXT = [path for path in files() if path.suffix not in (".png", ".gz", ".xz", ".npz")]
# Folders and hosts that only one machine has. Written so that this file does not contain them.
MACHINE = re.compile("|".join([r"/ro" r"ot/\w", r"/ho" r"me/\w", r"/wo" r"rk/\w", r"/Us" r"ers/\w"]))
REGISTRY = re.compile("|".join([r"pypi\." r"org", r"python" r"hosted", r"deb\." r"debian", r"archive\." r"ubuntu"]))


@pytest.mark.parametrize("path", C_FILES, ids=short)
def test_c_begins_with_its_licence(path: Path) -> None:
    licence = "Apache-2.0 OR GPL-2.0" if "bpf" in path.parts else "Apache-2.0"
    assert f"SPDX-License-Identifier: {licence}" in path.read_text().splitlines()[0]


@pytest.mark.parametrize("path", C_FILES, ids=short)
def test_c_is_ascii(path: Path) -> None:
    assert path.read_text().isascii()


@pytest.mark.parametrize("path", TEXT, ids=short)
def test_text_is_clean(path: Path) -> None:
    raw = path.read_bytes()
    text = raw.decode("utf-8")
    assert b"\r" not in raw
    assert not raw or raw.endswith(b"\n")
    if path.suffix != ".md" and "LICENSE" not in path.name:
        assert [line for line in text.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize("path", TEXT, ids=short)
def test_nothing_of_one_machine_or_registry(path: Path) -> None:
    text = path.read_text()
    assert MACHINE.findall(text) + REGISTRY.findall(text) == []


@pytest.mark.parametrize("path", C_FILES, ids=short)
def test_no_architectures_numbers_are_written_by_hand(path: Path) -> None:
    """The compiler knows __NR_x; a bare number holds for one architecture only."""
    assert re.findall(r"\bsyscall\(\s*\d", path.read_text()) == []


@pytest.mark.parametrize("path", named(".py"), ids=short)
def test_the_formatter_formats_every_line(path: Path) -> None:
    assert re.findall(r"# fmt: *(?:off|skip)", path.read_text()) == []
