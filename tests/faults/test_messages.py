# SPDX-License-Identifier: Apache-2.0
"""A broken machine: each fault has its true message, names who refused, and lets the lesson show its recording."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.prepared import Prepared, labkit_variables, prepared
from tree import ROOT

pytestmark = pytest.mark.bpf

IS_LONG = int(os.environ.get("LABKIT_FAULTS", "2")) >= 10  # `make faults`
FILTER = r"by a seccomp filter, as containers have"
MEASURE = {
    "start": "start.measure(blocks=23)",
    "hello": "hello.measure(runs=23)",
    "pairs": "maps.pairs(calls=23)",
    "loops": "verifier.loops(rounds=10)",
    "usdt": "usdt.measure(requests=23)",
    "histogram": "syscall_latency.histogram()",
    "engines": "io_engines.measure()",
    "calls": "io_engines.calls()",
    "rings": "uring.readers(file_bytes=65536)",
    "sockmap": "sockmap.measure(64, slices=2, slice_s=0.02)",
    "sqlite": "capstone.measure(transactions=5)",
    "cold": "uring.steps(cache='cold')",
    "direct": "io_engines.measure(cache='direct')",
    "libaio": "io_engines.calls('libaio', 'direct')",
    "sync": "io_engines.calls('sync', 'direct')",
    "warm": "io_engines.measure(cache='warm')",
    "stages": "syscall_latency.stages(4096, ios=23)",
    "cross": "sockmap.measure(64, 'cross core', slices=2, slice_s=0.02)",
    "serve": "serve.calls('epoll', 5, requests=97)",
    "watch": "your_program.watch(command=['true'])",
}


@dataclass(frozen=True)
class Fault:
    """What is broken, the measurement that meets it, and what must be said."""

    faults: str  # as of broken.py
    measurement: str
    says: str
    fix: str
    recorded: bool = True  # the lesson shows its recording; else its reader can change the setting or the disk

    def __str__(self) -> str:
        return f"{self.faults} {self.measurement}"


FAULTS = [
    Fault("unmount:/sys/kernel/tracing", "start", r"tracefs is not mounted", "mount -t tracefs"),
    Fault("unmount:/sys/kernel/tracing", "pairs", r"tracefs is not mounted", "mount -t tracefs"),
    Fault("unmount:/sys/kernel/tracing", "sqlite", r"tracefs is not mounted", "mount -t tracefs"),
    Fault("refuse:bpf:ENOSYS", "hello", rf"bpf\(2\) was refused \(Function not implemented\) {FILTER}", "privileged"),
    Fault("refuse:bpf:EPERM", "usdt", rf"bpf\(2\) was refused \(Operation not permitted\) {FILTER}", "privileged"),
    Fault("refuse:bpf:EPERM", "loops", rf"bpf\(2\) was refused \(Operation not permitted\) {FILTER}", "privileged"),
    Fault("refuse:bpf:EPERM", "sockmap", rf"bpf\(2\) was refused \(Operation not permitted\) {FILTER}", "privileged"),
    Fault("refuse:perf_event_open:EACCES", "hello", rf"perf_event_open\(2\) was refused .* {FILTER}", "privileged"),
    Fault("refuse:perf_event_open:ENOSYS", "usdt", rf"perf_event_open\(2\) was refused .* {FILTER}", "privileged"),
    Fault("refuse:io_uring_enter:EPERM", "rings", rf"was refused \(Operation not permitted\) {FILTER}", "privileged"),
    Fault("refuse:io_uring_setup:EPERM", "rings", r"io_uring_setup is refused", "doctor"),
    Fault("refuse:flock:EPERM", "hello", r"flock\(2\) says Operation not permitted", "seccomp"),
    Fault("refuse:fadvise64:EPERM", "cold", r"posix_fadvise\(2\) or mincore\(2\) says", "seccomp"),
    Fault("refuse:mincore:ENOSYS", "cold", r"posix_fadvise\(2\) or mincore\(2\) says", "seccomp"),
    Fault("set:LABKIT_DATA=/proc/nowhere", "start", r"The folder /proc/nowhere cannot be used", "set LABKIT_DATA"),
    Fault("set:LABKIT_LOCK=/proc/nowhere", "hello", r"The lock file /proc/nowhere cannot be used", "rm /proc/nowhere"),
    Fault("limit:FSIZE:4096", "start", r"may write files of 4096 bytes at most", "ulimit -f unlimited"),
    Fault("limit:FSIZE:4096", "engines", r"may write files of 4096 bytes at most", "ulimit -f unlimited"),
    *(
        Fault(f"limit:NOFILE:{most}", measurement, rf"by the limit of {most} open files", "ulimit -n")
        for most, measurement in [(8, "hello"), (16, "hello"), (20, "hello"), (26, "pairs"), (9, "rings")]
    ),
    Fault(
        "refuse:prlimit64:EPERM", "hello", rf"A system call of lesson 01: hello was refused .* {FILTER}", "privileged"
    ),
    Fault("refuse:clone3:EPERM", "hello", r"No thread can be started for lesson 01: hello", "--pids-limit"),
    Fault("refuse:sched_setaffinity:EPERM", "cross", rf"sched_setaffinity was refused .* {FILTER}", "privileged"),
    Fault("drop:sys_admin", "usdt", r"root, but without CAP_SYS_ADMIN", "privileged"),
    Fault("disk:ext4:64 fill:100", "rings", r"file of 64 KiB: 128 KiB should be free", "free some space", False),
    Fault("disk:ext4:64:ro", "engines", r"Read-only file system", "set LABKIT_DATA"),
    Fault("disk:tmpfs:64:nr_inodes=2", "start", r"no inode is free on its file system", "set LABKIT_DATA"),
    Fault("disk:tmpfs:64", "direct", r"is in memory \(tmpfs\), where there is no disk", "doctor"),
    Fault("disk:tmpfs:64", "cold", r"stay in the page cache, so it cannot be read cold", "set LABKIT_DATA"),
    Fault("cpus:1", "cross", r"This process may use one CPU only", "same core"),
    Fault("unmount:CGROUP2", "sockmap", r"cgroup v2 is not mounted", "mount -t cgroup2"),
]
if IS_LONG:
    FAULTS += [
        *(
            Fault(f"refuse:{call}:{error}", measurement, rf"{call} was refused .* {FILTER}", "privileged")
            for call, measurement in [
                ("io_submit", "libaio"),
                ("io_getevents", "libaio"),
                ("prctl", "hello"),
                ("timerfd_create", "serve"),
                ("epoll_create1", "serve"),
            ]
            for error in ("EPERM", "ENOSYS")
        ),
        *(
            Fault(f"refuse:{call}:{error}", measurement, rf"A system call of .* was refused .* {FILTER}", "privileged")
            for call, measurement in [("pidfd_open", "watch"), ("fcntl", "hello"), ("prlimit64", "hello")]
            for error in ("EPERM", "ENOSYS")
        ),
        Fault(
            "refuse:fsync:EPERM", "sync", rf"cannot be written to .*: Operation not permitted {FILTER}", "privileged"
        ),
        Fault("refuse:io_setup:ENOSYS", "libaio", r"a seccomp filter on this process, refuses libaio", "doctor"),
        Fault("drop:sys_admin", "watch", r"bpf\(2\) was refused .* root, but without CAP_SYS_ADMIN", "privileged"),
        Fault("drop:dac_override", "sockmap", r"may not be written: .* without CAP_DAC_OVERRIDE", "privileged"),
        Fault("refuse:io_setup:EAGAIN", "libaio", r"libaio allows \d+ I/Os .* fs\.aio-max-nr", "doctor"),
        Fault(
            "says:/proc/sys/kernel/io_uring_disabled=2 refuse:io_uring_setup:EPERM",
            "rings",
            r"kernel\.io_uring_disabled is 2",
            "doctor",
        ),
        Fault("meanwhile:truncate", "sync", r"the file ends before that", "The file was cut short", False),
    ]
UNTOUCHED = [  # what is broken is not needed here, so the measurement runs
    ("set:LABKIT_DATA=/proc/nowhere", "hello"),
    ("set:LABKIT_DATA=/proc/nowhere", "usdt"),
    ("unmount:/sys/kernel/tracing", "usdt"),
    ("refuse:io_uring_setup:EPERM", "hello"),
    ("limit:FSIZE:4096", "hello"),
    ("cpus:1", "engines"),
    ("cpus:1", "serve"),
    ("disk:tmpfs:64", "warm"),
    ("disk:overlay:0", "direct"),
    ("disk:xfs:400", "stages"),
    ("disk:btrfs:400", "direct"),
    ("disk:btrfs:400", "cold"),
]
if IS_LONG:
    UNTOUCHED += [("meanwhile:delete", "sync"), ("meanwhile:cpu", "sync")]
TRY = """
import importlib, json, warnings
warnings.simplefilter("ignore")
from labkit.errors import LabkitError, Missing
name = "{module}"
globals()[name] = importlib.import_module(f"labkit.lessons.{{name}}")
try:
    {measurement}
    print("MEASURED")
except LabkitError as error:
    print(json.dumps([isinstance(error, Missing), error.what, error.fix]))
"""


MODULES = sorted({f"labkit.lessons.{call.partition('.')[0]}" for call in MEASURE.values()})
HARSH = "unmount:/sys/kernel/tracing set:LABKIT_DATA=/proc/nowhere limit:NOFILE:8 limit:FSIZE:0 refuse:bpf:EPERM"


@pytest.fixture(scope="module")
def lab() -> Iterator[Prepared]:
    with prepared(MODULES) as started:
        yield started


def told(lab: Prepared, faults: str, measurement: str, folder: Path) -> str:
    """Return what a measurement on the broken machine prints."""
    mounted = next(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " cgroup2 " in line)
    code = TRY.format(measurement=MEASURE[measurement], module=MEASURE[measurement].partition(".")[0])
    data = folder / "data"
    data.mkdir()
    words, variables = faults.replace("CGROUP2", mounted).split(), {**labkit_variables(), "LABKIT_DATA": str(data)}
    status, out, errors = lab.run(words, code, variables, folder)
    assert status == 0, errors[-3000:]
    return out.splitlines()[-1]


def test_the_lessons_are_imported_on_a_broken_machine() -> None:
    """The other tests here break it after the imports."""
    code = f"import importlib; print(len([importlib.import_module(name) for name in {MODULES}]))"
    command = [sys.executable, ROOT / "tests/faults/broken.py", *HARSH.split(), "--", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=240)
    assert ran.stdout == f"{len(MODULES)}\n", ran.stderr[-3000:]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_named_with_who_refused_and_what_to_do(lab: Prepared, fault: Fault, tmp_path: Path) -> None:
    is_missing, what, fix = json.loads(told(lab, fault.faults, fault.measurement, tmp_path))
    assert re.search(fault.says, what), what
    assert fault.fix in fix, fix
    assert is_missing == fault.recorded, what
    assert len(what.splitlines()) == len(fix.splitlines()) == 1


@pytest.mark.parametrize(("faults", "measurement"), UNTOUCHED)
def test_what_does_not_need_it_runs_all_the_same(lab: Prepared, faults: str, measurement: str, tmp_path: Path) -> None:
    assert told(lab, faults, measurement, tmp_path) == "MEASURED"
