# SPDX-License-Identifier: Apache-2.0
"""The functions of the lab that read foreign input, each as a function of bytes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "classroom"))
import archives as handed_in

from labkit.bpf import counted as counting
from labkit.bpf import stacks
from labkit.bpf.diagnose import buffers, events, refused, written
from labkit.bpf.diagnose import clang as clang_says
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.said import in_file
from labkit.bpf.usdt import livecode, tracer
from labkit.bpf.usdt import operands as usdt_operands
from labkit.bpf.verifier import notation as verifier_notation
from labkit.bpf.verifier.candidates import repairs
from labkit.bpf.verifier.explain import explain
from labkit.bpf.verifier.places import debug_output, rows_of_disassembly
from labkit.bpf.verifier.walk import walk
from labkit.classroom import grading, steps, wire
from labkit.classroom.collect import collect
from labkit.lessons.your_program import target as watched
from labkit.machine import btf as kernel_types
from labkit.machine import cgroups, copies, mounts, storage
from labkit.notebook import own_file, predicted, recorded
from labkit.running import holder as holders
from labkit.running import pinning, sweep, workload
from labkit.stats import histogram as histograms

Read = Callable[[bytes], object]


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace")


class _Files:
    """All files say the same: what is fuzzed."""

    def __init__(self) -> None:
        self.text = b""

    def read_bytes(self, _: Path) -> bytes:
        return self.text

    def read_text(self, _: Path, encoding: str | None = None, errors: str | None = None) -> str:
        return io.TextIOWrapper(io.BytesIO(self.text), encoding=encoding or "utf-8", errors=errors).read()


@contextmanager
def _every_file() -> Iterator[_Files]:
    files, before = _Files(), (Path.read_bytes, Path.read_text)
    Path.read_bytes = lambda path: files.read_bytes(path)  # type: ignore[method-assign]
    Path.read_text = lambda path, *given, **named: files.read_text(path, *given, **named)  # type: ignore[method-assign]
    try:
        yield files
    finally:
        Path.read_bytes, Path.read_text = before  # type: ignore[method-assign]


def _of_files(read: Callable[[], object]) -> Callable[[], contextlib.AbstractContextManager[Read]]:
    """Return what opens a reader of files: each says what is fuzzed."""

    @contextmanager
    def opened() -> Iterator[Read]:
        with _every_file() as files:

            def one(text: bytes) -> object:
                files.text = text
                return read()

            yield one

    return opened


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm") as made:
        yield Path(made)


@contextmanager
def _variable(name: str, value: Path) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = str(value)
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


# -- programs and what the kernel says of them --------------------------------------------------------------


@cache
def program_with_probes() -> bytes:
    """Return a small object file with notes of USDT probes."""
    with tempfile.TemporaryDirectory() as made:
        source, program = Path(made, "a.c"), Path(made, "a.o")
        source.write_text(
            "#include <sys/sdt.h>\nvoid f(int a, char *b) { DTRACE_PROBE2(lab, one, a, b); DTRACE_PROBE(lab, two); }\n"
        )
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-nostdlib", "-o", program, source], check=True)
        return program.read_bytes()


@contextmanager
def elf_notes() -> Iterator[Read]:
    with _folder() as folder:
        path = folder / "program"

        def read(text: bytes) -> object:
            path.write_bytes(text)
            tracer._read.cache_clear()
            return [(probe.name, probe.arguments) for probe in tracer.probes_of(path)]

        yield read


def operands(text: bytes) -> object:
    for machine in ("x86_64", "aarch64"):
        usdt_operands.packed(usdt_operands.parse(_decoded(text), machine))
    return None


def notation(text: bytes) -> object:
    raw = _decoded(text)
    said = [verifier_notation.value(raw), verifier_notation.expected(raw), verifier_notation.instruction(raw)]
    return [
        *said,
        verifier_notation.span(raw),
        verifier_notation.reach(raw),
        verifier_notation.access(raw),
        verifier_notation.helper(raw),
    ]


def verifier_log(text: bytes) -> object:
    log = _decoded(text)
    walk(log, {0: 1, 1: 2})
    debug_output(log)
    rows_of_disassembly(log, "f")
    return explain(log, "int a;\nint b;\n", "a.c", {}).detail


def types() -> list[bytes]:
    """Return the types of the kernel, cut short: an integer and a few more."""
    head = struct.Struct("=HBBIIIII")
    kinds = struct.pack("=IIII", 1, 1 << 24, 4, 32) + struct.pack("=IIIIII", 5, 4 << 24 | 1, 4, 1, 1, 0)
    names = b"\0int\0s\0"
    return [head.pack(0xEB9F, 1, 0, 24, 0, len(kinds), len(kinds), len(names)) + kinds + names]


def btf(text: bytes) -> object:
    with contextlib.suppress(ValueError, struct.error):  # as kernel_btf
        return kernel_types.BTF(text)
    return None


# -- a learner's C, and clang's words about it --------------------------------------------------------------

_PROGRAM = "BPF_HASH(a, u32);\nint f(void *ctx)\n{\n\tu32 k = 1;\n\ta.update(&k, &b);\n\treturn c;\n}\n"


def clang_words() -> list[bytes]:
    """Return a diagnostic for each row of the tables."""
    kept = []
    for row in (*clang_says.ERRORS, *clang_says.WARNINGS):
        words = (
            row.says.replace("(?:", "(").replace("\\", "").replace("(w+)", "a").replace("(w+?)", "a").replace("?", "")
        )
        kind = "error" if row in clang_says.ERRORS else "warning"
        kept.append(f"a.c:5:3: {kind}: {words}\n\ta.update(&k, &b);\n\t^\n".encode())
    return kept


def clang(text: bytes) -> object:
    code = Code(_PROGRAM)
    said = in_file(_decoded(text), "a.c", code)
    found = [clang_says.error(said, code), *clang_says.warnings(said, code)]
    return [each.headline("a.c") + each.detail(_PROGRAM, "a.c") for each in found if each]


def program(text: bytes) -> object:
    code = Code(_decoded(text))
    found = [written.first_mistake(code), *written.map_mistakes(code), *refused.remarks("", "a.c", code)]
    found += [*buffers.short_buffers(code)]
    for kind, said in (("bounds", "R1 unbounded memory access"), ("uninitialised", "invalid indirect read from stack")):
        found.append(refused.cause("", "a.c", code, kind, 9, said))
        repairs(code, kind, 9, said, "bpf_probe_read_kernel")
    return [each.headline("a.c") + each.detail(code.text, "a.c") for each in found if each]


def counted(text: bytes) -> object:
    return counting.marked('#line 1 "a.c"\n' + _decoded(text), "a.c")


# -- measurements and their records -------------------------------------------------------------------------


@contextmanager
def recordings() -> Iterator[Read]:
    with _folder() as folder, _recordings(folder):
        (folder / "00-x.json").write_text('{"kernel": "6.1"}')

        def read(text: bytes) -> object:
            (folder / "00-x.csv").write_bytes(text)
            return recorded.recorded("00", "x")

        yield read


@contextmanager
def recorded_facts() -> Iterator[Read]:
    with _folder() as folder, _recordings(folder):
        (folder / "00-x.csv").write_text("time_ns,pid\n1,2\n")

        def read(text: bytes) -> object:
            (folder / "00-x.json").write_bytes(text)
            return recorded.recorded("00", "x")

        yield read


@contextmanager
def _recordings(folder: Path) -> Iterator[None]:
    before = recorded.recordings, recorded.display
    recorded.recordings, recorded.display = lambda: folder, lambda *_, **__: None  # type: ignore[assignment]
    try:
        yield
    finally:
        recorded.recordings, recorded.display = before


def histogram(text: bytes) -> object:
    try:
        pairs = json.loads(text)
    except (ValueError, RecursionError):
        return None
    counts = histograms.from_buckets(pairs)
    return histograms.quantile(counts, [0, 0.5, 1]), histograms.p99(counts)


class _Answering(workload.Workload):
    """A workload whose answer is what is fuzzed."""

    def answer(self, text: bytes) -> Any:
        self._line = lambda *_: text.partition(b"\n")[0].decode(errors="replace")  # type: ignore[method-assign,assignment]
        self._wait = lambda _: 0  # type: ignore[method-assign,assignment]
        return self.result()


def workload_answer(text: bytes) -> object:
    return _Answering("hello", ["--block-bytes", "4096", "--engine", "sync"]).answer(text)


# -- what a learner, or somebody who says so, hands in ------------------------------------------------------


@cache
def _archive() -> bytes:
    with tempfile.TemporaryDirectory() as made:
        return handed_in.good(Path(made, "a.tar.gz")).read_bytes()


def archives() -> list[bytes]:
    """Return an archive, packed and unpacked."""
    import gzip

    return [_archive(), gzip.decompress(_archive())]


def archive_lists() -> list[bytes]:
    """Return the list in an archive."""
    with tarfile.open(fileobj=io.BytesIO(_archive())) as members:
        file = members.extractfile("hand-in.json")
        assert file is not None
        return [file.read()]


@contextmanager
def collected() -> Iterator[Read]:
    import gzip

    with _folder() as folder:
        archive, to = folder / "a.tar.gz", folder / "class"

        def read(text: bytes) -> object:
            archive.write_bytes(text if text[:1] == b"\x1f" else gzip.compress(text, 1))
            (made,) = collect([archive], to)
            assert sorted(path.name for path in folder.iterdir()) == ["a.tar.gz", "class"], "something is outside"
            kept = {made.folder} if made.folder else set()
            assert set(to.iterdir()) == kept, "something is left"
            assert not [path for path in to.rglob("*") if path.is_symlink()], "a link"
            shutil.rmtree(to)
            return made.line

        yield read


@contextmanager
def collected_list() -> Iterator[Read]:
    with _folder() as folder:

        def read(text: bytes) -> object:
            handed_in.archive(folder / "a.tar.gz", {"hand-in.json": text, **handed_in.FILES}.items())
            (made,) = collect([folder / "a.tar.gz"], folder / "class")
            shutil.rmtree(folder / "class")
            return made.line

        yield read


@contextmanager
def grading_result() -> Iterator[Read]:
    with _folder() as folder:
        path = folder / "result.json"

        def read(text: bytes) -> object:
            path.write_bytes(text)
            return json.dumps(grading._told(path, ""))

        yield read


@contextmanager
def notebook() -> Iterator[Read]:
    with _folder() as folder:
        path = folder / "00-start.ipynb"

        def read(text: bytes) -> object:
            path.write_bytes(text)
            cells, _ = steps.code_of(path)
            return [steps.signs(each) for each in steps.steps(cells, ["import labkit"])]

        yield read


def cell(text: bytes) -> object:
    source = _decoded(text)
    if not source.strip():
        return None
    made = steps.steps([{"source": source, "execution_count": 1, "after_exercises": True}], ["import labkit"])
    for name, answer in steps.checked(source):
        assert isinstance(name, str)
        steps.is_literal(answer, [source])
    return [steps.signs(each) for each in made]


def message(text: bytes) -> object:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None  # LabEnd.receive makes an Ended of it
    try:
        return wire.from_plain(value, {})
    except wire.NotPlain as error:
        return str(error)


@contextmanager
def progress() -> Iterator[Read]:
    with _folder() as folder, _variable("LABKIT_PROGRESS", folder / "progress.json"):

        def read(text: bytes) -> object:
            (folder / "progress.json").write_bytes(text)
            told = own_file.read(), predicted.predictions(), own_file.trouble()
            predicted.note_said("01-p1", "q", ["a", "b"], "a")
            predicted.note_measured("01-p1", "b", False)
            json.loads((folder / "progress.json").read_text())
            return told

        yield read


@contextmanager
def ledger() -> Iterator[Read]:
    with _folder() as folder:
        (folder / "shipped").mkdir()
        (folder / "shipped" / "00-start.ipynb").write_text("{}")
        (folder / "mine").mkdir()

        def read(text: bytes) -> object:
            (folder / "mine" / ".handed-out.json").write_bytes(text)
            return copies.hand_out(shipped=folder / "shipped", folder=folder / "mine")

        yield read


# -- what other processes and the kernel write --------------------------------------------------------------


def holder(text: bytes) -> object:
    said = holders.describe(_decoded(text))
    assert said.isprintable()
    return said, holders.is_alive_here(_decoded(text))


tracefs_format = _of_files(lambda: (events.fields("a", "b"), events.field_type("a", "b", "filename")))
mountinfo = _of_files(lambda: [mount.options for mount in mounts.mounts()])
cgroup = _of_files(lambda: cgroups._own_folder(SimpleNamespace(root=Path("/"), folder=Path("/nowhere"))))  # type: ignore[arg-type]
maps = _of_files(lambda: livecode.mappings(1))
stat = _of_files(lambda: (watched._stat(1), holders.is_alive_here("{}"), _started()))
status = _of_files(lambda: (watched._group(1), stacks._perf_map_of(1), watched._comm(1)))
cpu_list = _of_files(lambda: pinning._threads_of_core(0))
device = _of_files(lambda: storage.device_facts(SimpleNamespace(device="vda", device_number="0:0")))  # type: ignore[arg-type]


def _started() -> object:
    with contextlib.suppress(OSError, ValueError, IndexError):  # as is_alive_here and record
        return holders._start_time(1)
    return None


@contextmanager
def perf_map() -> Iterator[Read]:
    with _folder() as folder:
        path = folder / "perf-1.map"

        def read(text: bytes) -> object:
            path.write_bytes(text)
            return stacks._read_perf_map(path)

        yield read


@contextmanager
def uprobe_events() -> Iterator[Read]:
    with _folder() as folder:
        before = sweep.tracefs
        sweep.tracefs = lambda: folder / "nowhere"  # type: ignore[assignment]
        try:
            with _every_file() as files:

                def read(text: bytes) -> object:
                    files.text = text
                    return sweep._sweep_uprobes()

                yield read
        finally:
            sweep.tracefs = before
