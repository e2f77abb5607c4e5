# SPDX-License-Identifier: Apache-2.0
"""Every workload builds for arm64 with -Werror, and explains itself there (under user-mode emulation)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from tree import ROOT

LIBC = Path("/usr/aarch64-linux-gnu")


@pytest.fixture(scope="module")
def built(cross: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build all workloads; return the folder of the programs."""
    folder: Path = tmp_path_factory.mktemp("arm64")
    more = f"-isystem {cross}/usr/include -isystem {cross}/usr/include/aarch64-linux-gnu"
    more += f" -L{cross}/usr/lib/aarch64-linux-gnu"
    made = subprocess.run(
        [
            "make",
            "-C",
            str(ROOT / "c"),
            f"BUILD={folder}",
            f"CC=aarch64-linux-gnu-gcc {more}",
            f"CXX=aarch64-linux-gnu-g++ {more}",
            "all",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return folder / "workloads"


def emulated(cross: Path, program: Path, *arguments: str) -> list[str]:
    """Return the command that runs an arm64 program under emulation."""
    libraries = f"LD_LIBRARY_PATH={cross}/usr/lib/aarch64-linux-gnu:{LIBC}/lib"
    return ["qemu-aarch64-static", "-L", str(LIBC), "-E", libraries, str(program), *arguments]


def run(cross: Path, program: Path, *arguments: str, send: str = "") -> subprocess.CompletedProcess[str]:
    """Run an arm64 program under emulation."""
    return subprocess.run(
        emulated(cross, program, *arguments),
        input=send,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def programs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if os.access(path, os.X_OK) and path.is_file())


def test_each_is_an_arm64_program_and_explains_itself(cross: Path, built: Path) -> None:
    assert {path.name for path in programs(built)} >= {"hello", "io_engines", "uring", "ping_pong", "usdt_app"}
    for program in programs(built):
        assert program.read_bytes()[18:20] == b"\xb7\x00", program.name  # e_machine: EM_AARCH64
        told = run(cross, program, "--help")
        assert told.returncode == 0 and "--go" in told.stdout + told.stderr, (program.name, told.stderr)


def test_none_of_them_was_built_without_a_library(cross: Path, built: Path) -> None:
    """A workload that lacks a library is built all the same, and says at run time what it lacks (exit 77)."""
    flags = (built / ".flags").read_text()
    assert all(f"-DHAVE_{name}" in flags for name in ("LIBURING", "LIBAIO", "SDT"))


def test_functions_that_call_nobody_keep_a_frame_too(built: Path) -> None:
    """Without one, the caller of such a function is missing from each stack. The witness is the disassembler."""
    words = ["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", str(built / "probes")]
    code = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for name in ("visible", "half_hidden", "apple", "plum"):
        [body] = [part for part in code.split("\n\n") if f"<{name}>:" in part]
        assert "stp\tx29, x30" in body, body


@pytest.mark.parametrize(
    ("name", "arguments", "key", "count"),
    [
        ("ping_pong", ["--round-trips", "97", "--warm-up", "0"], "round_trips", 97),
        ("maps", ["--work", "count", "--calls", "997"], "calls", 997),
        ("usdt_app", ["--requests", "23"], "request_done", 23),
    ],
)
def test_it_counts_as_on_any_machine(
    cross: Path, built: Path, name: str, arguments: list[str], key: str, count: int
) -> None:
    told = run(cross, built / name, "--go", *arguments)
    assert told.returncode == 0, told.stderr
    assert f'"{key}": {count}' in told.stdout or f'"{key}":{count}' in told.stdout


@pytest.mark.parametrize("way", ["threads", "epoll"])
def test_a_server_answers(cross: Path, built: Path, way: str) -> None:
    """io_uring's ways need more than user-mode emulation has."""
    words = emulated(cross, built / "serve", "--way", way, "--seconds", "60", "--message-bytes", "64")
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as server:
        try:
            assert server.stdout and server.stderr and server.stdin
            assert server.stdout.readline() == "ready\n", server.stderr.read()
            port = server.stderr.readline().rpartition(":")[2]
            server.stdin.write("go\n")
            server.stdin.flush()
            with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as client:
                for _ in range(23):
                    client.sendall(b"x" * 64)
                    assert client.recv(64, socket.MSG_WAITALL) == b"x" * 64
            server.terminate()
            assert json.loads(server.stdout.readlines()[-1])["requests"] == 23
        finally:
            server.kill()
