# SPDX-License-Identifier: Apache-2.0
"""The public face: what it offers, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import labkit

PUBLIC = {
    "ask_again",
    "check",
    "doctor",
    "finding",
    "measured",
    "predict",
    "progress",
    "provenance",
    "ready",
    "recorded",
    "solved",
    "source",
    "table",
    "times",
    "watch",
}


def test_the_public_names_are_these() -> None:
    assert set(labkit.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_public_name_is_there_with_a_docstring(name: str) -> None:
    assert getattr(labkit, name).__doc__
    assert name in dir(labkit)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonesuch"):
        labkit.nonesuch  # noqa: B018


def test_importing_the_lab_and_its_command_imports_nothing_heavy() -> None:
    script = (
        "import sys, labkit, labkit.cli, labkit.machine.doctor\n"
        "print(sorted({'IPython', 'ipywidgets', 'matplotlib', 'pandas', 'numpy', 'nbclient'} & set(sys.modules)))"
    )
    root = Path(labkit.__file__).parents[1]
    told = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
