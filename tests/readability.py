# SPDX-License-Identifier: Apache-2.0
"""How long the sentences and words of each lesson are, to compare lessons; nothing is judged.

    PYTHONPATH=. .venv/bin/python tests/readability.py

`reading ease` is Flesch's (1948): 206.8 - 1.015 words per sentence - 84.6 syllables per word; 60 to 70 is plain.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tree import ROOT

NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|^[|#][^\n]*$|\]\([^)]*\)|<[^>]+>", re.MULTILINE | re.DOTALL)
LONG = 20  # words


def measure(notebook: Path) -> tuple[int, float, float, float]:
    """Return a lesson's words, words per sentence, share of sentences over 20 words, and reading ease."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    pieces = re.split(r"[.!?:](?:\s|$)|\n\n|\n *[-*\d]", NOT_PROSE.sub(" x ", text))
    sentences = [found for piece in pieces if len(found := re.findall(r"[A-Za-z']+", piece)) > 2]
    words = [word.lower() for sentence in sentences for word in sentence]
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", word)))) for word in words)
    average = len(words) / len(sentences)
    long = sum(len(sentence) > LONG for sentence in sentences) / len(sentences)
    return len(words), average, long, 206.8 - 1.015 * average - 84.6 * syllables / len(words)


def report() -> str:
    """Return one line per lesson."""
    lines = ["lesson              words  words per sentence  over 20 words  reading ease"]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        words, average, long, ease = measure(path)
        lines.append(f"{path.stem:18} {words:6} {average:19.1f} {long:14.0%} {ease:13.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
