# SPDX-License-Identifier: Apache-2.0
"""Words that must not come back, and no misspelt ones; the rest of style is for readers to judge."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from readability import report
from tree import files, short

from labkit.course import LESSONS

PROSE = (".py", ".md", ".c", ".cc", ".h", ".ipynb", ".sh", ".txt", ".toml", ".yml", ".cff")
TEXTS = [
    path for path in files() if path.suffix in PROSE and "LICENSE" not in path.name and path.name != Path(__file__).name
]
# Words of another language, of another century, or of another meaning here -> what an engineer would write.
INSTEAD = {
    r"mend(?:s|ed|ing)?|makings": "fix; implementations",
    r"(?:is|are|was|were) told(?! apart)|tells? of": "is reported; reports",
    r"stands? (?:in|under|beside|below|above)": "is in, is next to",
    r"kin|so many|so often as|costs dear|take along|to be had|by the name of": "plain words",
    r"hand(?:s|ed|ing)? over|parcels?": "submit; batch",
    r"under way|beside (?:the|it|its|each|what|an?|them|others|this|your|their)": "in flight, running; next to",
    r"untried|reckon(?:ed|s)?": "not tested; computed",
    r"for ever|in the mean(?! time)|fault of the lab": "forever; on average; bug",
    r"(?:bytes|samples|times|ticks|requests|I/Os|events|messages|\w+seconds) a second": "per second",
    r"(?:rows?|lines?|columns?|cells?) an? (?:arm|engine|slice|call|event|row|field|instruction|lesson|test)": "per",
    r"(?:probe|tracepoint|\w+`) (?:is|was|has been) passed|passes? the (?:probe|tracepoint)": "fires",
    r"in the midst|dawdles?|gets? round it|for who cannot": "in the middle; waits; fixes it; for readers who cannot",
}
SKIPPED = ("*.lock", "*.csv", "*.png", "*.xz", "*.npz", "*.json", "LICENSE*", "expected.txt")
# names and deliberate mistakes: in tests of hints, in commands, in a method's name
SPELT_SO = "resul,ot,fro,declar,coutn,aray,allways,unsupport,ture"


@pytest.mark.parametrize("path", TEXTS, ids=short)
def test_no_word_of_the_list_comes_back(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    pattern = rf"\b(?:{'|'.join(INSTEAD)})\b"
    found = [found[0] for found in re.finditer(pattern, text, re.IGNORECASE)]
    assert found == [], f"write instead: {INSTEAD}"


def test_no_word_is_misspelt() -> None:
    names = [str(path) for path in files() if not any(path.match(pattern) for pattern in SKIPPED)]
    command = [sys.executable, "-m", "codespell_lib", f"--ignore-words-list={SPELT_SO}", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_lesson_has_a_measure_of_how_it_reads() -> None:
    """Reported, not judged: pytest shows it with -rP, `tests/readability.py` prints it alone."""
    print(report())
    assert len(report().splitlines()) == 1 + len(LESSONS)
