# SPDX-License-Identifier: Apache-2.0
"""Every row of the doctor against a witness that is not the lab."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from labkit.machine import doctor
from labkit.machine.folders import repo_folder

pytestmark = pytest.mark.bpf

Rows = dict[str, dict[str, Any]]


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def rows(data_folder: Path) -> Rows:
    told = run(sys.executable, "-m", "labkit", "doctor", "--json")
    return {row["name"]: row for row in json.loads(told)["capabilities"]}


@pytest.fixture(scope="module")
def bpftool() -> dict[str, Any]:
    """What bpftool finds of the kernel, by probes of its own."""
    features = json.loads(run("bpftool", "-j", "feature", "probe", "kernel"))
    return {**features["program_types"], **features["map_types"], **features["system_config"]}


def state(rows: Rows, name: str) -> str:
    return str(rows[name]["state"])


def test_kernel_is_what_uname_says(rows: Rows) -> None:
    assert rows["kernel"]["reason"] == f"Linux {run('uname', '-r')}, {run('uname', '-m')}"


def test_root_has_the_capabilities_that_proc_shows(rows: Rows) -> None:
    mask = run("sh", "-c", "awk '/^CapEff/ { print $2 }' /proc/$PPID/status")
    named = {"CAP_BPF": 39, "CAP_PERFMON": 38, "CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
    held = {name for name, bit in named.items() if run("sh", "-c", f"echo $((0x{mask} >> {bit} & 1))") == "1"}
    assert (state(rows, "root") == "ok") == (held == set(named))


def test_cpus_are_those_of_nproc(rows: Rows) -> None:
    assert rows["cpus"]["reason"].startswith(f"{run('nproc')} of {run('nproc', '--all')} ")


def test_pid_namespace_is_told_from_the_initial_one(rows: Rows) -> None:
    initial = os.readlink("/proc/self/ns/pid") == "pid:[4026531836]"
    assert rows["pid_namespace"]["reason"].startswith("the machine's own" if initial else "a container's")
    assert state(rows, "pid_namespace") == "ok"


def test_lockdown_is_what_securityfs_shows_when_mounted_elsewhere(rows: Rows, tmp_path: Path) -> None:
    show = f"mount -t securityfs none {tmp_path} && cat {tmp_path}/lockdown || echo '[none]'"
    mode = run("unshare", "--mount", "sh", "-c", show).partition("[")[2].partition("]")[0]
    assert rows["lockdown"]["reason"].startswith(mode)
    assert (state(rows, "lockdown") == "ok") == (mode != "confidentiality")


def test_memlock_is_the_shells_limit(rows: Rows) -> None:
    limit = run("bash", "-c", "ulimit -l")
    assert ("no limit" if limit == "unlimited" else f"{limit} KiB") in rows["memlock"]["reason"]


def test_libbcc_loads_where_the_linker_finds_all_it_needs(rows: Rows) -> None:
    library = re.search(r"libbcc\.so\.0 .*=> (\S+)", run("/sbin/ldconfig", "-p"))
    assert library
    assert (state(rows, "python") == "ok") == ("not found" not in run("ldd", library[1]))


def test_libbpf_is_the_file_that_the_linker_knows(rows: Rows) -> None:
    library = re.search(r"libbpf\.so\.1 .*=> (\S+)", run("/sbin/ldconfig", "-p"))
    assert library
    version = re.search(r"libbpf ([\d.]+)", rows["libbpf"]["reason"])
    assert version and Path(library[1]).resolve().name.startswith(f"libbpf.so.{version[1]}")


def test_headers_are_a_tree_with_the_kernels_uapi(rows: Rows) -> None:
    found = re.match(r"(exact|kheaders|fallback): .*in ([^;]+)", rows["headers"]["reason"])
    # Debian splits the kernel's own headers in two trees, which it links as build and source.
    assert found and any(
        Path(tree, "include/uapi/linux/bpf.h").exists() for tree in (found[2], Path(found[2]).with_name("source"))
    )
    if found[1] == "fallback":
        assert not Path("/lib/modules", run("uname", "-r"), "build/include/generated").exists()


def test_bcc_is_the_version_that_the_package_manager_installed(rows: Rows) -> None:
    asked = ["dpkg-query", "-W", "-f", "${Version}", "python3-bpfcc"]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("dpkg does not know python3-bpfcc: here the packages were unpacked without it")
    version = run(*asked).split("+")[0].split("-")[0]
    assert state(rows, "bcc") == "ok"
    assert rows["bcc"]["reason"].startswith(f"{version} in /usr/lib/python3/dist-packages/bcc ")


def test_compiler_is_cc(rows: Rows) -> None:
    assert rows["compiler"]["reason"].startswith(run("cc", "--version").splitlines()[0])


@pytest.mark.parametrize(
    ("row", "features"),
    [
        ("bpf", ["have_socket_filter_prog_type", "have_array_map_type"]),
        (
            "maps",
            ["have_hash_map_type", "have_percpu_array_map_type", "have_lru_hash_map_type", "have_stack_trace_map_type"],
        ),
        ("ring_buffer", ["have_ringbuf_map_type"]),
        ("raw_tracepoints", ["have_raw_tracepoint_prog_type"]),
        ("fentry", ["have_tracing_prog_type"]),
        ("perf_events", ["have_perf_event_prog_type"]),
        ("sockmap", ["have_sock_ops_prog_type", "have_sk_msg_prog_type", "have_sockhash_map_type"]),
        ("jit", ["bpf_jit_enable"]),
    ],
)
def test_bpftool_agrees(rows: Rows, bpftool: dict[str, Any], row: str, features: list[str]) -> None:
    assert (state(rows, row) == "ok") == all(bpftool[feature] for feature in features)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("row", "option"),
    [
        ("kprobes", "CONFIG_KPROBE_EVENTS"),
        ("uprobes", "CONFIG_UPROBE_EVENTS"),
        ("btf", "CONFIG_DEBUG_INFO_BTF"),
        ("syscall_tracepoints", "CONFIG_FTRACE_SYSCALLS"),
        ("libaio", "CONFIG_AIO"),
        ("io_uring", "CONFIG_IO_URING"),
        ("cgroup_v2", "CONFIG_CGROUP_BPF"),
    ],
)
def test_the_kernels_own_configuration_agrees(rows: Rows, row: str, option: str) -> None:
    for file, reader in ((Path("/proc/config.gz"), "zcat"), (Path(f"/boot/config-{os.uname().release}"), "cat")):
        if file.exists():
            configured = f"{option}=y" in run(reader, str(file)).splitlines()
            assert (state(rows, row) == "ok") == configured
            return
    pytest.skip("this kernel's configuration is not kept where it can be read")


@pytest.mark.parametrize(
    ("row", "event"),
    [
        ("syscall_tracepoints", "syscalls:sys_enter_getppid"),
        ("block_tracepoints", "block:block_rq_issue"),
        ("sched_tracepoints", "sched:sched_switch"),
        ("io_uring_tracepoints", "io_uring:io_uring_complete"),
    ],
)
def test_tracefs_lists_what_was_attached_to(rows: Rows, row: str, event: str) -> None:
    listed = Path("/sys/kernel/tracing/available_events").read_text().splitlines()
    assert (state(rows, row) == "ok") == (event in listed)


def test_tracefs_has_as_many_groups_as_ls_counts(rows: Rows) -> None:
    groups = run("sh", "-c", "ls /sys/kernel/tracing/events | wc -l")
    assert f"lists {groups} groups" in rows["tracefs"]["reason"]


def test_btf_has_the_function_at_the_number_that_bpftool_prints(rows: Rows) -> None:
    dumped = run("sh", "-c", "bpftool btf dump file /sys/kernel/btf/vmlinux | grep \"FUNC 'bpf_fentry_test1'\"")
    number = re.match(r"\[(\d+)\]", dumped)
    assert number and f"bpf_fentry_test1 is number {number[1]}" in rows["btf"]["reason"]


def test_kprobes_are_there_when_the_kernel_has_their_event_source(rows: Rows) -> None:
    assert (state(rows, "kprobes") == "ok") == Path("/sys/bus/event_source/devices/kprobe").exists()


def test_a_refused_fentry_is_a_refusal_that_strace_sees(rows: Rows, tmp_path: Path) -> None:
    log = tmp_path / "strace"
    run("strace", "-f", "-e", "trace=bpf", "-o", str(log), sys.executable, "-m", "labkit", "doctor", "--lesson", "04")
    loads = [line for line in log.read_text().splitlines() if "BPF_TRACE_FENTRY" in line and "BPF_PROG_LOAD" in line]
    assert loads
    assert (state(rows, "fentry") == "refused") == all("EPERM" in line or "EACCES" in line for line in loads)


def test_run_statistics_are_off_again_afterwards(rows: Rows) -> None:
    assert state(rows, "run_statistics") == "ok"
    with Path("/proc/sys/kernel/bpf_stats_enabled").open() as sysctl:
        assert sysctl.read().strip() == "0"


def test_uprobes_are_there_when_the_kernel_has_their_event_source(rows: Rows) -> None:
    assert (state(rows, "uprobes") == "ok") == Path("/sys/bus/event_source/devices/uprobe").exists()


def test_usdt_needs_what_the_compiler_finds(rows: Rows) -> None:
    compiled = subprocess.run(
        ["cc", "-x", "c", "-fsyntax-only", "-"],
        input="#include <sys/sdt.h>\n",
        text=True,
        capture_output=True,
        check=False,
    )
    assert (state(rows, "usdt") == "ok") == (compiled.returncode == 0 and state(rows, "uprobes") == "ok")


def test_readelf_counts_as_many_probes_in_python(rows: Rows) -> None:
    found = re.match(r"(\S+) has (\d+) probes", rows["python_usdt"]["reason"])
    assert found
    assert run("readelf", "-n", found[1]).count("Provider: python") == int(found[2])


def test_perf_events_tell_the_sysctl(rows: Rows) -> None:
    paranoid = Path("/proc/sys/kernel/perf_event_paranoid").read_text().strip()
    assert rows["perf_events"]["reason"].endswith(f"perf_event_paranoid is {paranoid}")


def test_perf_events_ask_for_no_more_than_the_lesson_does(tmp_path: Path) -> None:
    log = tmp_path / "strace"
    command = [sys.executable, "-m", "labkit", "doctor", "--lesson", "04"]
    run("strace", "-f", "-v", "-e", "trace=perf_event_open", "-o", str(log), *command)
    assert "sample_freq=997" in log.read_text()
    assert "sample_freq=10000" not in log.read_text()


def test_cgroup_v2_is_where_findmnt_sees_it(rows: Rows) -> None:
    target = run("findmnt", "--noheadings", "--types", "cgroup2", "--output", "TARGET").split()[0]
    assert state(rows, "cgroup_v2") == "ok"
    assert f"made in {target}" in rows["cgroup_v2"]["reason"]


@pytest.mark.parametrize(("row", "engine"), [("io_uring", "io_uring"), ("libaio", "libaio"), ("o_direct", "psync")])
def test_fio_agrees(rows: Rows, data_folder: Path, row: str, engine: str) -> None:
    file = data_folder / f"fio-{engine}"
    job = [
        "--name=doctor",
        "--rw=read",
        "--size=4k",
        "--bs=4k",
        "--direct=1",
        f"--ioengine={engine}",
        f"--filename={file}",
    ]
    try:
        ran = subprocess.run(["fio", *job], capture_output=True, check=False)
    finally:
        file.unlink(missing_ok=True)
    assert (state(rows, row) == "ok") == (ran.returncode == 0)


def test_libaio_tells_the_kernels_counters(rows: Rows) -> None:
    most = Path("/proc/sys/fs/aio-max-nr").read_text().strip()
    assert rows["libaio"]["reason"].endswith(f"of aio-max-nr {most}")


def test_data_folder_is_on_the_file_system_that_findmnt_names(rows: Rows, data_folder: Path) -> None:
    kind = run("findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(data_folder))
    source = run("findmnt", "--noheadings", "--output", "SOURCE", "--target", str(data_folder)).split("[")[0]
    assert f"{data_folder} ({kind} on {Path(source).name})" in rows["data_folder"]["reason"]


def test_data_folder_has_the_room_that_df_sees(rows: Rows, data_folder: Path) -> None:
    room = re.search(r"([\d.]+) GiB free", rows["data_folder"]["reason"])
    free = int(run("df", "--output=avail", "-B1", str(data_folder)).splitlines()[-1]) / (1 << 30)
    assert room and abs(float(room[1]) - free) < max(1, free / 10)  # others write meanwhile


@pytest.mark.anywhere
@pytest.mark.parametrize(
    "name", ["bpftool", "strace", "bpftrace", "fio", "readelf", "redis", "redis_benchmark", "sqlite"]
)
def test_tools_are_those_on_the_path(rows: Rows, name: str) -> None:
    program = {"redis": "redis-server", "redis_benchmark": "redis-benchmark", "sqlite": "sqlite3"}.get(name, name)
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert (state(rows, name) == "ok") == (path is not None)
    if path:
        assert rows[name]["reason"].startswith(path)


def open_files() -> list[str]:
    return sorted(os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists())


def test_examining_leaves_no_descriptor_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    doctor.examine()  # libraries are loaded once and stay
    before = open_files()
    doctor.examine()
    assert open_files() == before
    assert list(tmp_path.iterdir()) == []


def test_examining_says_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    doctor.examine()
    assert capfd.readouterr() == ("", "")


def test_examining_gives_libbpf_its_own_voice_back() -> None:
    from labkit.machine.doctor.programs import libbpf, quiet

    voice = libbpf().libbpf_set_print(None)
    libbpf().libbpf_set_print(voice)
    with quiet():
        pass
    assert libbpf().libbpf_set_print(voice) == voice


def test_the_doctor_needs_no_package_beyond_the_standard_library() -> None:
    told = run(
        "env",
        f"PYTHONPATH={repo_folder()}",
        "/usr/bin/python3",
        "-S",
        "-m",
        "labkit",
        "doctor",
        "--json",
        "--lesson",
        "02",
    )
    assert {row["name"]: row["state"] for row in json.loads(told)["capabilities"]}["bpf"] == "ok"
