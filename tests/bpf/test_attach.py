# SPDX-License-Identifier: Apache-2.0
"""What is attached to a cgroup or to a map: bpftool is the witness."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labkit.bpf import attach
from labkit.bpf.attach import CGROUP_SOCK_OPS, SK_MSG_VERDICT, attached_to_cgroup, attached_to_map
from labkit.bpf.program import Program
from labkit.errors import AttachError
from labkit.running.cgroup import Cgroup

pytestmark = pytest.mark.bpf


def bpftool(*words: str | Path) -> Any:
    told = subprocess.run(["bpftool", "-j", *map(str, words)], capture_output=True, check=True).stdout
    return json.loads(told.strip() or "[]")


def attached(folder: Path) -> list[tuple[str, str]]:
    return [(entry["attach_type"], entry["name"]) for entry in bpftool("cgroup", "show", folder)]


@pytest.fixture
def note():
    with Program("sockmap") as program:
        yield program.load_function("note_connection", "SOCK_OPS")


def test_it_is_on_the_cgroup_inside_the_block_and_gone_after_it(note: int) -> None:
    with Cgroup() as cgroup:
        with attached_to_cgroup(note, cgroup.path, CGROUP_SOCK_OPS):
            assert attached(cgroup.path) == [("cgroup_sock_ops", "note_connection")]
        assert attached(cgroup.path) == []


def test_it_is_on_no_other_cgroup(note: int) -> None:
    with Cgroup() as cgroup, Cgroup() as other:
        with attached_to_cgroup(note, cgroup.path, CGROUP_SOCK_OPS):
            assert attached(other.path) == attached(cgroup.path.parent) == []


def test_it_is_a_link_which_the_kernel_removes_with_the_process(note: int) -> None:
    with Cgroup() as cgroup, attached_to_cgroup(note, cgroup.path, CGROUP_SOCK_OPS):
        links = [link for link in bpftool("link", "list") if link.get("cgroup_id") == cgroup.path.stat().st_ino]
        assert len(links) == 1


def test_without_links_it_is_attached_and_detached_the_old_way(note: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach, "_link", lambda *_: -22)
    with Cgroup() as cgroup:
        with attached_to_cgroup(note, cgroup.path, CGROUP_SOCK_OPS):
            assert attached(cgroup.path) == [("cgroup_sock_ops", "note_connection")]
        assert attached(cgroup.path) == []


@pytest.mark.parametrize("links", [True, False])
def test_a_program_of_another_kind_is_refused_in_words(links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(attach, "_link", lambda *_: -22)
    with Program("sockmap") as program, Cgroup() as cgroup:
        send = program.load_function("send_message", "SK_MSG")
        with pytest.raises(AttachError, match=r"could not be attached to the cgroup .*: Invalid argument"):
            with attached_to_cgroup(send, cgroup.path, CGROUP_SOCK_OPS):
                pass
        assert attached(cgroup.path) == []


def test_a_file_that_is_no_map_is_refused_in_words() -> None:
    with Program("sockmap") as program, open(os.devnull) as file:
        send = program.load_function("send_message", "SK_MSG")
        with pytest.raises(AttachError, match="could not be attached to the map of sockets"):
            with attached_to_map(send, file.fileno(), SK_MSG_VERDICT):
                pass


def test_a_map_lets_go_after_the_block() -> None:
    with Program("sockmap") as program:
        send, sockets = program.load_function("send_message", "SK_MSG"), program.map_fd("sockets")
        with attached_to_map(send, sockets, SK_MSG_VERDICT):
            pass
        with attached_to_map(send, sockets, SK_MSG_VERDICT):  # one at a time: it would be refused if the first were on
            pass
