# SPDX-License-Identifier: Apache-2.0
"""Headers are found in the order of their worth, in every layout that distributions use."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from labkit.errors import Missing
from labkit.machine import headers
from labkit.machine.header_trial import why_not
from labkit.machine.headers import kernel_headers

RELEASE = "6.18.44-test"
ARCH = {"x86_64": "x86", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "headers"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def flavour(folder: Path, release: str) -> None:
    """Write what is generated for one flavour of a kernel."""
    write(folder / "include/generated/autoconf.h")
    write(folder / "include/generated/utsrelease.h", f'#define UTS_RELEASE "{release}"\n')
    write(folder / "arch" / ARCH / "include/generated/asm/generated.h")


def shared(folder: Path) -> None:
    """Write what all flavours of a kernel share."""
    write(folder / "include/linux/kconfig.h", "shared")
    write(folder / "arch" / ARCH / "include/asm/shared.h")
    write(folder / "Makefile")


def debian(root: Path, version: str, arch: str = "amd64") -> Path:
    """Lay out Debian's pair of header packages, whatever the architecture."""
    own = root / f"usr/src/linux-headers-{version}-{arch}"
    flavour(own, f"{version}-{arch}")
    write(own / "Makefile", f"include /usr/src/linux-headers-{version}-common/Makefile\n")
    shared(own.with_name(f"linux-headers-{version}-common"))
    return own


def ubuntu(root: Path, version: str) -> Path:
    """Lay out Ubuntu's two packages: the flavour links to the shared one."""
    src = root / "usr/src"
    own = src / f"linux-headers-{version}-generic"
    flavour(own, f"{version}-generic")
    shared(src / f"linux-headers-{version}")
    (own / "Makefile").symlink_to(f"../linux-headers-{version}/Makefile")
    (own / "include/linux").symlink_to(f"../../linux-headers-{version}/include/linux")
    return own


def test_exact_headers_come_first(root: Path) -> None:
    build = root / "lib/modules" / RELEASE / "build"
    flavour(build, RELEASE)
    shared(build)
    debian(root, "6.1.0-56")
    found = kernel_headers(root=root, release=RELEASE)
    assert (found.kind, found.path, found.exact, found.environment) == ("exact", build, True, {})


def test_exact_headers_may_be_split_in_build_and_source(root: Path) -> None:
    flavour(root / "lib/modules" / RELEASE / "build", RELEASE)
    shared(root / "lib/modules" / RELEASE / "source")
    assert kernel_headers(root=root, release=RELEASE).kind == "exact"


def test_a_dangling_build_link_is_not_exact(root: Path) -> None:
    modules = root / "lib/modules" / RELEASE
    modules.mkdir(parents=True)
    (modules / "build").symlink_to("/usr/src/not-in-this-container")
    debian(root, "6.1.0-56")
    assert kernel_headers(root=root, release=RELEASE).kind == "fallback"


def test_the_package_of_the_running_kernel_is_exact_without_lib_modules(root: Path) -> None:
    debian(root, "6.12.9")
    debian(root, "6.1.0-56")
    found = kernel_headers(root=root, release="6.1.0-56-amd64")
    assert (found.kind, found.release) == ("exact", "6.1.0-56-amd64")
    assert found.environment == {"BCC_KERNEL_SOURCE": str(found.path)}


def test_kheaders_come_before_a_package(root: Path) -> None:
    archive = root / "sys/kernel/kheaders.tar.xz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:xz") as tar:
        member = tarfile.TarInfo("./include/linux/kconfig.h")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"mine"))
    debian(root, "6.1.0-56")
    found = kernel_headers(root=root, release=RELEASE)
    assert (found.kind, found.exact) == ("kheaders", True)
    assert (found.path / "include/linux/kconfig.h").read_text() == "mine"


def test_an_unreadable_kheaders_is_passed_over(root: Path, cache: Path) -> None:
    write(root / "sys/kernel/kheaders.tar.xz", "not an archive")
    debian(root, "6.1.0-56")
    assert kernel_headers(root=root, release=RELEASE).kind == "fallback"
    assert [entry for entry in cache.iterdir() if "kheaders" in entry.name] == []


@pytest.mark.parametrize("arch", ["amd64", "arm64", "rt-amd64"])
def test_debians_pair_is_merged(root: Path, arch: str) -> None:
    debian(root, "6.1.0-56", arch)
    found = kernel_headers(root=root, release=RELEASE)
    assert (found.kind, found.exact, found.release) == ("fallback", False, f"6.1.0-56-{arch}")
    for name in ("include/linux/kconfig.h", "include/generated/autoconf.h", "Makefile"):
        assert (found.path / name).is_file()
    assert (found.path / "arch" / ARCH / "include/asm/shared.h").is_file()
    assert (found.path / "arch" / ARCH / "include/generated/asm/generated.h").is_file()


def test_the_merged_tree_holds_links_only(root: Path) -> None:
    debian(root, "6.1.0-56")
    path = kernel_headers(root=root, release=RELEASE).path
    assert all(entry.is_symlink() or entry.is_dir() for entry in path.rglob("*"))


def test_ubuntus_own_tree_is_used_as_it_is(root: Path) -> None:
    own = ubuntu(root, "6.8.0-45")
    found = kernel_headers(root=root, release=RELEASE)
    assert (found.kind, found.path) == ("fallback", own)


def test_the_newest_package_is_taken(root: Path) -> None:
    for version in ("6.9.7", "6.12.57+deb13", "6.1.0-56"):
        debian(root, version)
    assert kernel_headers(root=root, release=RELEASE).release == "6.12.57+deb13-amd64"


def test_half_of_a_pair_is_passed_over(root: Path) -> None:
    debian(root, "6.1.0-56")
    flavour(root / "usr/src/linux-headers-6.12.9-amd64", "6.12.9-amd64")
    assert kernel_headers(root=root, release=RELEASE).release == "6.1.0-56-amd64"


def test_another_architecture_is_passed_over(root: Path) -> None:
    own = debian(root, "6.1.0-56")
    (own / "arch" / ARCH).rename(own / "arch/another")
    with pytest.raises(Missing):
        kernel_headers(root=root, release=RELEASE)


def test_a_second_call_makes_nothing(root: Path, cache: Path) -> None:
    debian(root, "6.1.0-56")
    first = kernel_headers(root=root, release=RELEASE).path
    before = first.stat().st_mtime_ns
    assert kernel_headers(root=root, release=RELEASE).path == first
    assert first.stat().st_mtime_ns == before
    assert list(cache.iterdir()) == [first]


def test_a_reinstalled_package_is_merged_again(root: Path) -> None:
    debian(root, "6.1.0-56")
    first = kernel_headers(root=root, release=RELEASE).path
    write(root / "usr/src/linux-headers-6.1.0-56-common/include/new.h")
    replacement = root / "kconfig.h"  # as dpkg does: a new file renamed over the old one
    write(replacement, "upgraded")
    replacement.rename(root / "usr/src/linux-headers-6.1.0-56-common/include/linux/kconfig.h")
    second = kernel_headers(root=root, release=RELEASE).path
    assert second != first
    assert (second / "include/new.h").is_file()


def test_processes_that_race_get_the_same_whole_tree(root: Path, cache: Path) -> None:
    debian(root, "6.1.0-56")
    code = (
        "import sys; from pathlib import Path; from labkit.machine.headers import kernel_headers;"
        "sys.stdin.readline(); print(kernel_headers(root=Path(sys.argv[1]), release='x').path)"
    )
    command = [sys.executable, "-c", code, str(root)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    paths = {racer.communicate()[0].strip() for racer in racers}
    assert [str(entry) for entry in cache.iterdir()] == list(paths)


def test_losing_the_race_keeps_the_winners_tree(cache: Path) -> None:
    def lose(aside: Path) -> None:
        write(aside / "mine")
        write(aside.parent / f"tree-{key}" / "theirs")

    key = headers._cached("tree", ["k"], lambda aside: None).name.removeprefix("tree-")
    (cache / f"tree-{key}").rmdir()
    assert (headers._cached("tree", ["k"], lose) / "theirs").exists()
    assert [entry.name for entry in cache.iterdir()] == [f"tree-{key}"]


@pytest.mark.parametrize(("distribution", "package"), [("debian", "headers-"), ("ubuntu", "headers-generic")])
def test_no_headers_names_the_package(root: Path, distribution: str, package: str) -> None:
    write(root / "etc/os-release", f"NAME=x\nID={distribution}\n")
    with pytest.raises(Missing) as caught:
        kernel_headers(root=root, release=RELEASE)
    assert f"apt-get install linux-{package}" in caught.value.fix


def test_this_machines_headers_agree_with_the_kernel() -> None:
    found = kernel_headers()
    running = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout.strip()
    assert found.exact == (found.release == running)
    assert found.kind in str(found) and found.release in str(found)


def test_headers_that_do_not_compile_are_passed_over(root: Path) -> None:
    debian(root, "6.1.0-56")
    debian(root, "6.12.9")
    found = kernel_headers(
        root=root, release=RELEASE, works=lambda each: "x.h:1: error" if "6.12" in each.release else ""
    )
    assert found.release == "6.1.0-56-amd64"
    assert "those of 6.12.9-amd64 in" in found.passed_over and "x.h:1: error" in found.passed_over


def test_where_none_compiles_the_best_are_kept(root: Path) -> None:
    debian(root, "6.1.0-56")
    debian(root, "6.12.9")
    assert kernel_headers(root=root, release=RELEASE, works=lambda each: "error").release == "6.12.9-amd64"


@pytest.mark.bpf
def test_a_trial_tells_headers_that_clang_cannot_read(tmp_path: Path) -> None:
    good = kernel_headers()
    tree = tmp_path / "tree"
    (tree / "include/linux").mkdir(parents=True)
    for source, target in ((good.path, tree), (good.path / "include", tree / "include")):
        for entry in source.iterdir():
            if not (target / entry.name).exists():
                (target / entry.name).symlink_to(entry)
    for entry in (good.path / "include/linux").iterdir():
        (tree / "include/linux" / entry.name).symlink_to(entry)
    environment = {headers.CHOICE: str(tree)}
    assert why_not(tree, environment, headers.CHOICE, tmp_path / "one") == ""
    broken = tree / "include/linux/sched.h"
    broken.unlink()
    broken.write_text("this is too new\n")
    assert "sched.h:1" in why_not(tree, environment, headers.CHOICE, tmp_path / "other")
    assert why_not(tree, environment, headers.CHOICE, tmp_path / "one") == ""  # tried once
