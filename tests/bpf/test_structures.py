# SPDX-License-Identifier: Apache-2.0
"""The kernel's own structures are read where the running kernel has them, whatever headers there are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from labkit.bpf import structures
from labkit.bpf.diagnose import refused
from labkit.bpf.diagnose.code import Code
from labkit.bpf.program import Program
from labkit.bpf.structures import as_written, structures_of
from labkit.errors import CompileError
from labkit.machine import btf
from labkit.machine.btf import KERNEL_BTF, kernel_btf
from labkit.machine.headers import kernel_headers

pytestmark = [
    pytest.mark.bpf,
    pytest.mark.skipif(not KERNEL_BTF.exists() or kernel_headers().exact, reason="the headers are this kernel's own"),
]

HEAD = '#include "labkit.h"\n#include <linux/sched.h>\nBPF_HASH(seen, u32, u64);\n'
PROBE = (
    "TRACEPOINT_PROBE(syscalls, sys_enter_getppid)\n{\n    if (!labkit_is_target())\n        return 0;\n"
    "%s    return 0;\n}\n"
)
TASK = "    struct task_struct *task = (struct task_struct *)bpf_get_current_task();\n"


def seen(body: str, folder: Path, head: str = HEAD) -> dict[int, int]:
    """Run a probe in this process once, and return its map."""
    path = folder / "cell.c"
    path.write_text(head + PROBE % body, encoding="utf-8")
    with Program(source=path) as program:
        program.aim(pid=os.getpid())
        program.attach()
        os.getppid()
        return {key.value: leaf.value for key, leaf in program.table("seen").items()}


def put(key: str, value: str) -> str:
    return f"    {{ u32 k = {key}; u64 v = {value}; seen.update(&k, &v); }}\n"


def status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.parametrize("head", [HEAD, HEAD.replace("#include <linux/sched.h>\n", "")], ids=["included", "not"])
def test_fields_of_a_task_are_those_that_proc_shows(head: str, tmp_path: Path) -> None:
    body = TASK + put("0", "task->tgid") + put("1", "task->real_parent->tgid") + put("2", "task->cred->uid.val")
    wanted = {0: status("Tgid"), 1: status("PPid"), 2: status("Uid")}
    assert seen(body, tmp_path, head) == wanted


def test_a_namespace_is_found_through_three_structures(tmp_path: Path) -> None:
    inode = os.stat("/proc/self/ns/uts").st_ino
    assert seen(TASK + put("0", "task->nsproxy->uts_ns->ns.inum"), tmp_path) == {0: inode}


def test_a_helper_copies_from_the_right_place(tmp_path: Path) -> None:
    body = TASK + "    u32 copy = 0;\n    bpf_probe_read_kernel(&copy, sizeof(copy), &task->tgid);\n" + put("0", "copy")
    assert seen(body, tmp_path) == {0: os.getpid()}


def test_a_field_that_this_kernel_does_not_have_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(CompileError) as refusal:
        seen(TASK + put("0", "task->tgdi"), tmp_path)
    assert "this kernel's struct task_struct has no field tgdi" in refusal.value.what
    assert "tgid" in refusal.value.fix


def test_a_function_of_the_headers_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cell.c"
    head = HEAD.replace('#include "labkit.h"\n', "")
    path.write_text(
        head
        + "TRACEPOINT_PROBE(syscalls, sys_enter_getppid)\n{\n"
        + TASK
        + put("0", "task_pid_nr(task)")
        + "    return 0;\n}\n"
    )
    with pytest.raises(Exception, match="task_pid_nr is a function of the headers of") as refusal:
        Program(source=path).__enter__()
    assert "cell.c:6" in str(refusal.value)


def test_without_btf_the_verdict_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + PROBE % (TASK + put("0", "task->tgid")) + "// no other test has this text\n"
    monkeypatch.setattr(structures, "kernel_btf", lambda: None)
    remarks = refused.remarks("", str(tmp_path / "cell.c"), Code(text))
    assert [(each.line, "struct task_struct is read as Linux" in each.what) for each in remarks] == [(8, True)]


def test_what_the_kernel_promises_and_the_program_declares_is_left_alone() -> None:
    text = "struct file { int n; };\nint f(struct pt_regs *ctx, struct sockaddr_in *a, struct file *b)\n"
    assert structures_of(text) is None


def test_words_name_structures_as_the_kernel_does() -> None:
    text = "struct task_struct *task;"
    assert as_written("in 'struct Task_struct', struct Other", text) == "in 'struct task_struct', struct Other"


def test_offsets_are_those_of_bpftool() -> None:
    kernel = kernel_btf()
    tool = shutil.which("bpftool", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if kernel is None or tool is None:
        pytest.skip("no bpftool")
    said = subprocess.run([tool, "btf", "dump", "file", str(KERNEL_BTF)], capture_output=True, text=True, check=True)
    for name in ("task_struct", "sock", "file"):
        block = re.search(rf"^\[\d+\] STRUCT '{name}' size=.*\n((?:\t.*\n)+)", said.stdout, re.MULTILINE)
        assert block
        told = re.findall(r"'(\w+)' type_id=\d+ bits_offset=(\d+)", block[1])
        assert len(told) > 5
        for member, bits in told:
            if member != "(anon)":
                assert kernel.member_offset(name, member) == int(bits) // 8, member


def test_a_file_that_is_no_btf_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "vmlinux"
    other.write_bytes(bytes(64))
    monkeypatch.setattr(btf, "KERNEL_BTF", other)
    assert btf.kernel_btf.__wrapped__() is None
