# SPDX-License-Identifier: Apache-2.0
"""Where kernels come from, and what a failed fetch leaves; a small program takes the place of apt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labkit.errors import Missing
from labkit.machine.kernels import fetch


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs before all others; the cache folder is empty."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LABKIT_DEBIAN_MIRROR", raising=False)
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_machines_own_mirrors_are_used(play: Path) -> None:
    program(
        play,
        "apt-get",
        """cat <<END
Other bookworm mirror:/other
Debian bookworm-security mirror:/security
Debian bookworm-updates mirror:/updates
Debian bookworm mirror:/debian
END""",
    )
    assert fetch._mirrors() == ("mirror:/debian", "mirror:/security")


def test_a_mirror_that_is_named_goes_first(play: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(play, "apt-get", "exit 1")
    monkeypatch.setenv("LABKIT_DEBIAN_MIRROR", "mirror:/mine")
    assert fetch._mirrors() == ("mirror:/mine", "")


def test_a_machine_without_a_debian_mirror_is_told_how_to_name_one(play: Path) -> None:
    program(play, "apt-get", "echo Ubuntu noble mirror:/ubuntu")
    with pytest.raises(Missing) as caught:
        fetch.fetch("6.12")
    assert "LABKIT_DEBIAN_MIRROR=" in caught.value.fix


def test_a_fetch_that_fails_leaves_nothing_and_shows_the_words(play: Path, tmp_path: Path) -> None:
    program(
        play, "apt-get", 'case "$*" in *update*) echo "E: no route" >&2; exit 100;; esac; echo Debian trixie mirror:/'
    )
    with pytest.raises(Missing) as caught:
        fetch.fetch("6.12")
    assert "E: no route" in str(caught.value.detail)
    assert list((tmp_path / "cache/kernels").iterdir()) == []


def test_a_kernel_that_is_there_needs_no_network(play: Path, tmp_path: Path) -> None:
    program(play, "apt-get", "exit 100")
    boot = tmp_path / "cache/kernels/6.12/boot"
    boot.mkdir(parents=True)
    (boot / "vmlinuz-6.12.9-amd64").touch()
    kernel = fetch.fetch("6.12")
    assert (kernel.release, kernel.image) == ("6.12.9-amd64", boot / "vmlinuz-6.12.9-amd64")


@pytest.mark.parametrize(
    ("depends", "parts"),
    [
        ("linux-base (>= 4.3), kmod", []),
        (
            "linux-base-7.3-amd64 (= 7.3-1), linux-binary-7.3-amd64 (= 7.3-1), linux-modules-7.3-amd64 (= 7.3-1)",
            ["linux-base-7.3-amd64", "linux-binary-7.3-amd64", "linux-modules-7.3-amd64"],
        ),
    ],
)
def test_a_kernel_in_several_packages_is_fetched_whole(
    play: Path, tmp_path: Path, depends: str, parts: list[str]
) -> None:
    program(play, "apt-get", "echo Debian trixie mirror:/")
    program(play, "apt-cache", f"echo 'Package: linux-image-7.3-amd64'; echo 'Depends: {depends}'")
    assert fetch.Apt(tmp_path / "apt", "trixie").parts("linux-image-7.3-amd64") == parts


@pytest.mark.parametrize(("suite", "asked"), [("trixie", True), ("trixie-backports", False), ("sid", False)])
def test_only_a_release_has_security_updates(play: Path, tmp_path: Path, suite: str, asked: bool) -> None:
    program(play, "apt-get", "echo Debian trixie mirror:/main; echo Debian trixie-security mirror:/security")
    apt = fetch.Apt(tmp_path / "apt", suite)
    assert (f"{suite}-security" in (apt.folder / "sources.list").read_text()) == asked
