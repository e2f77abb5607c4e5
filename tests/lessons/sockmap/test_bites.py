# SPDX-License-Identifier: Apache-2.0
"""Lesson 09, what bites: each difference from TCP that the lesson names, by the shortcut and by TCP itself."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest
from lessons.sockmap.pair import PAIR, talk

from labkit.lessons.sockmap.shortcut import Shortcut

pytestmark = pytest.mark.bpf


def both(cut: Shortcut, script: str) -> tuple[object, object]:
    """Return what a script says by TCP and by the shortcut."""
    return talk(None, script), talk(cut, script)


def test_a_blocking_recv_may_be_woken_for_nothing(cut: Shortcut) -> None:
    """The kernel says EAGAIN (tcp_bpf_recvmsg) when a close in the other direction is acknowledged meanwhile."""
    told = talk(
        cut,
        """
        _, client, server = pair()
        said = []
        def read():
            try:
                said.append(client.recv(9).decode())
            except BlockingIOError:
                said.append("EAGAIN")
        reader = threading.Thread(target=read); reader.start()
        status = f"/proc/self/task/{reader.native_id}/stat"
        while open(status).read().rpartition(")")[2].split()[0] != "S":
            pass
        client.shutdown(socket.SHUT_WR); server.recv(9); server.sendall(b"answer"); reader.join()
        print(json.dumps(said))
        """,
    )
    assert told in (["EAGAIN"], ["answer"])  # either; a program has to stand both


def test_urgent_data_lands_in_the_stream(cut: Shortcut) -> None:
    script = """
        _, client, server = pair()
        client.sendall(b"ab"); client.send(b"!", socket.MSG_OOB); client.sendall(b"cd"); client.shutdown(socket.SHUT_WR)
        server.settimeout(9)
        got = b""
        while not got.endswith(b"cd"):
            got += server.recv(9)
        print(json.dumps(got.decode()))
        """
    assert both(cut, script) == ("abcd", "ab!cd")


def test_a_reader_that_leaves_bytes_unread_gives_a_clean_end_of_file_in_place_of_a_reset(cut: Shortcut) -> None:
    script = """
        _, client, server = pair()
        client.sendall(b"unread")
        assert server.recv(9, socket.MSG_PEEK) == b"unread"
        server.close()
        try:
            said = client.recv(9).decode()
        except ConnectionResetError:
            said = "reset"
        print(json.dumps(said))
        """
    assert both(cut, script) == ("reset", "")


def test_so_rcvlowat_is_ignored(cut: Shortcut) -> None:
    script = """
        _, client, server = pair()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
        client.sendall(b"few")
        assert server.recv(9, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"few"
        print(json.dumps(bool(select.select([server], [], [], 0)[0])))
        """
    assert both(cut, script) == (False, True)


def test_tcp_info_counts_no_byte_and_no_segment(cut: Shortcut) -> None:
    """The fields of struct tcp_info (linux/tcp.h): data_segs_out at 156, bytes_sent at 200."""
    script = """
        import struct
        _, client, server = pair()
        for _ in range(23):
            client.sendall(b"a" * 1000); server.recv(1000, socket.MSG_WAITALL)
        raw = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        print(json.dumps([struct.unpack_from("I", raw, 156)[0], struct.unpack_from("Q", raw, 200)[0]]))
        """
    assert both(cut, script) == ([23, 23_000], [0, 0])


def test_loopback_computes_no_checksum_so_the_shortcut_saves_none() -> None:
    """In a segment on lo, the field holds the sum over the pseudo-header only: the bytes were not added."""
    script = """
        import struct
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)); tap.settimeout(9)
        _, client, server = pair()
        client.sendall(b"payload"); server.recv(9)
        while not (packet := tap.recv(9999)).endswith(b"payload"):
            pass
        ip = packet[14:]; tcp = ip[20:]
        def sum16(octets):
            total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            return total
        pseudo = ip[12:20] + struct.pack("!BBH", 0, 6, len(tcp))
        print(json.dumps(struct.unpack("!H", tcp[16:18])[0] == sum16(pseudo)))
        """
    shell = f'ip link set lo up && exec {sys.executable} -c "$0"'
    command = ["unshare", "--net", "sh", "-c", shell, PAIR + textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout) is True, done.stderr
