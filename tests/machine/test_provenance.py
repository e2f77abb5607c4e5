# SPDX-License-Identifier: Apache-2.0
"""What frames carry, against what the system's own tools say."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labkit.machine import provenance as module
from labkit.machine.folders import repo_folder
from labkit.machine.mounts import mount_of, mounts
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive


def run(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}
    ).stdout.strip()


def test_kernel_and_architecture_are_those_of_uname() -> None:
    found = provenance()
    assert (found["kernel"], found["architecture"]) == (run("uname", "-r"), run("uname", "-m"))


def test_cpu_model_is_a_line_of_lscpu() -> None:
    assert f" {provenance()['cpu_model']}" in run("lscpu")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only there does /proc/cpuinfo name the model")
def test_cpu_model_is_that_of_cpuinfo() -> None:
    assert f"model name\t: {provenance()['cpu_model']}\n" in Path("/proc/cpuinfo").read_text()


def test_cpu_model_is_never_empty_even_without_lscpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    module._facts.cache_clear()
    try:
        assert provenance()["cpu_model"]
    finally:
        module._facts.cache_clear()


def test_each_kind_of_cpu_is_named_where_a_machine_has_several(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As 64-bit ARM processors with large and small cores are: lscpu has a part for each kind."""
    listed = "Vendor ID: ARM\n  Model name: Cortex-A55\n    Model: 0\n  Model name: Cortex-A76\n    Model: 0\n"
    (tmp_path / "lscpu").write_text(f"#!/bin/sh\ncat <<END\nArchitecture: aarch64\n{listed}END\n")
    (tmp_path / "lscpu").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    module._facts.cache_clear()
    try:
        assert provenance()["cpu_model"] == "Cortex-A55, Cortex-A76"
    finally:
        module._facts.cache_clear()


def test_cpus_are_those_that_may_be_used() -> None:
    assert provenance()["cpus"] == int(run("nproc"))
    script = "from labkit.machine.provenance import provenance; print(provenance()['cpus'])"
    done = run("env", f"PYTHONPATH={repo_folder()}", "taskset", "--cpu-list", "0", sys.executable, "-c", script)
    assert done == "1"


def test_a_virtual_machine_is_told() -> None:
    hypervisor = [
        line.split(":")[1].strip() for line in run("lscpu").splitlines() if line.startswith("Hypervisor vendor")
    ]
    assert provenance()["virtual_machine"] == (hypervisor or [""])[0]


def test_governor_is_that_of_sysfs_or_empty() -> None:
    file = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    assert provenance()["governor"] == (file.read_text().strip() if file.exists() else "")


def test_the_disk_is_the_one_that_lsblk_describes(data_folder: Path) -> None:
    found = provenance()
    if not Path("/sys/class/block", found["device"] or "none").exists():
        pytest.skip("the data folder is on no block device")
    columns = "LOG-SEC,PHY-SEC,ROTA,RQ-SIZE,SCHED"
    told = run("lsblk", "--nodeps", "--noheadings", "--output", columns, f"/dev/{found['device']}").split()
    names = ("logical_sector_bytes", "physical_sector_bytes", "rotational", "device_queue_depth", "scheduler")
    assert [str(int(found[name]) if name != "scheduler" else found[name]) for name in names] == told


def test_mount_options_are_those_of_findmnt(data_folder: Path) -> None:
    told = run("findmnt", "--noheadings", "--output", "OPTIONS", "--target", str(data_folder)).split(",")
    assert set(provenance()["mount_options"].split(",")) == set(told)


def test_a_measurement_says_how_busy_the_machine_was_when_it_began(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("labkit.machine.provenance.PRESSURE", tmp_path)
    (tmp_path / "cpu").write_text("some avg10=3.50 avg60=0.00 avg300=0.00 total=1\n")
    with exclusive("a test"):
        (tmp_path / "cpu").write_text("some avg10=97.00 avg60=0.00 avg300=0.00 total=1\n")
        found = provenance()
    assert (found["pressure_before"], found["pressure"]) == ({"cpu": 3.5}, {"cpu": 97.0})


def test_governors_idle_states_and_pressure_are_those_of_the_kernel() -> None:
    found, cpus = provenance(), Path("/sys/devices/system/cpu")
    assert set(found["governors"]) == {f.read_text().strip() for f in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    assert set(found["idle_states"]) == {f.read_text().strip() for f in cpus.glob("cpu0/cpuidle/state*/name")}
    assert set(found["pressure"]) == {file.name for file in Path("/proc/pressure").glob("[cim]*[uoy]")}
    assert all(0 <= share <= 100 for share in found["pressure"].values())


def test_labkit_is_the_version_of_the_project() -> None:
    import tomllib

    project = tomllib.loads((repo_folder() / "pyproject.toml").read_text())["project"]
    assert provenance()["labkit"] in (project["version"], "unknown")


@pytest.mark.parametrize("path", ["/proc/self/status", "/dev", "/sys", __file__])
def test_filesystem_is_what_findmnt_says(path: str) -> None:
    kind = run("findmnt", "--noheadings", "--output", "FSTYPE", "--target", path)
    assert provenance(path=Path(path))["filesystem"] == kind


def test_device_is_the_one_that_stat_numbers(data_folder: Path) -> None:
    found = provenance()
    number = os.stat(data_folder).st_dev
    node = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if node.exists():
        assert found["device"] == node.resolve().name
    else:  # overlayfs, or a file system with numbers of its own
        assert found["device"]


@pytest.mark.bpf
def test_a_mount_that_covers_another_is_the_one_that_counts(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with blanks"
    folder.mkdir()
    inner = folder / "inner"
    inner.mkdir()
    script = f"""
mount -t tmpfs first '{folder}'; mkdir '{inner}'; mount -t tmpfs second '{inner}'; mount -t ramfs third '{folder}'
cd / && PYTHONPATH={repo_folder()} {sys.executable} -c '
import sys
from pathlib import Path
from labkit.machine.mounts import mount_of
mount = mount_of(Path(sys.argv[1]))
print(mount.kind, mount.source, mount.folder)' '{folder}'"""
    assert run("unshare", "--mount", "sh", "-ec", script) == f"ramfs third {folder}"


def test_mounts_are_those_of_findmnt() -> None:
    listed = run("findmnt", "--noheadings", "--list", "--output", "TARGET").splitlines()
    assert sorted(str(mount.folder) for mount in mounts()) == sorted(line.rstrip() for line in listed)


def test_read_only_is_seen() -> None:
    # findmnt says nothing, and exits with 1, where nothing is read-only
    told = subprocess.run(["findmnt", "-nl", "-o", "TARGET", "-O", "ro"], capture_output=True, text=True, check=False)
    listed = {line.split()[0] for line in told.stdout.splitlines()}
    assert {str(mount.folder) for mount in mounts() if "ro" in mount.options.split(",")} == listed


def test_a_path_that_is_not_there_leaves_the_file_system_empty() -> None:
    found = provenance(path=Path("/no/such/file"))
    assert (found["filesystem"], found["device"]) == ("", "")


def test_the_table_of_mounts_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reads = []

    def counted() -> Any:
        reads.append(1)
        return mounts()

    monkeypatch.setattr("labkit.machine.mounts.mounts", counted)
    provenance(path=tmp_path)
    assert len(reads) == 1


def test_an_absent_path_has_no_mount() -> None:
    with pytest.raises(FileNotFoundError):
        mount_of(Path("/no/such/file"))


def test_command_is_quoted_as_a_shell_wants_it() -> None:
    assert provenance(command=["fio", "--name=a b"])["command"] == "fio '--name=a b'"
    assert provenance(command="fio --name=x")["command"] == "fio --name=x"


def test_time_is_now_in_utc() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    told = datetime.fromisoformat(provenance()["time"])
    assert before <= told <= datetime.now(UTC) and told.utcoffset() is not None


def test_what_is_told_replaces_what_is_found() -> None:
    found = provenance(lost_events=7, warnings=["noisy"], repeats=5)
    assert (found["lost_events"], found["warnings"], found["repeats"]) == (7, ["noisy"], 5)
    assert (provenance()["lost_events"], provenance()["warnings"]) == (0, [])


def test_warnings_of_two_frames_are_two_lists() -> None:
    provenance()["warnings"].append("mine")
    assert provenance()["warnings"] == []


def test_a_frame_carries_it_and_json_too() -> None:
    frame = pd.DataFrame({"count": [23]})
    frame.attrs.update(provenance())
    assert copy.deepcopy(frame).attrs == frame.attrs
    assert json.loads(json.dumps(frame.attrs)) == frame.attrs


def test_lscpu_runs_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    provenance()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(subprocess, "run", never)
    assert provenance()["cpu_model"]
