# SPDX-License-Identifier: Apache-2.0
"""Learners made for tests: correct, wrong, literal, empty, and hostile ones, each as the notebook that they hand in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from labkit.machine.folders import repo_folder

__all__ = ["HOSTILE", "WRONG", "make", "notebook", "solutions"]

START, HELLO, VERIFIER = "00-start.ipynb", "01-hello.ipynb", "03-verifier.ipynb"

LITERAL = 'labkit.check("00-q1", 17)\nlabkit.check("00-q2", 70001)\nanswer = 9\nlabkit.check("00-q3", answer)'
WRONG = (
    'labkit.check("00-q1", len(mystery) + 1)\nlabkit.check("00-q2", -mystery["bytes"].sum())\n'
    'labkit.check("00-q3", mystery["latency_ns"].idxmin())'
)

# What a hostile notebook does. None of them knows an answer; each asserts whatever it can in its own favour.
HOSTILE = {
    "progress": (
        "import json, os\nfrom labkit.notebook import solved\n"
        "done = {'solved': {f'00-q{n}': '2031-01-01' for n in (1, 2, 3)}}\n"
        "open(solved.progress_file(), 'w').write(json.dumps(done))\n"
        "[solved.remember(f'00-q{n}') for n in (1, 2, 3)]"
    ),
    "patch": (
        "from labkit.notebook.check import CheckedAnswer\nimport labkit.notebook.check as module\n"
        "from labkit.notebook.question import Question\n"
        "labkit.check = module.check = lambda *_: CheckedAnswer('right', 'right', ok=True)\n"
        "Question.accepts = lambda *_: True\n"
        "for n in (1, 2, 3):\n    labkit.check(f'00-q{n}', 1)"
    ),
    "vault": (
        "import gc\nfrom labkit.running import truths\nheld = {}\n"
        "for one in gc.get_objects():\n"
        "    if type(one).__name__ == '_Vault':\n        held |= one._truths\n"
        "for n in (1, 2, 3):\n    labkit.check(f'00-q{n}', held.get(f'00-q{n}', truths._VAULT._truths.get(f'00-q{n}', 5)))"
    ),
    "own-truth": (
        "from labkit.running import truths\n"
        "for n in (1, 2, 3):\n    truths.expect(f'00-q{n}', 5)\n    labkit.check(f'00-q{n}', len('fives'))"
    ),
    "guess": (
        "for guess in range(1, 400):\n    if getattr(labkit.check('00-q1', guess), 'ok', False):\n        break\n"
        "else:\n    labkit.check('00-q1', 0)"
    ),
    "fork": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    "disk": (
        "import os\nblock = bytes(1 << 20)\nplaces = [os.environ['HOME'], '/tmp', '/var/tmp', '/dev/shm', '/run/lock', '/mnt']\n"
        "for number, place in enumerate(places):\n"
        "    try:\n        for part in range(4000):\n            with open(f'{place}/fill{part}', 'wb') as file:\n"
        "                for _ in range(64):\n                    file.write(block)\n"
        "    except OSError:\n        pass"
    ),
    "print": "line = 'x' * (1 << 20)\nfor _ in range(1024):\n    print(line)",
    "kill": (
        "import os, signal\nfor pid in (os.getppid(), *range(1, 40000)):\n    if pid != os.getpid():\n"
        "        try:\n            os.kill(pid, signal.SIGKILL)\n        except OSError:\n            pass"
    ),
    "hang": "while True:\n    pass",
    "crash": "import ctypes\nctypes.string_at(0)",
    "exit": "import os\nos._exit(0)",
    "memory": "held = []\nwhile True:\n    held.append(bytearray(1 << 28))",
    "magic-line": '%%bpf ends{__import__("os").system("touch PLACE/escaped")}\nint x;',
    "wire": (
        "import os, socket, stat, struct, json, pickle\nown = [int(fd) for fd in os.listdir('/proc/self/fd')]\n"
        "def send(fd, raw):\n    try:\n        os.write(fd, struct.pack('!I', len(raw)) + raw)\n    except OSError:\n        pass\n"
        "class Boom:\n    def __reduce__(self):\n        return os.system, ('touch PLACE/escaped',)\n"
        "for fd in own:\n    try:\n        is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)\n    except OSError:\n        continue\n"
        "    if is_socket:\n"
        "        for n in (1, 2, 3):\n            send(fd, json.dumps({'ask': 'check', 'question': f'00-q{n}', 'answer': {'$program': 'os'}}).encode())\n"
        "        send(fd, json.dumps({'done': True, 'error': 7, 'names': {'labkit': 1, 'mystery': [1], '__builtins__': 0}}).encode())\n"
        "        send(fd, pickle.dumps(Boom()))"
    ),
    "surface": (
        "from labkit.lessons import start\n"
        "for name in ('os', '__builtins__', 'reads', 'truths', 'secrets'):\n"
        "    try:\n        print(getattr(start, name).system('touch PLACE/escaped'))\n    except Exception:\n        pass\n"
        "labkit.check('00-q1', getattr(start, 'mystery'))"
    ),
}


def solutions(name: str) -> list[str]:
    """Return the solutions that a lesson's own page shows, a cell each."""
    cells = json.loads((repo_folder() / "notebooks" / name).read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.findall(r"<details><summary>Solution.*?```python\n(.*?)```", text, re.DOTALL)


def notebook(name: str, cells: list[str]) -> dict[str, Any]:
    """Return a lesson's notebook with more cells at its end."""
    made: dict[str, Any] = json.loads((repo_folder() / "notebooks" / name).read_text(encoding="utf-8"))
    more = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    made["cells"] += [{**more, "source": source} for source in cells]
    return made


def make(folder: Path, learner: str, name: str, cells: list[str]) -> Path:
    """Write a learner's notebook into a class folder; PLACE in a cell is a folder in which nothing may appear."""
    own = folder / learner / "notebooks"
    own.mkdir(parents=True, exist_ok=True)
    place = folder / "graded"
    path = own / name
    path.write_text(json.dumps(notebook(name, [cell.replace("PLACE", str(place)) for cell in cells])), encoding="utf-8")
    return path
