# SPDX-License-Identifier: Apache-2.0
"""The bench's nginx: fetched in a step of its own, started by us on loopback, ended by us."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import nginx, peers, serve
from labkit.errors import Missing, WorkloadError
from labkit.running.pinning import SAME, cpus_for


@pytest.fixture
def no_nginx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without nginx, on which no download can start unnoticed."""
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("no_nginx")
def test_without_nginx_the_figure_says_which_step_fetches_it() -> None:
    step = next(each for each in serve.STEPS if each.names == ("serve.wrk",))
    with pytest.raises(Missing) as refused:
        step.measure(lambda share, note: None)
    assert refused.value.fix == "make bench-peers"


def test_it_is_unpacked_and_none_of_its_packages_scripts_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    started: list[str] = []

    def run(command: list[object], **_: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        started.append(" ".join(words))
        if "download" in words:
            (Path(words[2]) / "nginx_1_amd64.deb").touch()
        elif words[0] == "dpkg-deb":
            program = Path(words[-1]) / "usr/sbin/nginx"
            program.parent.mkdir(parents=True)
            program.touch(0o755)
        return subprocess.CompletedProcess(words, 0, "", "nginx version: nginx/1.2.3\n")

    monkeypatch.setattr(peers, "run", run)
    found = peers.fetch()
    assert found == peers.nginx() and found.is_relative_to(tmp_path / "cache")
    assert [line.split()[0] for line in started] == ["env", "dpkg-deb", str(found)]
    assert "apt-get --quiet -o APT::Sandbox::User=root download nginx" in started[0] and "--extract" in started[1]
    assert [path.name for path in (tmp_path / "cache/bench").iterdir()] == ["nginx"]


def test_a_download_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(peers, "run", lambda command, **_: subprocess.CompletedProcess(command, 100, "", "no network"))
    with pytest.raises(Missing, match="could not download"):
        peers.fetch()
    assert list((tmp_path / "cache/bench").iterdir()) == []


@contextmanager
def running() -> Iterator[str]:
    """Have the bench's nginx during a block; skip where it was not fetched."""
    try:
        peers.version(peers.nginx())
    except Missing as error:
        pytest.skip(str(error))
    with nginx.served(cpus_for(SAME)[1], 64) as address:
        yield address


def test_it_listens_on_loopback_only_and_ends_with_its_block() -> None:
    with running() as address:
        port = address.rpartition(":")[2]
        listening = subprocess.run(["ss", "-Htln", f"sport = :{port}"], capture_output=True, text=True, check=True)
        assert [line.split()[3] for line in listening.stdout.splitlines()] == [address]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5)


def test_a_server_that_does_not_start_is_told_with_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\necho 'no such directive' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(peers, "nginx", lambda: program)
    with pytest.raises(WorkloadError) as told, nginx.served(cpus_for(SAME)[1], 64):
        pass
    assert "nginx does not answer" in str(told.value) and "no such directive" in told.value.detail
