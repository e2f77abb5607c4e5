# SPDX-License-Identifier: Apache-2.0
"""Only one file knows BCC's private names, and only one knows where BCC is."""

from __future__ import annotations

import re

import pytest
from tree import ROOT, named, short

DOORS = {
    # names that BCC does not document, and the types of its library's functions
    "labkit/bpf/bcc.py": re.compile(
        r"_trace_autoload|\b(?!pass_fds)\w+_fds\b|open_perf_events|\.funcs\b|\._fields_|bcc_func_load|bpf_module_create|bcc\.lib\b|"
        r"from bcc"
    ),
    # where BCC is
    "labkit/machine/bcc.py": re.compile(r"import_module\(\"bcc"),
    "labkit/machine/libbcc.py": re.compile(r"libbcc\.so"),
}


@pytest.mark.parametrize("door", DOORS)
def test_nobody_else_opens_bcc(door: str) -> None:
    texts = {short(path): path.read_text(encoding="utf-8") for path in named(".py", under="labkit")}
    assert {name: found for name, text in texts.items() if name != door and (found := DOORS[door].findall(text))} == {}


@pytest.mark.parametrize("door", DOORS)
def test_what_only_a_door_may_know_it_knows(door: str) -> None:
    assert DOORS[door].search((ROOT / door).read_text())
