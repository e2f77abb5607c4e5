# SPDX-License-Identifier: Apache-2.0
"""The only door to BCC: its ctypes signatures, its private names and its habits are here, and nowhere else.

When an upgrade of BCC breaks something, it breaks here: `tests/bpf/test_bcc.py` has a test for each name, and
docs/when-bcc-changes.md says what each is for. (`labkit/machine/bcc.py` finds the package and the library.)

A handle of our own on the library: ctypes keeps argument types per handle, and those of the `bcc` package must stay as
they are.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NoReturn

from labkit.machine import bcc as distribution
from labkit.machine import header_trial as header_trials
from labkit.machine import refusals
from labkit.machine.libbcc import library
from labkit.running.interrupts import uninterrupted

__all__ = [
    "SIGNATURES",
    "compiled",
    "detach_all",
    "event_fields",
    "functions",
    "header_trial",
    "instructions_of",
    "kernel_symbol",
    "libbcc",
    "load",
    "loaded",
    "loaded_by_name",
    "make_module",
    "map_fd",
    "map_names",
    "online_cpus",
    "plain",
    "plain_key",
    "pointer",
    "program_type",
    "size_of",
    "symbols",
    "unload",
]

_DEBUG_REWRITTEN, _DEBUG_SOURCE = 0x4, 0x8  # bcc.DEBUG_PREPROCESSOR, bcc.DEBUG_SOURCE
_TRIAL = b"#include <uapi/linux/ptrace.h>\n#include <linux/sched.h>\nint labkit_trial(void *ctx) { return 0; }\n"
_ANY_ATTACH_TYPE = ct.c_uint(-1).value

SIGNATURES: dict[str, tuple[object, list[object]]] = {
    # a compiled module (an opaque pointer): its functions and maps by index or name
    "bpf_num_functions": (ct.c_size_t, [ct.c_void_p]),
    "bpf_function_name": (ct.c_char_p, [ct.c_void_p, ct.c_size_t]),
    "bpf_num_tables": (ct.c_size_t, [ct.c_void_p]),
    "bpf_table_name": (ct.c_char_p, [ct.c_void_p, ct.c_size_t]),
    "bpf_function_start": (ct.c_void_p, [ct.c_void_p, ct.c_char_p]),
    "bpf_function_size": (ct.c_size_t, [ct.c_void_p, ct.c_char_p]),
    "bpf_module_license": (ct.c_char_p, [ct.c_void_p]),
    "bpf_module_kern_version": (ct.c_uint, [ct.c_void_p]),
    "bpf_table_fd": (ct.c_int, [ct.c_void_p, ct.c_char_p]),
    "bpf_perf_event_fields": (ct.c_size_t, [ct.c_void_p, ct.c_char_p]),
    "bpf_perf_event_field": (ct.c_char_p, [ct.c_void_p, ct.c_char_p, ct.c_size_t]),
    # clang and the loader
    "bpf_module_create_c_from_string": (
        ct.c_void_p,
        [ct.c_char_p, ct.c_uint, ct.POINTER(ct.c_char_p), ct.c_int, ct.c_bool, ct.c_char_p],
    ),
    "bpf_module_destroy": (None, [ct.c_void_p]),
    "bcc_func_load": (
        ct.c_int,
        [
            ct.c_void_p,
            ct.c_int,
            ct.c_char_p,
            ct.c_void_p,
            ct.c_int,
            ct.c_char_p,
            ct.c_uint,
            ct.c_int,
            ct.c_void_p,
            ct.c_uint,
            ct.c_char_p,
            ct.c_uint,
        ],
    ),
    # attaching to cgroups and to maps
    "bpf_prog_attach": (ct.c_int, [ct.c_int, ct.c_int, ct.c_int, ct.c_uint]),
    "bpf_prog_detach2": (ct.c_int, [ct.c_int, ct.c_int, ct.c_int]),
    # bpf(2), by file descriptor; each returns 0, or -1 with errno
    "bpf_obj_get_info": (ct.c_int, [ct.c_int, ct.c_void_p, ct.c_void_p]),
    "bpf_lookup_elem": (ct.c_int, [ct.c_int, ct.c_void_p, ct.c_void_p]),
    "bpf_update_elem": (ct.c_int, [ct.c_int, ct.c_void_p, ct.c_void_p, ct.c_ulonglong]),
    "bpf_delete_elem": (ct.c_int, [ct.c_int, ct.c_void_p]),
    "bpf_get_next_key": (ct.c_int, [ct.c_int, ct.c_void_p, ct.c_void_p]),
    "bpf_get_first_key": (ct.c_int, [ct.c_int, ct.c_void_p, ct.c_size_t]),
    "bpf_lookup_batch": (ct.c_int, [ct.c_int] + [ct.c_void_p] * 5),
    "bpf_update_batch": (ct.c_int, [ct.c_int] + [ct.c_void_p] * 3),
    # libbpf's reader of ring buffers
    "bpf_new_ringbuf": (ct.c_void_p, [ct.c_int, ct.c_void_p, ct.c_void_p]),
    "bpf_consume_ringbuf": (ct.c_int, [ct.c_void_p]),
    "bpf_free_ringbuf": (None, [ct.c_void_p]),
    # BCC's reader of perf buffers, one for each CPU
    "bpf_open_perf_buffer": (ct.c_void_p, [ct.c_void_p, ct.c_void_p, ct.c_void_p, ct.c_int, ct.c_int, ct.c_int]),
    "perf_reader_fd": (ct.c_int, [ct.c_void_p]),
    "perf_reader_consume": (ct.c_int, [ct.c_int, ct.POINTER(ct.c_void_p)]),
    "perf_reader_free": (None, [ct.c_void_p]),
}

# of libbpf, which libbcc is built on; a version that is older than the kernel interface lacks them
_OPTIONAL: dict[str, tuple[object, list[object]]] = {
    "bpf_link_create": (ct.c_int, [ct.c_int, ct.c_int, ct.c_int, ct.c_void_p]),
}


@cache
def libbcc() -> ct.CDLL:
    """Return the library, with the types above set. Raises Missing where BCC is."""
    distribution.load_bcc()
    lib = library()
    for name, (result, arguments) in {**SIGNATURES, **_OPTIONAL}.items():
        function = getattr(lib, name, None) if name in _OPTIONAL else getattr(lib, name)
        if function is not None:
            function.restype, function.argtypes = result, arguments
    return lib


# -- compiling -----------------------------------------------------------------------------------


def make_module(text: str, cflags: Sequence[str]) -> Any:
    """Compile a program and return a `bcc.BPF`.

    BCC raises bare Exception, and prints on descriptor 2.
    """
    bcc = distribution.load_bcc()

    class Module(bcc.BPF):  # type: ignore[name-defined,misc]
        """A BPF object that attaches nothing by itself."""

        def _trace_autoload(self) -> None:
            pass

    return Module(text=text.encode(), cflags=list(cflags))


@contextlib.contextmanager
def compiled(text: str, cflags: Sequence[str], *, disassemble: bool = True) -> Iterator[int | None]:
    """Compile a program, printing what BCC made of it on descriptor 2; yield its pointer, or None if clang refused.

    BCC prints the rewritten text, and with `disassemble` also the instructions with their source lines.
    """
    flags = (ct.c_char_p * len(cflags))(*(flag.encode() for flag in cflags))
    debug = _DEBUG_REWRITTEN | (_DEBUG_SOURCE if disassemble else 0)
    module = libbcc().bpf_module_create_c_from_string(text.encode(), debug, flags, len(cflags), True, None)
    try:
        yield module
    finally:
        if module:
            libbcc().bpf_module_destroy(module)


def header_trial() -> NoReturn:
    """End this process with what clang makes of the kernel headers that BCC's environment names.

    For a process of its own (`labkit.machine.header_trial`): clang may end it, and writes on descriptor 2.
    """
    try:
        create: Any = library().bpf_module_create_c_from_string
    except OSError:
        os._exit(header_trials.NO_BCC)
    create.restype, create.argtypes = SIGNATURES["bpf_module_create_c_from_string"]
    made = create(_TRIAL, 0, None, 0, True, None)
    os._exit(header_trials.COMPILES if made else header_trials.REFUSED)


def pointer(module: Any) -> Any:
    """Return the library's own pointer of a `bcc.BPF`; a pointer is returned as it is."""
    return getattr(module, "module", module)


# -- loading -------------------------------------------------------------------------------------


def program_type(kind: str) -> int:
    """Return a number of `enum bpf_prog_type` by BCC's name: "KPROBE", "TRACEPOINT", "PERF_EVENT", …"""
    return int(getattr(distribution.load_bcc().BPF, kind))


def functions(module: Any) -> list[str]:
    """Return the names of the BPF functions of a module, in BCC's spelling: tracepoint__CATEGORY__EVENT, …"""
    lib, this = libbcc(), pointer(module)
    return [lib.bpf_function_name(this, index).decode() for index in range(lib.bpf_num_functions(this))]


def size_of(module: Any, function: str) -> int:
    """Return the size of a function, in bytes."""
    return int(libbcc().bpf_function_size(pointer(module), function.encode()))


def instructions_of(module: Any, function: str) -> bytes:
    """Return the instructions of a function, eight bytes each."""
    start = libbcc().bpf_function_start(pointer(module), function.encode())
    return ct.string_at(start, size_of(module, function))


def load(
    module: Any, function: str, kind: int, level: int, log_bytes: int, instructions: int | None = None
) -> tuple[int, int, str]:
    """Give a function to the verifier; return (file descriptor, errno, log). The descriptor is negative if refused.

    Parameters
    ----------
    module : a `bcc.BPF`, or the pointer inside it.
    kind : the program type, a number of `enum bpf_prog_type`.
    level, log_bytes : of the verifier's log; see bpf(2), BPF_PROG_LOAD.
    instructions : the address of other instructions to load in place of the function's own, as many as it has.

    BCC also prints the log on descriptor 2.
    """
    lib, this, name = libbcc(), pointer(module), function.encode()
    log = ct.create_string_buffer(log_bytes)
    code = instructions or lib.bpf_function_start(this, name)
    ct.set_errno(0)
    fd = lib.bcc_func_load(
        this,
        kind,
        name,
        code,
        lib.bpf_function_size(this, name),
        lib.bpf_module_license(this),
        lib.bpf_module_kern_version(this),
        level,
        log,
        log_bytes,
        None,
        _ANY_ATTACH_TYPE,
    )
    return int(fd), ct.get_errno(), log.value.decode(errors="replace")


def loaded(module: Any, function: str, load_now: Callable[[], int]) -> int:
    """Return the file descriptor of a function of a `bcc.BPF`, loading it if that is still to be done.

    `bcc.BPF.funcs` is what BCC's own attach functions look into, and what `cleanup` closes.
    """
    known = module.funcs.get(function.encode())
    if known is None:
        known = module.funcs[function.encode()] = type(module).Function(module, function.encode(), load_now())
    return int(known.fd)


@uninterrupted()
def unload(module: Any, function: str) -> None:
    """Forget a function of a `bcc.BPF` that was loaded, so that it is loaded anew; without one, do nothing."""
    if known := module.funcs.pop(function.encode(), None):
        os.close(known.fd)


@uninterrupted()
def loaded_by_name(module: Any) -> dict[str, int]:
    """Return the file descriptors of the functions of a `bcc.BPF` that are loaded, by name."""
    return {name.decode(): int(function.fd) for name, function in module.funcs.items()}


def is_attached(module: Any) -> bool:
    """Return whether a `bcc.BPF` holds anything attached."""
    return any(events for events, _ in _attached(module)) or bool(module.open_perf_events)


def detach_all(module: Any) -> None:
    """Detach all that a `bcc.BPF` holds attached (the first half of `bcc.BPF.cleanup`).

    Where one cannot be detached, the others are all the same, and then its exception is raised.
    """
    with contextlib.ExitStack() as later:
        for events, detach in _attached(module):
            for event in events:
                later.callback(detach, event)
        for kind, config in module.open_perf_events:
            later.callback(module.detach_perf_event, kind, config)


def _attached(module: Any) -> tuple[tuple[dict[bytes, int], Callable[[bytes], object]], ...]:
    """Return what a `bcc.BPF` holds attached, by kind, each with what detaches one; perf events are kept otherwise."""
    return (
        (module.kprobe_fds, module.detach_kprobe_event),
        (module.uprobe_fds, functools.partial(_detach_uprobe, module)),
        (module.tracepoint_fds, module.detach_tracepoint),
        (module.raw_tracepoint_fds, module.detach_raw_tracepoint),
        (module.kfunc_entry_fds, module.detach_kfunc),
        (module.kfunc_exit_fds, module.detach_kretfunc),
    )


def _detach_uprobe(module: Any, event: bytes) -> None:
    """Detach a uprobe. BCC then looks in tracefs for a line to remove, and fails where that is not mounted."""
    try:
        module.detach_uprobe_event(event)
    except Exception:  # BCC raises bare Exception
        if refusals.no_tracefs() is None:
            raise
        module.uprobe_fds.pop(event, None)


# -- maps and symbols ----------------------------------------------------------------------------


def map_names(module: Any) -> list[str]:
    """Return the names of the maps of a module."""
    lib, this = libbcc(), pointer(module)
    return [lib.bpf_table_name(this, index).decode() for index in range(lib.bpf_num_tables(this))]


def map_fd(module: Any, name: str) -> int:
    """Return a map's file descriptor, also for map types that BCC's Python does not know; negative if there is none."""
    return int(libbcc().bpf_table_fd(pointer(module), name.encode()))


def event_fields(module: Any, ring: str) -> list[tuple[str, str]]:
    """Return (field, C type) of the struct that a program submits to a ring or perf buffer, as clang laid it out."""
    lib, this, name = libbcc(), pointer(module), ring.encode()
    told = (lib.bpf_perf_event_field(this, name, index) for index in range(lib.bpf_perf_event_fields(this, name)))
    pairs = (field.decode().partition("#") for field in told)
    return [(name, kind) for name, _, kind in pairs]


def plain_key(value: Any) -> Any:
    """Return a ctypes value of BCC as plain Python that can be the key of a dict: a struct is a tuple."""
    made = plain(value)
    if isinstance(made, dict):
        return tuple(plain_key(each) for each in made.values())
    return tuple(plain_key(each) for each in made) if isinstance(made, list) else made


def plain(value: Any) -> Any:
    """Return a ctypes value of BCC as plain Python: a number, bytes, or a dict for a struct or union."""
    if isinstance(value, (ct.Structure, ct.Union)):
        return {field[0]: plain(getattr(value, field[0])) for field in value._fields_}
    if isinstance(value, ct.Array):
        return [plain(each) for each in value]
    return getattr(value, "value", value)


@contextlib.contextmanager
def symbols(pid: int) -> Iterator[Any]:
    """Yield BCC's cache of a process's symbols (`bcc.SymbolCache`), and give its tables back."""
    bcc = distribution.load_bcc()
    kept = bcc.SymbolCache(pid)
    try:
        yield kept
    finally:
        bcc.lib.bcc_free_symcache(kept.cache, pid)


def kernel_symbol(address: int) -> str:
    """Return the name of the kernel's function at an address."""
    return str(distribution.load_bcc().BPF.ksym(address).decode(errors="replace"))


def online_cpus() -> list[int]:
    """Return the CPUs that are online, as BCC opens perf buffers on them."""
    distribution.load_bcc()
    from bcc.utils import get_online_cpus

    return [int(cpu) for cpu in get_online_cpus()]
