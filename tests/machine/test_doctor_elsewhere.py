# SPDX-License-Identifier: Apache-2.0
"""The doctor on machines that lack or refuse something: each made from this one with namespaces, limits and filters."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labkit.machine.folders import repo_folder
from labkit.running.cgroup import Cgroup

pytestmark = pytest.mark.bpf

Rows = dict[str, dict[str, Any]]
DOCTOR = [sys.executable, "-m", "labkit", "doctor", "--json"]


def rows_of(command: list[str], **environment: str) -> Rows:
    done = subprocess.run(
        command, cwd=repo_folder(), env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return {row["name"]: row for row in json.loads(done.stdout)["capabilities"]}


def in_mount_namespace(script: str, *more: str, **environment: str) -> Rows:
    """Run the doctor after a script, in a mount namespace that ends with it."""
    return rows_of(["unshare", "--mount", "sh", "-ec", f'{script}\nexec "$@"', "sh", *DOCTOR, *more], **environment)


def states(rows: Rows, *names: str) -> set[str]:
    return {rows[name]["state"] for name in names}


BPF_ROWS = (
    "bpf",
    "jit",
    "maps",
    "ring_buffer",
    "raw_tracepoints",
    "uprobes",
    "perf_events",
    "sockmap",
    "pid_namespace",
)


def test_without_root_every_bpf_row_is_refused_and_says_sudo() -> None:
    # The tree may be below /root, so it is bound to a place that anybody may enter; the distribution's Python too.
    script = f"mount --bind {repo_folder()} /mnt && cd /mnt"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
    command = [*nobody, "/usr/bin/python3", "-m", "labkit", "doctor", "--json"]
    rows = rows_of(
        ["unshare", "--mount", "sh", "-ec", f'{script}\nexec "$@"', "sh", *command],
        HOME="/nonexistent",
        LABKIT_CACHE="/nonexistent/cache",
        LABKIT_DATA="/nonexistent/data",
    )
    assert states(rows, "root", *BPF_ROWS) == {"refused"}
    assert {rows[name]["fix"] for name in ("root", *BPF_ROWS)} == {"sudo make lab  # loading BPF programs needs root"}
    assert "not root" in rows["bpf"]["reason"]
    assert states(rows, "cpus", "compiler", "btf") == {"ok"}
    assert rows["data_folder"]["fix"].startswith("export LABKIT_DATA=")


def test_root_with_capabilities_dropped_is_told_which_and_to_use_a_privileged_container() -> None:
    rows = rows_of(["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin", *DOCTOR])
    assert states(rows, "root", *BPF_ROWS, "bcc") == {"refused"}
    assert rows["root"]["reason"] == "root without CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN"
    assert rows["bpf"]["fix"].startswith("make container")


def test_root_of_a_user_namespace_is_not_taken_for_root() -> None:
    rows = rows_of(["unshare", "--user", "--map-root-user", *DOCTOR])
    assert states(rows, "root", *BPF_ROWS, "bcc") == {"refused"}
    assert "user namespace" in rows["root"]["reason"]
    assert "user namespace" in rows["bpf"]["reason"]


def test_in_a_pid_namespace_programs_still_recognise_their_process() -> None:
    rows = rows_of(["unshare", "--pid", "--fork", "--mount-proc", *DOCTOR])
    assert rows["pid_namespace"]["state"] == "ok"
    assert rows["pid_namespace"]["reason"].startswith("a container's")


def test_without_tracefs_the_fix_mounts_it() -> None:
    umount = "umount --all --types tracefs; umount --all --types debugfs"
    rows = in_mount_namespace(umount)
    assert states(rows, "tracefs", "syscall_tracepoints", "block_tracepoints") == {"missing"}
    assert states(rows, "bpf", "raw_tracepoints", "uprobes") == {"ok"}
    assert rows["syscall_tracepoints"]["fix"] == rows["tracefs"]["fix"]
    fixed = in_mount_namespace(f"{umount}; {rows['tracefs']['fix']}")
    assert states(fixed, "tracefs", "syscall_tracepoints", "block_tracepoints") == {"ok"}


def test_without_cgroup_v2_the_fix_mounts_it() -> None:
    rows = in_mount_namespace("umount --all --types cgroup2", "--lesson", "09")
    assert states(rows, "cgroup_v2", "sockmap") == {"missing"}
    fixed = in_mount_namespace(f"umount --all --types cgroup2; {rows['cgroup_v2']['fix']}", "--lesson", "09")
    assert states(fixed, "cgroup_v2", "sockmap") == {"ok"}


def test_a_read_only_cgroup_v2_is_refused() -> None:
    script = 'for top in $(findmnt -n -t cgroup2 -o TARGET); do mount -o remount,bind,ro "$top"; done'
    rows = in_mount_namespace(script, "--lesson", "09")
    assert states(rows, "cgroup_v2", "sockmap") == {"refused"}
    assert "remount,rw" in rows["cgroup_v2"]["fix"]


def test_a_host_tree_in_a_container_with_a_cgroup_namespace_is_not_taken_for_its_own(tmp_path: Path) -> None:
    with Cgroup() as container:
        unshared = ["unshare", "--mount", "--cgroup"]
        lesson = [*DOCTOR, "--lesson", "09"]
        rows = rows_of(container.command([*unshared, *lesson]))
        assert states(rows, "cgroup_v2", "sockmap") == {"missing"}
        script = f'mount -t cgroup2 none {tmp_path}\nexec "$@"'
        rows = rows_of(container.command([*unshared, "sh", "-ec", script, "sh", *lesson]))
    assert states(rows, "cgroup_v2", "sockmap") == {"ok"}
    assert f"made in {tmp_path}, took a process in" in rows["cgroup_v2"]["reason"]


@pytest.mark.kernel
def test_root_of_a_container_that_does_not_see_lockdown_is_told_to_use_a_privileged_one() -> None:
    if not Path("/sys/kernel/security").exists():
        pytest.skip("this kernel has no security file system")
    drop = ["setpriv", "--bounding-set=-bpf,-sys_admin"]
    script = 'umount /sys/kernel/security 2>/dev/null || true\nexec "$@"'
    rows = rows_of(["unshare", "--mount", "sh", "-c", script, "sh", *drop, *DOCTOR, "--lesson", "04"])
    assert rows["lockdown"]["state"] == "refused"
    assert rows["lockdown"]["fix"].startswith("make container")


def test_a_loopback_that_is_down_is_named() -> None:
    rows = rows_of(["unshare", "--net", *DOCTOR, "--lesson", "09"])
    assert rows["sockmap"]["reason"] == "the loopback interface is down"
    fixed = rows_of(
        ["unshare", "--net", "sh", "-ec", f'{rows["sockmap"]["fix"]}\nexec "$@"', "sh", *DOCTOR, "--lesson", "09"]
    )
    assert fixed["sockmap"]["state"] == "ok"


def test_a_pinned_process_is_told_how_to_get_its_cpus_back() -> None:
    rows = rows_of(["taskset", "--cpu-list", "0", *DOCTOR, "--lesson", "09"])
    assert (rows["cpus"]["state"] == "refused") == ((os.cpu_count() or 1) > 1)
    assert rows["cpus"]["reason"].startswith("1 of ") or os.cpu_count() == 1
    online = Path("/sys/devices/system/cpu/online").read_text().strip()  # with its gaps, such as 0,2
    assert f"taskset -cp {online} " in rows["cpus"]["fix"] or os.cpu_count() == 1


# -- files --------------------------------------------------------------------------------------------


def test_a_data_folder_on_tmpfs_has_no_device(tmp_path: Path) -> None:
    rows = in_mount_namespace(
        f"mount -t tmpfs -o size=64k none {tmp_path}", "--lesson", "07", LABKIT_DATA=str(tmp_path)
    )
    assert f"{tmp_path} (tmpfs on none) has 0.0 GiB free" in rows["data_folder"]["reason"]
    assert "there is no device" in rows["o_direct"]["reason"]
    assert states(rows, "data_folder", "o_direct") == {"missing"}
    assert rows["data_folder"]["fix"].startswith("export LABKIT_DATA=")


def test_a_read_only_data_folder_is_refused(tmp_path: Path) -> None:
    script = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path}"
    rows = in_mount_namespace(script, "--lesson", "07", LABKIT_DATA=str(tmp_path))
    assert states(rows, "data_folder", "o_direct") == {"refused"}
    assert rows["data_folder"]["reason"] == f"{tmp_path}: Read-only file system"


def test_a_full_data_folder_says_so(tmp_path: Path) -> None:
    script = (
        f"mount -t tmpfs -o size=16k none {tmp_path} && dd if=/dev/zero of={tmp_path}/fill bs=16k count=1 2>/dev/null"
    )
    rows = in_mount_namespace(script, "--lesson", "07", LABKIT_DATA=str(tmp_path))
    assert rows["data_folder"]["state"] == "missing"
    assert rows["data_folder"]["reason"] == f"{tmp_path}: No space left on device"


def test_a_data_folder_below_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    rows = rows_of([*DOCTOR, "--lesson", "07"], LABKIT_DATA=str(tmp_path / "file" / "data"))
    assert states(rows, "data_folder", "o_direct") == {"missing"}
    assert "Not a directory" in rows["data_folder"]["reason"]


def test_in_a_chroot_where_mounts_do_not_show_the_folder_is_still_tried(tmp_path: Path) -> None:
    script = f"""
cd {tmp_path}
mkdir usr proc sys dev repo tmp data
for folder in usr proc sys dev; do mount --rbind /$folder $folder; done
mount --bind {repo_folder()} repo
for link in bin sbin lib lib64; do test ! -L /$link || cp --no-dereference /$link $link; done
exec chroot . env --chdir=/repo /usr/bin/python3 -m labkit doctor --json --lesson 07"""
    rows = rows_of(["unshare", "--mount", "sh", "-ec", script], LABKIT_DATA="/data", LABKIT_CACHE="/tmp")
    assert states(rows, "data_folder", "o_direct") == {"ok"}
    assert rows["data_folder"]["reason"].startswith("/data")


# -- seccomp ------------------------------------------------------------------------------------------


def filtered(number: int, *system_calls: str) -> list[str]:
    """Return a command prefix that makes system calls fail with an error number, as a container's filter does."""
    script = f"""
import ctypes, os, sys
library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
allow, fail = 0x7FFF0000, 0x00050000 | {number}
rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(allow)))
for name in {[name.encode() for name in system_calls]!r}:
    assert library.seccomp_rule_add(rules, ctypes.c_uint32(fail), library.seccomp_syscall_resolve_name(name), 0) == 0
assert library.seccomp_load(rules) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
    return [sys.executable, "-c", script]


@pytest.mark.parametrize(
    ("call", "number"), [("io_setup", errno.ENOSYS), ("io_submit", errno.EPERM), ("io_getevents", errno.ENOSYS)]
)
def test_a_seccomp_filter_on_libaio_is_named(call: str, number: int) -> None:
    probe = (
        "from labkit.machine.doctor import files; found = files.libaio(); print(found.state, found.reason, found.fix)"
    )
    said = subprocess.run([*filtered(number, call), sys.executable, "-c", probe], capture_output=True, text=True).stdout
    assert said.startswith(f"refused a seccomp filter, as containers have, answers {call}: {os.strerror(number)}"), said
    assert "seccomp=unconfined" in said


RING_CALLS = ("io_uring_setup", "io_uring_enter", "io_uring_register")


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS], ids=["EPERM", "ENOSYS"])
def test_a_seccomp_filter_on_io_uring_is_named(number: int) -> None:
    rows = rows_of([*filtered(number, *RING_CALLS), *DOCTOR, "--lesson", "08"])
    assert states(rows, "io_uring", "io_uring_sqpoll") == {"refused"}
    assert rows["io_uring"]["reason"] == f"a seccomp filter, as containers have, answers {os.strerror(number)}"
    assert "seccomp=unconfined" in rows["io_uring"]["fix"]


def test_a_filter_that_lets_a_ring_be_made_but_not_entered_is_seen() -> None:
    rows = rows_of([*filtered(errno.EPERM, "io_uring_enter"), *DOCTOR, "--lesson", "07"])
    assert rows["io_uring"]["state"] == "refused"


@pytest.mark.kernel
@pytest.mark.parametrize("level", ["1", "2"])
def test_the_sysctl_that_disables_io_uring_is_named(tmp_path: Path, level: str) -> None:
    # The sysctl itself belongs to the whole machine: only how it reads is changed, and a filter answers in its place.
    sysctl = Path("/proc/sys/kernel/io_uring_disabled")
    if not sysctl.exists():
        pytest.skip("Linux before 6.6 has no such sysctl")
    (tmp_path / "level").write_text(f"{level}\n")
    command = [*filtered(errno.EPERM, *RING_CALLS), *DOCTOR, "--lesson", "08"]
    drop = ["setpriv", "--bounding-set=-sys_admin"] if level == "1" else []
    script = f'mount --bind {tmp_path}/level {sysctl}\nexec "$@"'
    rows = rows_of(["unshare", "--mount", "sh", "-ec", script, "sh", *drop, *command])
    assert rows["io_uring"]["reason"] == f"the sysctl kernel.io_uring_disabled is {level}"
    assert rows["io_uring"]["fix"] == "sysctl -w kernel.io_uring_disabled=0"


def test_a_kernel_without_io_uring_is_told_from_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.machine.doctor import files, privileges

    monkeypatch.setattr(privileges, "seccomp_filtered", lambda: False)
    found = files._no_ring(errno.ENOSYS)
    assert (found.state, found.reason) == ("missing", "this kernel has no io_uring (ENOSYS)")


def test_the_sysctl_that_limits_sampling_is_named(tmp_path: Path) -> None:
    # The sysctl itself belongs to the whole machine: only how it reads is changed, and a filter answers in its place.
    sysctl = Path("/proc/sys/kernel/perf_event_max_sample_rate")
    (tmp_path / "rate").write_text("500\n")
    command = [*filtered(errno.EINVAL, "perf_event_open"), *DOCTOR, "--lesson", "04"]
    rows = rows_of(
        ["unshare", "--mount", "sh", "-ec", f'mount --bind {tmp_path}/rate {sysctl}\nexec "$@"', "sh", *command]
    )
    assert rows["perf_events"]["state"] == "refused"
    assert rows["perf_events"]["reason"].startswith(f"the sysctl kernel.{sysctl.name} is 500")
    assert rows["perf_events"]["fix"] == f"sysctl -w kernel.{sysctl.name}=100000"


def test_a_seccomp_filter_on_bpf_is_named() -> None:
    rows = rows_of([*filtered(errno.EPERM, "bpf"), *DOCTOR, "--lesson", "02"])
    assert states(rows, "bpf", "maps", "ring_buffer") == {"refused"}
    assert "seccomp" in rows["bpf"]["reason"]


def test_exhausted_aio_contexts_show_the_counters_and_the_sysctl() -> None:
    rows = rows_of([*filtered(errno.EAGAIN, "io_setup"), *DOCTOR, "--lesson", "07"])
    assert rows["libaio"]["state"] == "refused"
    assert "aio-max-nr" in rows["libaio"]["reason"] and "fs.aio-max-nr=" in rows["libaio"]["fix"]


# -- software -----------------------------------------------------------------------------------------


def test_a_tmp_from_which_nothing_may_be_run_is_no_harm() -> None:
    rows = in_mount_namespace(
        "mount -t tmpfs -o noexec none /tmp; mount -t tmpfs -o noexec none /var/tmp", "--lesson", "05"
    )
    assert states(rows, "compiler", "usdt") == {"ok"}


def fake_library(folder: Path, name: str) -> str:
    """Make a library that has none of the symbols that the real one has."""
    path = folder / name
    subprocess.run(["cc", "-shared", f"-Wl,-soname,{name}", "-o", str(path), "-x", "c", "-"], input=b"", check=True)
    return str(folder)


def test_an_old_cxx_library_of_the_environment_is_named(tmp_path: Path) -> None:
    rows = rows_of([*DOCTOR, "--lesson", "03"], LD_LIBRARY_PATH=fake_library(tmp_path, "libstdc++.so.6"))
    assert states(rows, "python", "bcc") == {"missing"}
    for row in (rows["python"], rows["bcc"]):
        assert "C++ library" in row["reason"] and row["fix"].startswith("conda install")


def test_without_libbpf_the_rows_that_need_it_say_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "libbpf.so.1").write_bytes(b"")
    rows = rows_of([*DOCTOR, "--lesson", "02"], LD_LIBRARY_PATH=str(tmp_path))
    assert states(rows, "libbpf", "bpf", "maps", "ring_buffer", "syscall_tracepoints") == {"missing"}
    assert rows["bpf"]["fix"].endswith("apt-get install --yes libbpf1")
    assert states(rows, "root", "compiler", "tracefs") == {"ok"}


def test_without_a_compiler_or_tools_on_the_path_nothing_breaks(tmp_path: Path) -> None:
    rows = rows_of(DOCTOR, PATH=str(tmp_path))
    assert states(rows, "compiler", "usdt", "strace", "fio") == {"missing"}
    assert rows["compiler"]["fix"].endswith("apt-get install --yes gcc libc6-dev")
    assert states(rows, "bpf", "uprobes", "cgroup_v2") == {"ok"}


def test_a_seccomp_filter_on_ptrace_refuses_strace() -> None:
    rows = rows_of([*filtered(errno.EPERM, "ptrace"), *DOCTOR, "--lesson", "04"])
    assert rows["strace"]["state"] == "refused"
    assert rows["strace"]["reason"].startswith("it may not follow a process: ")
    assert "Operation not permitted" in rows["strace"]["reason"] and "seccomp" in rows["strace"]["reason"]
    assert rows["strace"]["fix"].startswith("make container")


@pytest.mark.parametrize("scope", ["1", "2", "3"])
def test_the_sysctl_that_keeps_strace_out_is_named(scope: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from labkit.machine.doctor import privileges, software

    (tmp_path / "scope").write_text(f"{scope}\n")
    monkeypatch.setattr(software, "_YAMA", tmp_path / "scope")
    monkeypatch.setattr(privileges, "effective", set)
    reason, fix = software._why_not_followed()
    assert f"kernel.yama.ptrace_scope is {scope}" in reason
    assert "kernel.yama.ptrace_scope" in fix and ("SYS_PTRACE" in fix or scope == "3")


def test_pypis_bcc_beside_the_real_one_is_warned_of(tmp_path: Path) -> None:
    rows = rows_of([*DOCTOR, "--lesson", "03"], PYTHONPATH=impostor(tmp_path))
    assert rows["bcc"]["state"] == "ok"
    assert rows["bcc"]["reason"].endswith("beware, PyPI's unrelated bcc 0.1.10 is installed too")


def test_pypis_bcc_in_place_of_the_real_one_is_named(tmp_path: Path) -> None:
    script = "mount -t tmpfs none /usr/lib/python3/dist-packages/bcc"
    rows = in_mount_namespace(script, "--lesson", "03", PYTHONPATH=impostor(tmp_path))
    assert rows["bcc"]["state"] == "missing"
    assert "from PyPI" in rows["bcc"]["reason"] and "pip uninstall" in rows["bcc"]["fix"]


def impostor(folder: Path) -> str:
    (folder / "bcc").mkdir()
    (folder / "bcc" / "__init__.py").write_text("BYTES = 1\n")
    (folder / "bcc-0.1.10.dist-info").mkdir()
    (folder / "bcc-0.1.10.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bcc\nVersion: 0.1.10\n")
    return str(folder)


def test_headers_that_the_reader_has_chosen_and_are_not_whole_are_named(tmp_path: Path) -> None:
    rows = rows_of([*DOCTOR, "--lesson", "03"], BCC_KERNEL_SOURCE=str(tmp_path))
    assert states(rows, "headers", "bcc") == {"missing"}
    assert str(tmp_path) in rows["headers"]["reason"]
    assert rows["headers"]["fix"] == "unset BCC_KERNEL_SOURCE"
    assert "error: " in rows["bcc"]["reason"]


def test_headers_that_the_reader_has_chosen_are_told(tmp_path: Path) -> None:
    tree = tmp_path / "chosen"
    for name in ("linux/kconfig.h", "generated/autoconf.h"):
        (tree / "include" / name).parent.mkdir(parents=True)
        (tree / "include" / name).touch()
    rows = rows_of([*DOCTOR, "--lesson", "03"], BCC_KERNEL_SOURCE=str(tree))
    assert (rows["headers"]["state"], rows["headers"]["reason"]) == ("ok", f"BCC_KERNEL_SOURCE is {tree}")


@pytest.mark.kernel
def test_without_any_headers_the_fix_installs_them(tmp_path: Path) -> None:
    if Path("/sys/kernel/kheaders.tar.xz").exists():
        pytest.skip("this kernel carries its headers in itself")
    hide = "mount -t tmpfs none /usr/src; test ! -d /lib/modules || mount -t tmpfs none /lib/modules"
    script = f"unset BCC_KERNEL_SOURCE; {hide}"  # these tests have loaded bcc, which sets it
    rows = in_mount_namespace(script, "--lesson", "03", LABKIT_CACHE=str(tmp_path))
    assert states(rows, "headers", "bcc") == {"missing"}
    assert rows["headers"]["fix"].startswith("apt-get install linux-headers-")  # root needs no sudo


def test_the_filter_used_here_really_filters() -> None:
    command = [*filtered(errno.EPERM, "bpf"), "/usr/sbin/bpftool", "prog", "list"]
    assert "Operation not permitted" in subprocess.run(command, capture_output=True, text=True, check=False).stderr
