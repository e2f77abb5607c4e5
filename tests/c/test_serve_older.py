# SPDX-License-Identifier: Apache-2.0
"""The server of lesson 11 on kernels that lack a way, as a build shows it that asks for what no kernel has.

An old kernel answers an operation, a flag or a registration that it does not know with EINVAL. So does every kernel for
one that nobody has defined yet.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
UNABLE = 77

# what an old kernel does not know -> the file that asks for it, and a number that no kernel knows
UNKNOWN = {
    "IORING_RECV_MULTISHOT": ("multishot.c", "0x4000"),
    "IORING_OP_SEND_ZC": ("multishot.c", "200"),
    "IORING_REGISTER_FILES2": ("multishot.c", "200"),
    "IORING_REGISTER_PBUF_RING": ("buffers.c", "200"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server that asks the kernel for something unknown if the environment variable of that name is set."""
    tree = tmp_path_factory.mktemp("older")
    shutil.copytree(REPO / "c", tree / "c", ignore=shutil.ignore_patterns("*.o"))
    for name, (file, number) in UNKNOWN.items():
        source = tree / "c/workloads/serve" / file
        text, times = re.subn(rf"\b{name}\b", f'(getenv("{name}") ? {number} : {name})', source.read_text())
        assert times == 1, name
        source.write_text(text)
    command = ["make", "-s", "-C", str(tree / "c"), f"BUILD={tree}/build", "OPTIMISE=-O0", "serve"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return tree / "build/workloads/serve"


def served(server: Path, way: str, *lacking: str) -> tuple[int, str]:
    """Return the exit status of a server whose time is over at once, and what it says."""
    command = [server, "--go", "--way", way, "--seconds", "0.01"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict.fromkeys(lacking, "1"))
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def has_all(server: Path) -> None:
    """A kernel that lacks some of it cannot show what happens when one thing is missing."""
    for way in ("registered", "zerocopy"):
        status, said = served(server, way)
        if status == UNABLE:
            pytest.skip(said)
        assert status == 0, said


@pytest.mark.usefixtures("has_all")
@pytest.mark.parametrize(
    ("lacking", "way", "said"),
    [
        ("IORING_REGISTER_PBUF_RING", "multishot", "no rings of provided buffers (Linux 5.19"),
        ("IORING_RECV_MULTISHOT", "multishot", "no receive that stays (Linux 6.0"),
        ("IORING_REGISTER_FILES2", "registered", "no empty tables of descriptors (Linux 5.19"),
        ("IORING_OP_SEND_ZC", "zerocopy", "no zero-copy send (Linux 6.0"),
    ],
)
def test_what_an_old_kernel_lacks_is_said_with_another_way(server: Path, lacking: str, way: str, said: str) -> None:
    status, words = served(server, way, lacking)
    assert status == UNABLE and said in words
    other = re.search(r"use --way (\w+)", words)
    assert other is not None
    assert served(server, other[1], lacking)[0] == 0


@pytest.mark.usefixtures("has_all")
@pytest.mark.parametrize("way", ["threads", "epoll", "uring"])
def test_the_other_ways_work_on_an_old_kernel(server: Path, way: str) -> None:
    assert served(server, way, *UNKNOWN)[0] == 0
