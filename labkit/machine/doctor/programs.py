# SPDX-License-Identifier: Apache-2.0
"""BPF programs of a few instructions, to try what the kernel allows: no compiler, no headers, no bcc.

libbpf loads programs from ELF files. The smallest such file is made here in memory: one section whose name tells libbpf
the kind of program and what to attach it to ("tp/syscalls/sys_enter_getppid"), and the instructions. So libbpf does
here exactly what it does for a real tool, its fallbacks for older kernels included.

    with Counter() as hits, Program("tp/syscalls/sys_enter_getppid", count(hits.descriptor)) as program:
        program.attach()
        ...
        hits.value
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.errors import Missing
from labkit.machine.doctor.elf import bpf_object
from labkit.machine.doctor.rows import package

__all__ = ["Counter", "Program", "bpf_map", "checked", "libbpf", "quiet"]

NAME = "labkit_doctor"  # what bpftool shows

# Map types, include/uapi/linux/bpf.h
ARRAY, SOCKHASH, RINGBUF = 2, 18, 27

_RETURN_POINTERS = (
    "bpf_object__open_mem",
    "bpf_object__next_program",
    "bpf_program__attach",
    "bpf_program__attach_cgroup",
    "bpf_program__attach_perf_event",
    "bpf_program__attach_uprobe_opts",
    "libbpf_set_print",
    "ring_buffer__new",
    "btf__load_vmlinux_btf",
)


class _UprobeOptions(ctypes.Structure):
    """struct bpf_uprobe_opts of libbpf.h, as far as it is used."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("semaphore_offset", ctypes.c_size_t),
        ("cookie", ctypes.c_uint64),
        ("is_return", ctypes.c_bool),
        ("symbol", ctypes.c_char_p),
    )


class _RunOptions(ctypes.Structure):
    """struct bpf_test_run_opts of bpf.h."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("context_in", ctypes.c_void_p),
        ("context_out", ctypes.c_void_p),
        ("context_size_in", ctypes.c_uint32),
        ("context_size_out", ctypes.c_uint32),
        ("returned", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


@functools.cache
def libbpf() -> ctypes.CDLL:
    """Return libbpf, on which libbpfcc depends and so is there wherever BCC is.

    Raises
    ------
    Missing : there is none, or one older than 1.0.
    """
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise Missing(f"libbpf.so.1 does not load: {error}", package("libbpf1")) from None
    for name in _RETURN_POINTERS:
        getattr(library, name).restype = ctypes.c_void_p
    library.libbpf_set_print.argtypes = (ctypes.c_void_p,)
    library.libbpf_version_string.restype = ctypes.c_char_p
    return library


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep libbpf from writing its messages on stderr: what it refuses is an answer here, not a fault."""
    try:
        library = libbpf()
    except Missing:
        yield
        return
    before = library.libbpf_set_print(None)
    try:
        yield
    finally:
        library.libbpf_set_print(before)


def checked(result: int | None, step: str) -> int:
    """Return libbpf's result, or raise: failure is a negative error number, or a null pointer with errno set."""
    if result is None or result < 0:
        number = -result if result else ctypes.get_errno()
        raise OSError(number, os.strerror(number), step)
    return result


@contextlib.contextmanager
def bpf_map(kind: int, key_bytes: int, value_bytes: int, entries: int) -> Iterator[int]:
    """Make a map, give its file descriptor, close it."""
    descriptor = libbpf().bpf_map_create(kind, NAME.encode(), key_bytes, value_bytes, entries, None)
    checked(descriptor, "making a map")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Counter:
    """An array map with one number, which a program adds to; a context manager."""

    def __enter__(self) -> Counter:
        self._stack = contextlib.ExitStack()
        self.descriptor = self._stack.enter_context(bpf_map(ARRAY, 4, 8, 1))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def value(self) -> int:
        """What the map holds now."""
        key, number = ctypes.c_uint32(0), ctypes.c_uint64(0)
        result = libbpf().bpf_map_lookup_elem(self.descriptor, ctypes.byref(key), ctypes.byref(number))
        checked(result, "reading a map")
        return number.value


class Program:
    """A loaded program; leaving the context detaches and unloads it.

    Parameters
    ----------
    section : what libbpf is to make of it, as in SEC("…") of a C file.
    code : its instructions.

    Raises
    ------
    OSError : the kernel refused it; `filename` says at which step.
    """

    def __init__(self, section: str, code: bytes) -> None:
        self.section = section
        self._image = bpf_object(section, NAME, code)
        self._links: list[int] = []

    def __enter__(self) -> Program:
        opened = libbpf().bpf_object__open_mem(self._image, ctypes.c_size_t(len(self._image)), None)
        self._object = ctypes.c_void_p(checked(opened, f"opening a {self.section} program"))
        try:
            checked(libbpf().bpf_object__load(self._object), f"loading a {self.section} program")
        except OSError:
            libbpf().bpf_object__close(self._object)
            raise
        self._program = ctypes.c_void_p(libbpf().bpf_object__next_program(self._object, None))
        self.descriptor: int = libbpf().bpf_program__fd(self._program)
        return self

    def __exit__(self, *_: object) -> None:
        for link in reversed(self._links):
            libbpf().bpf_link__destroy(ctypes.c_void_p(link))
        libbpf().bpf_object__close(self._object)

    def attach(self) -> None:
        """Attach to what the section names."""
        self._keep(libbpf().bpf_program__attach(self._program), self.section)

    def attach_cgroup(self, folder: Path) -> None:
        """Attach to a cgroup; the link, and so the attachment, ends with this process at the latest."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._keep(libbpf().bpf_program__attach_cgroup(self._program, descriptor), "a cgroup")
        finally:
            os.close(descriptor)

    def attach_uprobe(self, file: Path, *, symbol: str | None = None, offset: int = 0, pid: int = 0) -> None:
        """Attach to a function, or to an offset, of a file in one process; 0 is the calling thread."""
        options = _UprobeOptions(size=ctypes.sizeof(_UprobeOptions), symbol=symbol.encode() if symbol else None)
        link = libbpf().bpf_program__attach_uprobe_opts(
            self._program, pid, str(file).encode(), ctypes.c_size_t(offset), ctypes.byref(options)
        )
        self._keep(link, f"{symbol or hex(offset)} of {file}")

    def attach_perf_event(self, descriptor: int) -> None:
        """Attach to a perf event; from then on the link owns its descriptor."""
        try:
            self._keep(libbpf().bpf_program__attach_perf_event(self._program, descriptor), "a perf event")
        except OSError:
            os.close(descriptor)
            raise

    def _keep(self, link: int | None, target: str) -> None:
        self._links.append(checked(link, f"attaching to {target}"))

    def run(self, times: int) -> None:
        """Have the kernel run the program on a made-up packet (BPF_PROG_TEST_RUN)."""
        packet = ctypes.create_string_buffer(64)
        self._test_run(data_in=ctypes.cast(packet, ctypes.c_void_p), data_size_in=len(packet), repeat=times)

    def trigger_fentry(self) -> None:
        """Have the kernel call `bpf_fentry_test1`, which it has for this purpose, once."""
        self._test_run()

    def _test_run(self, **options: Any) -> None:
        given = _RunOptions(size=ctypes.sizeof(_RunOptions), **options)
        checked(libbpf().bpf_prog_test_run_opts(self.descriptor, ctypes.byref(given)), "running a program")

    def told(self, field: str) -> int:
        """Return what `/proc/self/fdinfo` says about the program, such as `prog_jited` or `run_cnt`."""
        text = Path(f"/proc/self/fdinfo/{self.descriptor}").read_text()
        found = re.search(rf"^{field}:\s*(\d+)$", text, re.MULTILINE)
        return int(found[1]) if found else 0
