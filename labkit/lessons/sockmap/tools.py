# SPDX-License-Identifier: Apache-2.0
"""The programs that learners write in lesson 09: tried on connections of this process, on 127.0.0.1.

A learner's function `send_message` runs for each send of a socket in the map `sockets`. The truth is what was sent, and
what arrived.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from labkit.bpf import maps
from labkit.bpf.attach import SK_MSG_VERDICT, attached_to_map
from labkit.bpf.cell import Cell
from labkit.lessons._judge.kept import Kept, Key, Unfit
from labkit.lessons._judge.tool import differences, fit
from labkit.running.judgement import Judgement
from labkit.running.lock import exclusive

__all__ = ["KINDS", "REDIRECT", "SocketTool"]

SOCKHASH = 18
PATIENCE_S = 1.0
_SOCKETS = "BPF_SOCKHASH(sockets, u32, 64);"
_FUNCTION = "send_message"
_DATA_SEGMENTS_AT = 156  # tcpi_data_segs_out of struct tcp_info, <linux/tcp.h>
_STEPS = "your program must let the message go on: return SK_PASS."


@dataclass(frozen=True)
class Send:
    """One message: over which connection, from which end (0 opened it), and its bytes."""

    connection: int
    end: int
    content: bytes


@dataclass(frozen=True)
class SocketCase:
    """One situation: how many connections, which ends are in the map, what is sent.

    Parameters
    ----------
    sends : draws the messages, from a source of random numbers.
    in_map : the ends that are put in the map.
    less, more : the hint when the program counted too little, or too much.
    lost : the hint when a message did not arrive, or could not be sent.
    """

    name: str
    sends: Callable[[random.Random], list[Send]]
    connections: int = 1
    in_map: tuple[int, ...] = (0, 1)
    less: str = ""
    more: str = ""
    lost: str = ""


@dataclass(frozen=True)
class SocketTool:
    """What an exercise asks of a verdict program, and the cases in which it is tried.

    Parameters
    ----------
    kept : the map that is compared.
    truth : what it must hold, from what was sent and which ends are in the map.
    redirects : whether messages must take the shortcut where both ends are in the map.
    """

    kept: Kept
    truth: Callable[[list[Send], tuple[int, ...]], Mapping[Key, int]]
    cases: tuple[SocketCase, ...]
    redirects: bool

    def judge(self, answer: object) -> Judgement:
        """Try a program in all cases, and return what became of it; errors are those of `Tool.judge`."""
        program = fit(answer, aimed=False)
        self.kept.check(program)
        with contextlib.suppress(LookupError, ValueError):
            if (shape := program.shape("sockets")).kind == SOCKHASH and shape.key_bytes == 4:
                return self._judge(program)
        raise Unfit(f"{program.name} has no map of sockets as the exercise asks for.", f"declare it: {_SOCKETS}")

    def _judge(self, program: Cell) -> Judgement:
        if _FUNCTION not in program.functions:
            raise Unfit(
                f"{program.name} has no function named {_FUNCTION}.",
                f"write one: int {_FUNCTION}(struct sk_msg_md *msg) {{ ... return SK_PASS; }}",
            )
        function = program.load_function(_FUNCTION, "SK_MSG")
        passed: list[str] = []
        with (
            exclusive("lesson 09: testing a program"),
            attached_to_map(function, program.map_fd("sockets"), SK_MSG_VERDICT),
        ):
            for case in self.cases:
                said, hint = self._try(program, case)
                if said:
                    return Judgement(False, tuple(passed), case.name, tuple(said), hint)
                passed.append(case.name)
        return Judgement(True, tuple(passed))

    def _try(self, program: Cell, case: SocketCase) -> tuple[list[str], str]:
        """Run one case; return what was wrong, and the hint."""
        sends = case.sends(random.SystemRandom())
        program.clear(self.kept.name)
        with _connections(case.connections) as pairs:
            for pair in pairs:
                for end in case.in_map:
                    port = pair[end].getsockname()[1]
                    value = struct.pack("=Q", pair[end].fileno())[: program.shape("sockets").value_bytes]
                    maps.write_raw(program.map_fd("sockets"), struct.pack("=I", port), value)
            for number, send in enumerate(sends, start=1):
                if why := _carry(pairs[send.connection], send):
                    return [f"Message {number} of {len(sends)}, of {len(send.content)} bytes: {why}."], case.lost
            by_tcp = sum(_segments(one) for pair in pairs for one in pair)
        if wrong := differences(self.truth(sends, case.in_map), self.kept.read(program)):
            hint = case.less if wrong[0].found < wrong[0].least else case.more
            if self.redirects and wrong[0].found == 0:  # not one message found the other end
                hint = case.lost
            return [each.told(self.kept) for each in wrong[:2]], hint or case.lost
        if self.redirects and case.in_map == (0, 1) and by_tcp:
            return [f"{by_tcp} segments went through TCP, although both ends are in the map."], case.less
        return [], ""


@contextlib.contextmanager
def _connections(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Open TCP connections on 127.0.0.1, each end with a port of its own, and close them at the end."""
    with contextlib.ExitStack() as stack:
        pairs = []
        for _ in range(count):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            server = stack.enter_context(listener.accept()[0])
            for one in (client, server):
                one.settimeout(PATIENCE_S)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pairs.append((client, server))
        yield pairs


def _carry(pair: tuple[socket.socket, socket.socket], send: Send) -> str:
    """Send one message and receive it at the other end; return what went wrong, or an empty text."""
    try:
        pair[send.end].sendall(send.content)
    except OSError as error:
        return f"it could not be sent ({error.strerror or error})"
    got = b""
    try:
        while len(got) < len(send.content):
            part = pair[1 - send.end].recv(len(send.content) - len(got))
            if not part:
                return "the connection was closed"
            got += part
    except OSError:
        return f"only {len(got)} bytes of it arrived"
    return "" if got == send.content else "other bytes arrived than were sent"


def _segments(one: socket.socket) -> int:
    """Return how many segments with data a socket has sent by TCP."""
    raw = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    return int(struct.unpack_from("=I", raw, _DATA_SEGMENTS_AT)[0]) if len(raw) >= _DATA_SEGMENTS_AT + 4 else 0


def _some(
    first: str, least: int, most: int, *, connections: int = 1, ends: tuple[int, ...] = (0,)
) -> Callable[[random.Random], list[Send]]:
    """Return what draws messages of `least` to `most` bytes that begin with one of some letters."""

    def draw(chance: random.Random) -> list[Send]:
        return [
            Send(
                chance.randrange(connections),
                chance.choice(ends),
                chance.choice(first).encode("latin-1") + chance.randbytes(chance.randint(least, most) - 1),
            )
            for _ in range(chance.randint(11, 29))
        ]

    return draw


_WHERE = (
    "The key must be the port of the other end, as a number in host order. msg->remote_port has it in network order, "
    "and bpf_ntohl() turns it round."
)
REDIRECT = SocketTool(
    Kept("moved", "BPF_ARRAY(moved, u64, 1);"),
    lambda sends, in_map: {0: sum(len(send.content) for send in sends if 1 - send.end in in_map)},
    (
        SocketCase(
            "both ends in the map",
            _some("abc", 10, 900),
            less="Add msg->size to moved for each message that was redirected, and redirect all of them.",
            more="Add msg->size to moved once for each message.",
            lost=_WHERE,
        ),
        SocketCase(
            "the other end is not in the map",
            _some("abc", 10, 900),
            in_map=(0,),
            more="These messages went by TCP, as the other end is not in the map: they were not redirected.",
            lost="msg_redirect_hash() found no socket and returned SK_DROP. If you return that, the send fails with "
            "EACCES. Return SK_PASS: the message goes by TCP.",
        ),
        SocketCase(
            "both directions",
            _some("abc", 10, 900, ends=(0, 1)),
            lost="Both ends send. Each must find the other one.",
        ),
        SocketCase(
            "two connections",
            _some("abc", 10, 900, connections=2),
            connections=2,
            lost="A message must come out of its own connection: the key depends on the message.",
        ),
        SocketCase("large messages", _some("abc", 30_000, 60_000), less="Add msg->size, not one per message."),
    ),
    redirects=True,
)

KINDS = SocketTool(
    Kept("kinds", "BPF_HASH(kinds, u32, u64);", key="u32", label="first byte"),
    lambda sends, in_map: Counter(send.content[0] for send in sends if send.end in in_map),
    (
        SocketCase(
            "one kind",
            _some("G", 10, 900),
            less="Count each message under its first byte: the number of messages, not of bytes.",
            more="Count each message once, under its first byte.",
            lost=f"Counting must not stop anything: {_STEPS}",
        ),
        SocketCase(
            "several kinds",
            _some("GPD", 10, 900, connections=2, ends=(0, 1)),
            connections=2,
            less="Read the first byte of each message: the key is not always the same.",
            more="Read the first byte of each message: the key is not always the same.",
        ),
        SocketCase(
            "messages of 1 byte",
            _some("GP", 1, 1),
            less="A message of one byte has a first byte. Test data + 1 > data_end, and no more.",
        ),
        SocketCase(
            "a byte above 127",
            _some("\xff\x80", 10, 99),
            more="A byte above 127 is not a negative number: read it as u8.",
        ),
    ),
    redirects=False,
)
