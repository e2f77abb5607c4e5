# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: sockets are distinguished from files and from each other, by protocol and by the other end."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from pathlib import Path

import pytest

import labkit
from labkit.lessons.your_program.sockets import open_before

# one process, its own client and server; it draws what it sends, and writes that to a file
TALK = """
import json, os, socket, sys
sent = {}
def talk(server, client, size):
    server.listen()
    client.connect(server.getsockname())
    peer, _ = server.accept()
    for n in range(23):
        client.sendall(b"x" * size)
        peer.recv(size, socket.MSG_WAITALL)
    return size * 23
open(sys.argv[1] + "/file", "wb", 0).write(b"y" * 997)
open(sys.argv[1] + "/file", "rb", 0).read(997)
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    server = socket.socket(family)
    server.bind((host, 0))
    port = server.getsockname()[1]
    sent[f"TCP to {'[::1]' if ':' in host else host}:{port}"] = [0, talk(server, socket.socket(family), 100)]
    sent[f"TCP from {host}"] = [2300, 0]
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1] + "/listens")
sent["Unix to " + sys.argv[1] + "/listens"] = [0, talk(server, socket.socket(socket.AF_UNIX), 7)]
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("127.0.0.1", 0))
two = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
two.sendto(b"z" * 13, one.getsockname())
one.recv(100)
sent["UDP at 127.0.0.1"] = [13, 0]
sent["(UDP socket)"] = [0, 13]
with open(sys.argv[1] + "/file", "rb", 0) as source, open(sys.argv[1] + "/copy", "wb", 0) as copy:
    os.sendfile(copy.fileno(), source.fileno(), 0, 997)
    os.copy_file_range(source.fileno(), copy.fileno(), 500)
    os.write(os.dup(copy.fileno()), b"d" * 11)
    os.write(os.dup2(copy.fileno(), 99), b"d" * 13)
sent[sys.argv[1] + "/file"] = [997 + 997 + 500, 997]
sent[sys.argv[1] + "/copy"] = [0, 997 + 500 + 11 + 13]
json.dump(sent, open(sys.argv[1] + "/sent", "w"))
"""


@pytest.mark.bpf
def test_each_socket_has_its_protocol_its_other_end_and_its_bytes() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # a name of more than 79 bytes is cut
        frame = labkit.watch("files", command=["/usr/bin/python3", "-c", TALK, folder])
        sent = json.loads(Path(folder, "sent").read_text())
    found = {row["path"]: [row["read_bytes"], row["written_bytes"]] for row in frame.to_dict("records")}
    assert len(sent) == 9
    assert {name: found.get(name) for name in sent} == sent


def test_a_socket_that_was_open_before_is_looked_up_in_proc(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        local = socket.socket(socket.AF_UNIX)
        local.bind(str(tmp_path / "here"))

        def told(one: socket.socket) -> str:
            return open_before(os.getpid(), os.readlink(f"/proc/self/fd/{one.fileno()}"))

        with client, local:
            assert told(client) == f"TCP to 127.0.0.1:{port}"
            assert told(server) == f"TCP at 127.0.0.1:{port}"
            assert told(six) == f"TCP at [::1]:{six.getsockname()[1]}"
            assert told(local) == f"Unix at {tmp_path}/here"
    assert open_before(os.getpid(), "socket:[1]") == "(socket:[1])"
