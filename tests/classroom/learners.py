# SPDX-License-Identifier: Apache-2.0
"""Learners made for tests: correct, wrong, literal, empty, and hostile ones, each as the notebook that they hand in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from labkit.machine.folders import repo_folder

__all__ = ["HOSTILE", "WRONG", "make", "notebook", "solutions"]

START, HELLO = "00-start.ipynb", "01-hello.ipynb"

LITERAL = 'labkit.check("00-q1", 17)\nlabkit.check("00-q2", 70001)\nanswer = 9\nlabkit.check("00-q3", answer)'
WRONG = (
    'labkit.check("00-q1", len(mystery) + 1)\nlabkit.check("00-q2", -mystery["bytes"].sum())\n'
    'labkit.check("00-q3", mystery["latency_ns"].idxmin())'
)

# What a hostile notebook does. None of them knows an answer; each asserts whatever it can in its own favour.
HOSTILE = {
    "progress": """
import json, os
from labkit.notebook import solved
done = {'solved': {f'00-q{n}': '2031-01-01' for n in (1, 2, 3)}}
open(solved.progress_file(), 'w').write(json.dumps(done))
[solved.remember(f'00-q{n}') for n in (1, 2, 3)]
""",
    "patch": """
from labkit.notebook.check import CheckedAnswer
import labkit.notebook.check as module
from labkit.notebook.question import Question
labkit.check = module.check = lambda *_: CheckedAnswer('right', 'right', ok=True)
Question.accepts = lambda *_: True
for n in (1, 2, 3):
    labkit.check(f'00-q{n}', 1)
""",
    "vault": """
import gc
from labkit.running import truths
held = {}
for one in gc.get_objects():
    if type(one).__name__ == '_Vault':
        held |= one._truths
for n in (1, 2, 3):
    name = f'00-q{n}'
    labkit.check(name, held.get(name, truths._VAULT._truths.get(name, 5)))
""",
    "own-truth": """
from labkit.running import truths
for n in (1, 2, 3):
    truths.expect(f'00-q{n}', 5)
    labkit.check(f'00-q{n}', len('fives'))
""",
    "guess": """
for guess in range(1, 400):
    if getattr(labkit.check('00-q1', guess), 'ok', False):
        break
else:
    labkit.check('00-q1', 0)
""",
    "fork": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
    "disk": """
import os
block = bytes(1 << 20)
places = [os.environ['HOME'], '/tmp', '/var/tmp', '/dev/shm', '/run/lock', '/mnt']
for number, place in enumerate(places):
    try:
        for part in range(4000):
            with open(f'{place}/fill{part}', 'wb') as file:
                for _ in range(64):
                    file.write(block)
    except OSError:
        pass
""",
    "print": """
line = 'x' * (1 << 20)
for _ in range(1024):
    print(line)
""",
    "kill": """
import os, signal
for pid in (os.getppid(), *range(1, 40000)):
    if pid != os.getpid():
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
""",
    "hang": """
while True:
    pass
""",
    "crash": """
import ctypes
ctypes.string_at(0)
""",
    "exit": """
import os
os._exit(0)
""",
    "memory": """
held = []
while True:
    held.append(bytearray(1 << 28))
""",
    "magic-line": """
%%bpf ends{__import__("os").system("touch PLACE/escaped")}
int x;
""",
    "wire": """
import os, socket, stat, struct, json, pickle
own = [int(fd) for fd in os.listdir('/proc/self/fd')]
def send(fd, raw):
    try:
        os.write(fd, struct.pack('!I', len(raw)) + raw)
    except OSError:
        pass
class Boom:
    def __reduce__(self):
        return os.system, ('touch PLACE/escaped',)
for fd in own:
    try:
        is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        continue
    if is_socket:
        for n in (1, 2, 3):
            asked = {'ask': 'check', 'question': f'00-q{n}', 'answer': {'$program': 'os'}}
            send(fd, json.dumps(asked).encode())
        names = {'labkit': 1, 'mystery': [1], '__builtins__': 0}
        send(fd, json.dumps({'done': True, 'error': 7, 'names': names}).encode())
        send(fd, pickle.dumps(Boom()))
""",
    "surface": """
from labkit.lessons import start
for name in ('os', '__builtins__', 'reads', 'truths', 'secrets'):
    try:
        print(getattr(start, name).system('touch PLACE/escaped'))
    except Exception:
        pass
labkit.check('00-q1', getattr(start, 'mystery'))
""",
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
    path.write_text(
        json.dumps(notebook(name, [cell.strip().replace("PLACE", str(place)) for cell in cells])), encoding="utf-8"
    )
    return path
