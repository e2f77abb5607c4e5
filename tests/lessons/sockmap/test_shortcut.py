# SPDX-License-Identifier: Apache-2.0
"""Lesson 09: each message takes the shortcut, every byte arrives, no other process is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from lessons.sockmap.pair import PAIR, talk

from labkit.errors import WorkloadError
from labkit.lessons import sockmap
from labkit.lessons.sockmap.shortcut import Shortcut
from labkit.lessons.sockmap.slices import SHORTCUT, TCP, UNIX
from labkit.machine.doctor import helpers
from labkit.machine.folders import repo_folder
from labkit.running.workload import Workload

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept


# -- where the messages go ------------------------------------------------------------------------------


@bpf
def test_each_message_takes_the_shortcut_and_none_is_a_segment() -> None:
    row = sockmap.proof(997).set_index("arm").loc[SHORTCUT]
    assert row["redirects"] == row["messages"] == 1 + 2 * 997
    assert row["misses"] == row["data_segments"] == 0
    assert row["lo_packets"] < row["messages"] / 2  # the handshake and the FINs, and what others send meanwhile


@bpf
def test_where_the_kernel_names_no_network_namespace_messages_take_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux 5.10, whose sockops programs have no bpf_get_netns_cookie()."""
    monkeypatch.setattr(helpers, "may_call", lambda *_: False)
    row = sockmap.proof(97).set_index("arm").loc[SHORTCUT]
    assert row["redirects"] == row["messages"] == 1 + 2 * 97


@bpf
def test_a_pair_outside_the_cgroup_is_untouched() -> None:
    row = sockmap.proof(997).set_index("arm").loc[TCP]
    assert row["redirects"] == row["misses"] == 0
    assert row["data_segments"] == 997  # one per round trip: each TCP socket counts what it sent
    assert row["lo_packets"] >= row["messages"]


@bpf
def test_a_unix_socket_does_not_meet_the_shortcut() -> None:
    row = sockmap.proof(997).set_index("arm").loc[UNIX]
    assert row["redirects"] == row["misses"] == row["data_segments"] == 0


@bpf
def test_lo_carries_the_handshake_and_the_fin_and_nothing_else() -> None:
    """In its own network namespace, where no other process uses lo: the count is exact."""
    script = "from labkit.lessons import sockmap; print(sockmap.proof(499).to_json(orient='records'))"
    inside = f"ip link set lo up && exec {sys.executable} -c {json.dumps(script)}"
    command = ["unshare", "--net", "sh", "-c", inside]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=repo_folder())
    assert done.returncode == 0, done.stderr
    tcp, short, unix = json.loads(done.stdout)
    assert short["lo_packets"] <= 8  # SYN, SYN-ACK, ACK; FIN, ACK, FIN, ACK
    assert tcp["lo_packets"] >= tcp["messages"]
    assert unix["lo_packets"] == 0


@bpf
@pytest.mark.parametrize(
    ("family", "listen", "connect"),
    [("AF_INET", "127.0.0.1", "127.0.0.1"), ("AF_INET6", "::1", "::1"), ("AF_INET", "0.0.0.0", "127.9.9.9")],
)
def test_ipv4_ipv6_and_all_of_127_are_at_home(cut: Shortcut, family: str, listen: str, connect: str) -> None:
    told = talk(
        cut,
        f"""
        listener = socket.create_server(({listen!r}, 0), family=socket.{family})
        client = socket.create_connection(({connect!r}, listener.getsockname()[1]))
        server, _ = listener.accept()
        client.sendall(b"ping"); got = server.recv(9); server.sendall(b"pong")
        print(json.dumps([got.decode(), client.recv(9).decode()]))
        """,
    )
    assert told == ["ping", "pong"]
    assert cut.counts().redirects == 2


@bpf
def test_an_ipv4_client_of_an_ipv6_server_takes_the_shortcut(cut: Shortcut) -> None:
    told = talk(
        cut,
        """
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        client = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
        server, peer = listener.accept()
        client.sendall(b"ping"); got = server.recv(9); server.sendall(b"pong")
        print(json.dumps([peer[0], got.decode(), client.recv(9).decode()]))
        """,
    )
    assert told == ["::ffff:127.0.0.1", "ping", "pong"]
    assert cut.counts().redirects == 2


@bpf
def test_the_same_addresses_in_another_network_namespace_are_another_connection(cut: Shortcut) -> None:
    """Two connections with equal addresses and ports: each message reaches its own other end."""
    if not helpers.may_call("sockops", helpers.GET_NETNS_COOKIE):
        pytest.skip("this kernel does not tell sockops programs the network namespace (5.10 does not)")
    talker = """
        listener = socket.socket(); listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 40123)); listener.listen()
        client = socket.socket(); client.bind(("127.0.0.1", 40124)); client.connect(("127.0.0.1", 40123))
        server, _ = listener.accept()
        print("open", flush=True); sys.stdin.readline()
        client.sendall(sys.argv[1].encode()); print(server.recv(9).decode(), flush=True); sys.stdin.readline()
    """
    shell = f'ip link set lo up && exec {sys.executable} -c "$0" "$1"'
    script = PAIR + textwrap.dedent(talker)
    pipe = subprocess.PIPE
    talkers = [
        subprocess.Popen(
            cut.cgroup.command(["unshare", "--net", "sh", "-c", shell, script, word]),
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        for word in ("mine", "yours")
    ]
    for talker_process in talkers:
        assert talker_process.stdout.readline() == "open\n"
    for talker_process, word in zip(talkers, ("mine", "yours"), strict=True):
        talker_process.stdin.write("\n")
        talker_process.stdin.flush()
        assert talker_process.stdout.readline() == f"{word}\n"
    for talker_process in talkers:
        talker_process.communicate("\n", timeout=30)
    assert cut.counts().redirects == 2


@bpf
def test_a_peer_that_is_not_on_this_machine_is_left_to_tcp(cut: Shortcut, tmp_path: Path) -> None:
    """Two network namespaces joined by a cable: for the kernel's TCP that is another machine."""
    server = "s = socket.create_server(('10.99.0.2', 0)); print(s.getsockname()[1], flush=True); c, _ = s.accept(); "
    server += "c.sendall(all_of(c)); c.close()"
    client = "c = socket.create_connection(('10.99.0.2', int(sys.argv[1]))); c.sendall(b'far'); c.shutdown(1); "
    client += "print(json.dumps(all_of(c).decode()))"
    cable = f"""
        set -e
        ip link add near type veth peer name far
        unshare --net sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60' &
        while [ ! -s {tmp_path}/pid ]; do :; done
        there=$(cat {tmp_path}/pid)
        while [ "$(readlink /proc/$there/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do :; done
        ip link set far netns $there
        ip addr add 10.99.0.1/24 dev near && ip link set near up
        nsenter --net=/proc/$there/ns/net sh -c 'ip addr add 10.99.0.2/24 dev far && ip link set far up'
        mkfifo {tmp_path}/port
        nsenter --net=/proc/$there/ns/net "$0" -c "$1" > {tmp_path}/port &
        read port < {tmp_path}/port
        "$0" -c "$2" $port
        kill $there
    """
    command = ["unshare", "--net", "sh", "-c", cable, sys.executable, PAIR + server, PAIR + client]
    done = subprocess.run(cut.cgroup.command(command), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == '"far"', done.stderr
    counted = cut.counts()
    assert (counted.skips, counted.inserts, counted.redirects, counted.misses) == (2, 0, 0, 0)


@bpf
def test_a_client_whose_server_is_outside_the_cgroup_falls_back_to_tcp(cut: Shortcut) -> None:
    """A look-up that misses is no "permission denied": the message goes by TCP, and is counted."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = f"""
        client = socket.create_connection(("127.0.0.1", {listener.getsockname()[1]}))
        client.sendall(b"ping"); client.sendall(b"pang")
        print(json.dumps(all_of(client).decode()))
        """
        command = cut.cgroup.command([sys.executable, "-c", PAIR + textwrap.dedent(script)])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            server, _ = listener.accept()
            with server:
                got = b""
                while len(got) < 8:
                    got += server.recv(9)
                server.sendall(b"pong")
            told, _ = client.communicate(timeout=30)
    assert (got, json.loads(told)) == (b"pingpang", "pong")
    counted = cut.counts()
    assert (counted.redirects, counted.misses, counted.inserts) == (0, 2, 1)


# -- not a byte lost ------------------------------------------------------------------------------------


@bpf
@pytest.mark.parametrize("ipv6", [False, True])
def test_a_hundred_million_bytes_arrive_intact_over_connections_that_come_and_go(ipv6: bool) -> None:
    (row,) = sockmap.integrity(10**8, 64, ipv6=ipv6).to_dict("records")
    assert row["sent_bytes"] == row["received_bytes"] == 10**8
    assert row["wrong_bytes"] == row["misses"] == row["insert_failures"] == 0
    assert row["opened_connections"] > 64
    assert row["redirects"] == row["messages"]
    assert row["inserts"] == 2 * row["opened_connections"]


@bpf
@pytest.mark.parametrize("max_sockets", [2, 37, 64])
def test_a_map_that_is_full_costs_speed_and_no_byte(max_sockets: int) -> None:
    (row,) = sockmap.integrity(5_000_011, 64, max_sockets=max_sockets).to_dict("records")
    assert row["received_bytes"] == 5_000_011
    assert row["wrong_bytes"] == 0
    assert row["insert_failures"] > 0
    assert row["inserts"] + row["insert_failures"] == 2 * row["opened_connections"]
    assert row["redirects"] < row["messages"]


@bpf
def test_bytes_sent_before_a_close_can_still_be_read(cut: Shortcut) -> None:
    told = talk(
        cut,
        """
        _, client, server = pair()
        for _ in range(23):
            client.sendall(b"x" * 40_009)
        client.close()
        print(json.dumps(len(all_of(server))))
        """,
    )
    assert told == 23 * 40_009


@bpf
def test_a_half_closed_connection_carries_the_answer(cut: Shortcut) -> None:
    told = talk(
        cut,
        """
        _, client, server = pair()
        client.sendall(b"question"); client.shutdown(socket.SHUT_WR)
        asked = all_of(server)
        server.sendall(b"answer"); server.close()
        answer = b""
        while True:
            try:
                part = client.recv(99)
            except BlockingIOError:  # the FIN was acknowledged just now
                continue
            if not part:
                break
            answer += part
        print(json.dumps([asked.decode(), answer.decode()]))
        """,
    )
    assert told == ["question", "answer"]
    assert cut.counts().redirects == 2


@bpf
def test_a_message_is_seen_by_poll_epoll_and_peek(cut: Shortcut) -> None:
    told = talk(
        cut,
        """
        _, client, server = pair()
        edge = select.epoll(); edge.register(server, select.EPOLLIN | select.EPOLLET)
        before = [bool(select.select([server], [], [], 0)[0]), edge.poll(0)]
        client.sendall(b"ping")
        seen = [bool(select.select([server], [], [], 9)[0]), len(edge.poll(9)), len(edge.poll(0))]
        print(json.dumps([before, seen, server.recv(9, socket.MSG_PEEK).decode(), server.recv(9).decode()]))
        """,
    )
    assert told == [[False, []], [True, 1, 0], "ping", "ping"]


@bpf
def test_a_message_does_not_overtake_one_sent_before_by_tcp(cut: Shortcut) -> None:
    """TCP_DEFER_ACCEPT holds the server's end back until data comes: the first message cannot find it in the map."""
    told = talk(
        cut,
        """
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
        client = socket.create_connection(listener.getsockname())
        client.sendall(b"one "); server, _ = listener.accept(); client.sendall(b"two "); client.sendall(b"three")
        client.close()
        print(json.dumps(all_of(server).decode()))
        """,
    )
    assert told == "one two three"
    counted = cut.counts()
    assert (counted.redirects, counted.misses, counted.inserts) == (0, 3, 2)


@bpf
def test_a_message_does_not_overtake_one_sent_with_the_syn(cut: Shortcut) -> None:
    """TCP Fast Open: the first message goes before the connection is established."""
    script = """
        open("/proc/sys/net/ipv4/tcp_fastopen", "w").write(str(0x1 | 0x2 | 0x4 | 0x200 | 0x400))
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.socket()
        client.sendto(b"one ", socket.MSG_FASTOPEN, listener.getsockname())
        server, _ = listener.accept(); client.sendall(b"two "); client.sendall(b"three"); client.close()
        print(json.dumps(all_of(server).decode()))
        """
    shell = f'ip link set lo up && exec {sys.executable} -c "$0"'
    command = ["unshare", "--net", "sh", "-c", shell, PAIR + textwrap.dedent(script)]
    done = subprocess.run(cut.cgroup.command(command), capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout) == "one two three", done.stderr
    assert cut.counts().redirects == 0


@bpf
def test_a_sender_learns_that_its_peer_has_died(cut: Shortcut) -> None:
    with Workload("stream", ["--total-bytes", "4GiB"]) as run:
        cut.cgroup.add(run.pid)
        run.start()
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        while not cut.counts().redirects > 100:
            pass
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        with pytest.raises(WorkloadError, match="the receiver is gone"):
            run.result()


@bpf
def test_off_leaves_open_connections_alone_and_new_ones_to_tcp(cut: Shortcut) -> None:
    script = """
        listener, client, server = pair()
        def exchange(n):
            client.sendall(b"a" * n); assert len(server.recv(99)) == n
        exchange(3); print("1", flush=True); sys.stdin.readline()
        exchange(5); _, client, server = pair(); exchange(7); print("2", flush=True); sys.stdin.readline()
        """
    command = cut.cgroup.command([sys.executable, "-c", PAIR + textwrap.dedent(script)])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as talker:
        assert talker.stdout.readline() == "1\n"
        cut.off()
        talker.stdin.write("\n")
        talker.stdin.flush()
        assert talker.stdout.readline() == "2\n"
        counted = cut.counts()
        talker.communicate("\n", timeout=30)
    assert (counted.redirects, counted.redirect_bytes, counted.inserts) == (2, 3 + 5, 2)
