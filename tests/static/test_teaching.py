# SPDX-License-Identifier: Apache-2.0
"""What the teacher's pages say about the lessons is true."""

from __future__ import annotations

import subprocess
import sys

from tree import ROOT


def test_the_questions_on_the_page_are_those_of_the_lessons() -> None:
    command = [sys.executable, "scripts/teaching-questions.py", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
