# SPDX-License-Identifier: Apache-2.0
"""The contract with BCC: one test per name that the lab uses beyond BCC's documented face.

When one fails after an upgrade, docs/when-bcc-changes.md says which file to open.
"""

from __future__ import annotations

import ctypes as ct
import os
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.bpf import bcc
from labkit.bpf.capture import captured
from labkit.machine.bcc import load_bcc

pytestmark = pytest.mark.bpf

TEXT = """#include <uapi/linux/ptrace.h>
struct event { u64 time_ns; char name[16]; u32 cpu; };
BPF_ARRAY(hits, u64, 1);
BPF_RINGBUF_OUTPUT(events, 8);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	struct event event = {};

	hits.increment(0);
	events.ringbuf_output(&event, sizeof(event), 0);
	return 0;
}
"""
FUNCTION = "tracepoint__syscalls__sys_enter_getppid"


@pytest.fixture
def module() -> Iterator[Any]:
    made = bcc.make_module(TEXT, [])
    yield made
    made.cleanup()


@pytest.mark.anywhere
@pytest.mark.parametrize("name", sorted(bcc.SIGNATURES))
def test_the_library_has_the_function(name: str) -> None:
    assert callable(getattr(ct.CDLL("libbcc.so.0"), name))


def test_a_module_attaches_nothing_by_itself(module: Any) -> None:
    """`bcc.BPF` calls `_trace_autoload` at the end of its constructor."""
    assert hasattr(load_bcc().BPF, "_trace_autoload")
    assert not module.tracepoint_fds


def test_functions_and_maps_are_named_as_in_the_c_file(module: Any) -> None:
    assert bcc.functions(module) == [FUNCTION]
    assert {"hits", "events"} <= set(bcc.map_names(module))
    assert bcc.map_fd(module, "hits") > 0 > bcc.map_fd(module, "nonesuch")
    assert bcc.size_of(module, FUNCTION) % 8 == 0 < bcc.size_of(module, FUNCTION)


def test_the_fields_of_a_record_are_those_of_the_struct(module: Any) -> None:
    fields = [field for field in bcc.event_fields(module, "events") if not field[0].startswith("__")]
    assert fields == [("time_ns", "u64"), ("name", "char[16]"), ("cpu", "u32")]


def test_a_function_is_loaded_once_and_bcc_attaches_and_detaches_it(module: Any) -> None:
    kind = bcc.program_type("TRACEPOINT")
    first = bcc.loaded(module, FUNCTION, lambda: bcc.load(module, FUNCTION, kind, 4, 1 << 16)[0])
    assert first > 0
    assert bcc.loaded(module, FUNCTION, lambda: pytest.fail("loaded twice")) == first
    module.attach_tracepoint(tp=b"syscalls:sys_enter_getppid", fn_name=FUNCTION.encode())
    assert len(module.tracepoint_fds) == 1
    bcc.detach_all(module)
    assert not module.tracepoint_fds


@pytest.mark.anywhere
@pytest.mark.parametrize(
    "name",
    [
        "kprobe_fds",
        "uprobe_fds",
        "tracepoint_fds",
        "raw_tracepoint_fds",
        "kfunc_entry_fds",
        "kfunc_exit_fds",
        "open_perf_events",
        "funcs",
    ],
)
def test_a_module_keeps_what_is_attached_under_this_name(module: Any, name: str) -> None:
    assert getattr(module, name) in ({}, module.funcs)


@pytest.mark.anywhere
@pytest.mark.parametrize("name", ["KPROBE", "TRACEPOINT", "RAW_TRACEPOINT", "PERF_EVENT", "SOCK_OPS", "SK_MSG", "XDP"])
def test_a_program_type_has_bccs_name(name: str) -> None:
    assert bcc.program_type(name) > 0


def test_the_debug_output_has_what_the_places_are_read_from() -> None:
    with captured() as said, bcc.compiled(TEXT, []) as pointer:
        assert pointer
    assert "Running from kernel directory" in said.text() or f"{FUNCTION}:" in said.text() or FUNCTION in said.text()


@pytest.mark.anywhere
def test_a_text_that_clang_refuses_gives_no_pointer() -> None:
    with captured() as said, bcc.compiled("this is no C", []) as pointer:
        assert not pointer
    assert "error:" in said.text()


def test_symbols_of_this_process_and_of_the_kernel() -> None:
    with bcc.symbols(os.getpid()) as kept:
        assert callable(kept.resolve)
    assert isinstance(bcc.kernel_symbol(0), str)


def test_the_online_cpus_are_those_of_this_machine() -> None:
    assert set(bcc.online_cpus()) >= os.sched_getaffinity(0)
