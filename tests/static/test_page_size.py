# SPDX-License-Identifier: Apache-2.0
"""No 4096 stands for a page: pages have 4, 16 or 64 KiB, as the kernel was built.

What needs a page asks for its size: `mmap.PAGESIZE`, `sysconf(_SC_PAGESIZE)`, or PAGE_SIZE in a BPF program, which the
lab sets to that of the kernel that runs.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from tree import ROOT, named, short

# What the number is in the files that may have it.
NO_PAGE = {
    "bench/bare_uring.c": "a block",
    "bench/trace.py": "a block",
    "c/bpf/capstone.c": "entries of a map",
    "c/bpf/io_engines.c": "entries of a map",
    "c/bpf/uring.c": "entries of a map",
    "c/bpf/your_program_calls.c": "the largest number of an error",
    "c/bpf/your_program_waits.c": "entries of a map",
    "c/workloads/common/options.c": "an example in a comment",
    "c/workloads/common/options.h": "an example in a comment",
    "c/workloads/io_engines/file.c": "sectors, in a message",
    "c/workloads/io_engines/main.c": "a block",
    "c/workloads/script/files.c": "the size of a read",
    "c/workloads/script/rings.c": "the size of a read",
    "c/workloads/serve/buffers.c": "a number of buffers",
    "c/workloads/serve/main.c": "a backlog",
    "c/workloads/serve/rings.c": "entries of a ring",
    "c/workloads/uring.c": "a block, and the largest sector of a disk",
    "c/workloads/uring_tour/echo.c": "the longest message",
    "c/workloads/uring_tour/files.c": "a block of the file system, to see that there is room",
    "c/workloads/uring_tour/main.c": "sizes of a file and of a message",
    "c/workloads/your_program.c": "the size of a write",
    "labkit/lessons/_io/job.py": "a block",
    "labkit/lessons/capstone/application.py": "a row",
    "labkit/lessons/capstone/call_by_call.py": "a row",
    "labkit/lessons/capstone/panels.py": "a row",
    "labkit/lessons/capstone/sqlite.py": "a row, and a page of SQLite, whose size does not depend on the kernel's",
    "labkit/lessons/capstone/transactions.py": "a row",
    "labkit/lessons/io_engines/blocking.py": "a block",
    "labkit/lessons/io_engines/durability.py": "a block",
    "labkit/lessons/io_engines/panels.py": "a block",
    "labkit/lessons/io_engines/probe_cost.py": "a block",
    "labkit/lessons/io_engines/rates.py": "a block, and a sector",
    "labkit/lessons/io_engines/timelines.py": "a block",
    "labkit/lessons/maps/buffers.py": "the most pages that may be asked for",
    "labkit/lessons/maps/panels.py": "the width of a bar",
    "labkit/lessons/serve/panels.py": "a message",
    "labkit/lessons/sockmap/panels.py": "a message",
    "labkit/lessons/start/panels.py": "a block",
    "labkit/lessons/syscall_latency/exercises.py": "a block",
    "labkit/lessons/syscall_latency/io_stages.py": "a block",
    "labkit/lessons/syscall_latency/latencies.py": "a block",
    "labkit/lessons/syscall_latency/other_tools.py": "a block",
    "labkit/lessons/syscall_latency/panels.py": "a block",
    "labkit/lessons/uring/batches.py": "a block",
    "labkit/lessons/uring/exercises.py": "a block",
    "labkit/lessons/uring/panels.py": "a block",
    "labkit/lessons/uring/polling.py": "a block",
    "labkit/lessons/uring/registration.py": "a block",
    "labkit/lessons/uring/rings.py": "a block",
    "labkit/machine/doctor/files.py": "a block of direct I/O, and room for a struct of liburing",
    "labkit/machine/doctor/host.py": "the size of a map's entry",
}
A_PAGE = re.compile(r"\b(?:4096|4095|0x1000|0xfff)(?:[uUlL]*)\b|\b1\s*<<\s*12\b|\b4\s*<<\s*10\b")
IN_TEXT = re.compile(r"pages? (?:has|have|is|are|of|=) (?:always )?(?:4096|4 KiB)|(?:4096|4 KiB)(?:-byte)? pages?\b")
SAYS_WHERE = re.compile(r"mostly|on most|where a page|with pages of|SQLite|database is a file")
RING = re.compile(r"BPF_RINGBUF_OUTPUT\(\w+, *(\d+)\)")
MOST_PAGES = 256  # 1 MiB with pages of 4 KiB, 16 MiB with the largest


def _has_one(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return bool(A_PAGE.search(text))
    numbers = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    return 4096 in numbers or 4095 in numbers or re.search(r"\b1 << 12\b|\b4 << 10\b", text) is not None


def test_each_file_with_the_number_says_what_it_is() -> None:
    found = {
        short(path) for folder in ("c", "labkit", "bench") for path in named(".c", ".h", ".cc", ".py", under=folder)
    }
    found = {name for name in found if _has_one(ROOT / name)}
    assert found - set(NO_PAGE) == set(), "a page? Ask for its size. If it is none, say here what it is"
    assert set(NO_PAGE) - found == set(), "no longer there"


@pytest.mark.parametrize("path", [*named(".c", under="c/bpf"), *named(".c", under="bench")], ids=short)
def test_a_large_ring_buffer_is_given_in_bytes(path: Path) -> None:
    assert [pages for pages in map(int, RING.findall(path.read_text())) if pages > MOST_PAGES] == []


def test_a_text_that_gives_the_size_of_a_page_says_where() -> None:
    texts = {short(path): path.read_text(encoding="utf-8").splitlines() for path in named(".md", ".txt")}
    for path in named(".ipynb", under="notebooks"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts[short(path)] = [line for cell in cells for line in "".join(cell["source"]).splitlines()]
    found = [(name, line) for name, lines in texts.items() for line in lines if IN_TEXT.search(line)]
    assert [each for each in found if not SAYS_WHERE.search(each[1])] == []
    assert len(found) >= 2  # the search finds what is there


def test_the_search_finds_what_it_looks_for() -> None:
    assert all(A_PAGE.search(text) for text in ("mmap(NULL, 4096, PROT", "& ~0xfffUL", "& ~4095", "1 << 12"))
    assert not any(A_PAGE.search(text) for text in ("40960", "65536", "1 << 20", "0x10000"))
    assert IN_TEXT.search("64 pages of 4 KiB") and IN_TEXT.search("a page has 4096 bytes")
