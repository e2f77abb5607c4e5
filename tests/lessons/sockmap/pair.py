# SPDX-License-Identifier: Apache-2.0
"""Python that talks over a connection of its own, inside the shortcut's cgroup or outside of it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

from labkit.lessons.sockmap.shortcut import Shortcut

# A connection between two sockets of one process: `listener`, `client`, `server`.
PAIR = """
import array, fcntl, json, os, select, socket, sys, termios, threading
def pair(family=socket.AF_INET, address="127.0.0.1"):
    listener = socket.create_server((address, 0), family=family)
    client = socket.create_connection(listener.getsockname()[:2])
    server, _ = listener.accept()
    return listener, client, server
def all_of(connection):
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)
"""


def talk(cut: Shortcut | None, script: str) -> Any:
    """Run Python with `PAIR` before it, inside the cgroup if there is one, and return the JSON that it prints."""
    command = [sys.executable, "-c", PAIR + textwrap.dedent(script)]
    command = cut.cgroup.command(command) if cut else command
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
