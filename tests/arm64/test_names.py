# SPDX-License-Identifier: Apache-2.0
"""Names that x86-64 has and 64-bit ARM has not: what the lab answers there, and what it takes for a call's name."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT

from labkit.bpf import syscalls
from labkit.bpf.diagnose import events
from labkit.bpf.syscalls import COUNTERPART
from labkit.machine import headers

ARM64 = 0xC00000B7  # AUDIT_ARCH_AARCH64 of linux/audit.h


def test_the_names_of_the_system_calls_are_those_that_libseccomp_knows(
    cross: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    assert compiler
    (tmp_path / "gcc").symlink_to(compiler)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    syscalls.call_names.cache_clear()
    try:
        names = syscalls.call_names()
    finally:
        syscalls.call_names.cache_clear()
    number_of = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name_arch
    wrong = {n: name for n, name in names.items() if number_of(ctypes.c_uint32(ARM64), name.encode()) != n}
    assert len(names) > 300 and wrong == {}
    assert not set(COUNTERPART) & set(names.values()) and set(COUNTERPART.values()) <= set(names.values())


def test_a_call_that_arm_lacks_is_answered_with_the_one_that_does_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in COUNTERPART.values():
        (tmp_path / f"syscalls/sys_enter_{call}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"syscalls/sys_exit_{call}").mkdir(exist_ok=True)
    monkeypatch.setattr(events, "_EVENTS", tmp_path)
    for call, other in COUNTERPART.items():
        assert events.nearest_event("syscalls", f"sys_exit_{call}") == ("syscalls", f"sys_exit_{other}")
        what, fix = events.event_problem("syscalls", f"sys_enter_{call}") or ("", "")
        assert f"this machine has no system call {call}" in what and f"sys_enter_{other}?" in fix
        assert f"TRACEPOINT_PROBE(syscalls, sys_enter_{other})" in events.kprobe_advice(f"__x64_sys_{call}")
    assert events.nearest_event("syscalls", "openat") == ("syscalls", "sys_enter_openat")


REGISTERS = """int on_entry(struct pt_regs *ctx)
{
	return ctx->REGISTER > 0;
}
"""
ANSWER = """
import sys
from labkit.bpf.compile import compile_source
from labkit.bpf.text import Source
from labkit.errors import CompileError
from pathlib import Path
for name in sys.argv[1:]:
    try:
        compile_source(Source.of(Path(name), {}))
    except CompileError as error:
        print(str(error).replace(chr(10), " "))
"""


@pytest.mark.bpf
def test_a_register_of_x86_is_answered_with_the_macro_that_every_processor_has(arm64: Path, tmp_path: Path) -> None:
    folder = next((arm64 / "usr/src").glob("linux-headers-*-arm64"))
    wanted = {"di": "PT_REGS_PARM1(ctx)", "rsi": "PT_REGS_PARM2(ctx)", "ax": "PT_REGS_RC(ctx)", "ip": "PT_REGS_IP(ctx)"}
    for name in wanted:
        (tmp_path / f"{name}.c").write_text('#include "labkit.h"\n' + REGISTERS.replace("REGISTER", name))
    told = subprocess.run(
        [sys.executable, "-c", ANSWER, *(str(tmp_path / f"{name}.c") for name in wanted)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ARCH": "arm64",
            headers.CHOICE: str(headers._whole(arm64, folder)),
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(told) == len(wanted), told
    for line, (name, right) in zip(told, wanted.items(), strict=True):
        assert f"{name} is a register of x86-64" in line and f"write {right}" in line, line
