# SPDX-License-Identifier: Apache-2.0
"""An nginx of the bench's own: one process, on a free port of the loopback address, with one fixed answer."""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import peers
from labkit.errors import WorkloadError
from labkit.machine.ending import ended

__all__ = ["served"]

START_S = 20.0
# "worker_connections" and "keepalive_requests": so that it never refuses or closes a connection of ours
SETTINGS = """
daemon off;
master_process off;  # one process, which is the worker
pid {folder}/pid;
events {{ worker_connections 1200; use epoll; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    {paths}
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type application/octet-stream; return 200 "{body}"; }}
    }}
}}
"""
_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def served(cpu: int, body_bytes: int) -> Iterator[str]:
    """Have nginx on a CPU during a block, and yield its address, such as "127.0.0.1:4711".

    Parameters
    ----------
    body_bytes : of the body that it answers each request with.

    Raises
    ------
    Missing : nginx is not here.
    WorkloadError : it does not start, or answers something else.
    """
    program = peers.nginx()
    with tempfile.TemporaryDirectory(prefix="labkit-bench-nginx-") as name:
        folder, port, body = Path(name), _free_port(), "x" * body_bytes
        paths = " ".join(f"{what}_temp_path {folder}/{what};" for what in _PATHS)
        settings = folder / "nginx.conf"
        settings.write_text(SETTINGS.format(folder=folder, port=port, body=body, paths=paths))
        command = ["taskset", "--cpu-list", str(cpu), str(program), "-p", name, "-c", str(settings), "-e", "stderr"]
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        with ended(process):
            _wait(process, port, body, log)
            yield f"127.0.0.1:{port}"


def _wait(process: subprocess.Popen[bytes], port: int, body: str, log: Path) -> None:
    """Wait until it answers, and compare the answer."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
        try:
            client.request("GET", "/")
            if client.getresponse().read() == body.encode():
                return
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
        finally:
            client.close()
    raise WorkloadError("nginx does not answer.", "read its log", log.read_text(errors="replace")[-2000:])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
