# SPDX-License-Identifier: Apache-2.0
"""Nothing waits forever for a process that was killed: in state D it does not end (labkit/machine/ending.py)."""

from __future__ import annotations

import ast

import pytest
from tree import ROOT, named

ENDING = ROOT / "labkit/machine/ending.py"
SOURCES = sorted(
    {*named(".py", under="labkit"), *named(".py", under="bench"), *named(".py", under="scripts")} - {ENDING}
)
RUNS = ("run", "check_output", "check_call", "call")


def endless(text: str) -> list[int]:
    """Return the lines that wait for a process without a limit, once it has been killed.

    These are `wait()` and `communicate()` without a timeout; `with Popen(...)`, whose end waits; and `run()` of
    subprocess with a timeout, after which it kills and waits. A `self.wait()` is of a class of the lab's own.
    """
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            found |= {node.lineno for item in node.items if _called(item.context_expr) == "Popen"}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            has_timeout = any(each.arg == "timeout" for each in node.keywords)
            of = ast.unparse(node.func.value)
            is_a_wait = (node.func.attr == "wait" and not node.args and of != "self") or node.func.attr == "communicate"
            if (is_a_wait and not has_timeout) or (of == "subprocess" and node.func.attr in RUNS and has_timeout):
                found.add(node.lineno)
    return sorted(found)


def _called(node: ast.expr) -> str:
    return ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""


def test_no_process_is_waited_for_without_a_limit() -> None:
    found = {str(path.relative_to(ROOT)): endless(path.read_text()) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "text",
    [
        "process.kill()\nprocess.wait()\n",
        "process.kill()\nout, _ = process.communicate()\n",
        "with subprocess.Popen(line) as process:\n    pass\n",
        "subprocess.run(line, check=True, timeout=5)\n",
    ],
)
def test_an_endless_wait_is_found(text: str) -> None:
    assert endless(text) != []


@pytest.mark.parametrize("text", ["process.wait(5)\n", "process.communicate(timeout=5)\n", "subprocess.run(line)\n"])
def test_a_wait_with_a_limit_is_not(text: str) -> None:
    assert endless(text) == []
