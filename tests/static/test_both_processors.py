# SPDX-License-Identifier: Apache-2.0
"""What a learner reads holds on x86-64 and on 64-bit ARM.

Linux on 64-bit ARM has only the newer system calls (include/uapi/asm-generic/unistd.h): no unlink, no epoll_wait. Who
names one of the others names its counterpart too, in the same page or among the files of the same lesson.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree import ROOT, named, short

from labkit.bpf.syscalls import COUNTERPART
from labkit.course import LESSONS

_CALL = "|".join(sorted(COUNTERPART))
# as a call is named in text: `unlink`, `poll()`, "in poll()", sys_enter_unlink; `open(2)` is a page of the manual
NAMES_A_CALL = re.compile(rf"`({_CALL})(?:\(\))?`|\bin ({_CALL})\(\)|sys_(?:enter|exit)_({_CALL})\b|\bCALL\(({_CALL}),")
# names that are no English word: a string of one in a lesson's code means the call
ODD = ("epoll_wait", "getdents", "lstat", "newlstat", "newstat", "readlink", "unlink", "vfork")
REGISTER = re.compile(r"%?\b(?:[er](?:[abcd]x|[sd]i|[sb]p|ip)|r(?:8|9|1[1-5])[dwb]?)\b|(?<=%)r10\b|\b[xy]mm\d+\b")
ARM = re.compile(r"64-bit ARM|aarch64")
# struct pt_regs of x86-64
FIELD = re.compile(r"\bctx->(?:r?(?:di|si|dx|cx|ax|bx|bp|sp|ip)|r8|r9|r1[0-5]|orig_ax)\b")


def markdown(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells]


def strings(source: Path) -> list[str]:
    """Return the text constants of a module, without its docstrings."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs]
    return [node.value for node in constants if isinstance(node.value, str)]


def units() -> Iterator[tuple[str, list[str]]]:
    """Yield what is read together: each page, each notebook, each lesson's texts with its C, the lab's other texts."""
    for page in named(".md"):
        yield short(page), [page.read_text(encoding="utf-8")]
    for notebook in named(".ipynb", under="notebooks"):
        yield short(notebook), markdown(notebook)
    for lesson in LESSONS:
        c_files = [path for path in named(".c", under="c/bpf") if path.is_relative_to(ROOT / "c/bpf" / lesson.stem)]
        c_files += sorted((ROOT / "c/bpf").glob(f"{lesson.stem}*.c"))
        texts = [text for module in named(".py", under=f"labkit/lessons/{lesson.stem}") for text in strings(module)]
        texts += [f"`{text}`" for text in texts if text in ODD]
        yield f"labkit/lessons/{lesson.stem}", [*(path.read_text() for path in c_files), *texts]
    for module in named(".py", under="labkit"):
        if "lessons" not in module.parts:
            yield short(module), strings(module)
    for page in named(".txt", under="labkit"):
        yield short(page), [page.read_text(encoding="utf-8")]


UNITS = dict(units())


def calls_of_one_processor(texts: list[str]) -> set[str]:
    return {next(filter(None, match.groups())) for text in texts for match in NAMES_A_CALL.finditer(text)}


@pytest.mark.parametrize("unit", UNITS)
def test_a_call_that_arm_lacks_is_named_with_its_counterpart(unit: str) -> None:
    texts = UNITS[unit]
    whole = "\n".join(texts)
    alone = {
        call: COUNTERPART[call]
        for call in calls_of_one_processor(texts)
        if not re.search(rf"(?<![a-z]){COUNTERPART[call]}\b", whole)
    }
    assert alone == {}


@pytest.mark.parametrize("unit", [name for name in UNITS if not name.startswith("labkit/bpf/usdt/operands")])
def test_a_register_of_x86_is_named_where_arm_is_too(unit: str) -> None:
    texts = UNITS[unit]
    with_registers = [text for text in texts if REGISTER.search(text)]
    whole = unit.startswith("labkit/")
    assert [text for text in with_registers if not ARM.search("\n".join(texts) if whole else text)] == []


def test_bpf_programs_take_arguments_by_what_every_processor_has() -> None:
    found = [*named(".c", ".h", under="c/bpf"), *named(".c", under="tests"), *named(".txt", ".ipynb", ".md")]
    found = [path for path in found if "logs" not in path.parts]  # what a kernel said
    assert {short(path): fields for path in found if (fields := FIELD.findall(path.read_text("utf-8")))} == {}


def test_the_search_finds_what_it_looks_for() -> None:
    assert calls_of_one_processor(["removes it with `unlink`", "in poll()"]) == {"unlink", "poll"}
    assert calls_of_one_processor(["`openat`", "see `open(2)`", "open", "TRACEPOINT(sys_enter_openat)"]) == set()
    assert all(REGISTER.search(text) for text in ("8@%rdi", "in `eax`", "%xmm0", "%r10"))
    assert not any(REGISTER.search(text) for text in ("r10 is the stack", "r0 = 1", "R7", "8@x0", "ip"))
    assert FIELD.search("u64 a = ctx->di;") and not FIELD.search("ctx->dip, PT_REGS_PARM1(ctx)")
