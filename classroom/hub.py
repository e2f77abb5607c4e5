# SPDX-License-Identifier: Apache-2.0
"""Start the hub for a class on this machine: `make classroom`, or as root: python classroom/hub.py

Runs two programs until Ctrl-C: the proxy, and JupyterHub behind it. If the hub ends, or this program gets SIGHUP, the
hub is started again; the proxy and the learners' containers go on meanwhile. The containers outlive both, until
`make classroom-stop`.

Settings: PORT=8000; ENGINE="podman --root ..."; LEARNERS=FILE; CLASS_NAME, CLASS_MEMORY, CLASS_CPUS, CLASS_IDLE_S as in
jupyterhub_config.py.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parent / "build/classroom"  # the hub's environment and the proxy, as setup.sh made them
STATE = Path(os.environ.get("CLASS_STATE") or HERE / "state")
IMAGE = "labkit-class:local"
NAME = os.environ.get("CLASS_NAME", "labkit-class")
PORT = int(os.environ.get("PORT") or 8000)
LEAST_FREE_MB = 1000
START_S, RESTARTS, STEADY_S = 60, 5, 60
# one word, as a user, a container and a volume may be called
LEARNER = re.compile(r"[a-z][a-z0-9]{0,30}")
SOCKETS = ("/var/run/docker.sock", "/run/podman/podman.sock")


def fail(what: str, fix: str) -> None:
    """End with two lines, as everything of the lab does."""
    sys.exit(f"classroom: {what}\nFix: {fix}")


def main() -> None:
    """Check, start, and stay."""
    if sys.argv[1:] not in ([], ["stop"]):
        fail(f"{sys.argv[1:]} is not a command.", "make classroom, or make classroom-stop")
    engine = find_engine()
    if sys.argv[1:] == ["stop"]:
        return stop_containers(engine)
    names = read_learners(Path(os.environ.get("LEARNERS") or HERE / "learners.txt"))
    require_port(PORT)
    require_image(engine)
    require_room(engine)
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    passwords = draw_passwords(names)
    network, address = network_of(engine)
    with api_of(engine) as docker_host:
        environment = {
            **os.environ,
            "DOCKER_HOST": docker_host,
            "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(32),
            "CLASS_STATE": str(STATE),
            "CLASS_NAME": NAME,
            "CLASS_IMAGE": IMAGE,
            "CLASS_LEARNERS": " ".join(names),
            "CLASS_NETWORK": network,
            "CLASS_HUB_ADDRESS": address,
            "CLASS_PORT": str(PORT),
            "CLASS_PROXY_PORT": str(free_port()),
            # containers of an earlier start know the hub by this port
            "CLASS_HUB_PORT": kept("hub_port", str(free_port(address))),
        }
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores the first
            signal.signal(number, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            run(environment, f"names and passwords: {passwords}")


# -- what must be there ---------------------------------------------------------------------------------------


def find_engine() -> list[str]:
    """Return the command of an engine that answers."""
    if chosen := os.environ.get("ENGINE"):
        return shlex.split(chosen)
    there = [[name] for name in ("docker", "podman") if shutil.which(name)]
    for engine in there:
        if subprocess.run([*engine, "info"], capture_output=True, check=False).returncode == 0:
            return engine
    if there:
        fail(
            f"No container engine answers; tried: {' '.join(name for [name] in there)}.", "sudo systemctl start docker"
        )
    fail("There is neither docker nor podman here.", "sudo apt-get install podman   (without containers: make lab)")
    raise AssertionError


def ask(engine: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the engine's command line."""
    return subprocess.run([*engine, *words], capture_output=True, text=True, check=False)


def read_learners(file: Path) -> list[str]:
    """Return the names, the teacher's first."""
    shown = os.path.relpath(file)
    if not file.is_file():
        fail(f"There is no list of learners: {shown}.", f"write one name per line into {shown}, yours first")
    names = file.read_text().split()
    for name in names:
        if not LEARNER.fullmatch(name):
            fail(f"{name[:40]!r} in {shown} is not a name.", "use small letters and digits, a letter first, at most 31")
    if not names or len(set(names)) != len(names):
        twice = next((name for name in names if names.count(name) > 1), None)
        fail(f"{shown} names {twice} twice." if twice else f"{shown} is empty.", "write each name once, one per line")
    return names


def require_port(port: int) -> None:
    """Refuse a port that another program has."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as cause:
            fail(
                f"Port {port} of 127.0.0.1: {cause.strerror}.",
                f"PORT={port + 1} make classroom   (who has it: ss -tlnp)",
            )


def require_image(engine: list[str]) -> None:
    """Refuse to start without the image."""
    if ask(engine, "image", "inspect", IMAGE).returncode != 0:
        fail(f"The image {IMAGE} is not built.", "make classroom-image")


def require_room(engine: list[str]) -> None:
    """Refuse to start where the learners' volumes cannot grow."""
    for template in ("{{.DockerRootDir}}", "{{.Store.VolumePath}}"):
        folder = Path(ask(engine, "info", "--format", template).stdout.strip())
        while folder.is_absolute() and not folder.exists():  # podman makes it with the first volume
            folder = folder.parent
        if folder.is_absolute() and os.access(folder, os.R_OK):
            free_mb = shutil.disk_usage(folder).free // 1_000_000
            if free_mb < LEAST_FREE_MB:
                fail(
                    f"The disk of the learners' volumes has {free_mb} MB left, in {folder}.",
                    f"free {LEAST_FREE_MB} MB there; what images hold: {shlex.join(engine)} system df",
                )


# -- what is kept between two starts --------------------------------------------------------------------------


def kept(name: str, new: str) -> str:
    """Return a setting that stays the same from start to start."""
    file = STATE / name
    if not file.exists():
        file.write_text(new)
    return file.read_text()


def draw_passwords(names: list[str]) -> Path:
    """Add a password for each new name to passwords.csv, which only root can read; return the file."""
    file = STATE / "passwords.csv"
    known: dict[str, str] = {}
    if file.exists():
        with file.open(newline="") as reader:
            known = {row["name"]: row["password"] for row in csv.DictReader(reader)}
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", newline="") as writer:
        table = csv.writer(writer)
        table.writerow(["name", "password"])
        table.writerows(
            (name, known.get(name) or secrets.token_urlsafe(9)) for name in [*names, *known.keys() - {*names}]
        )
    return file


# -- the engine's side ----------------------------------------------------------------------------------------


def network_of(engine: list[str]) -> tuple[str, str]:
    """Make the class's network if need be; return its name and the address of the host in it."""
    if ask(engine, "network", "inspect", NAME).returncode != 0:
        made = ask(engine, "network", "create", NAME)
        if made.returncode != 0:
            fail(
                f"The engine made no network: {made.stderr.strip()[:200]}",
                f"{shlex.join(engine)} network create {NAME}",
            )
    [told] = json.loads(ask(engine, "network", "inspect", NAME).stdout)
    ranges = told.get("subnets") or told["IPAM"]["Config"]  # podman's words, docker's words
    address = next(str(each.get("gateway") or each.get("Gateway")) for each in ranges)
    # podman makes the bridge with the first container of the network; the hub listens on its address before that
    one = ask(engine, "run", "--rm", "--network", NAME, *LIMITS, "--entrypoint", "true", IMAGE)
    if one.returncode != 0:
        fail(f"No container starts in the network {NAME}: {one.stderr.strip()[-200:]}", f"{shlex.join(engine)} info")
    return NAME, address


LIMITS = ("--ulimit", "nofile=10000:10000", "--ulimit", "nproc=1000:1000")


@contextlib.contextmanager
def api_of(engine: list[str]) -> Iterator[str]:
    """Yield the address of the engine's Docker-compatible interface; podman's is started where no service has it."""
    if os.environ.get("DOCKER_HOST"):
        yield os.environ["DOCKER_HOST"]
        return
    if "ENGINE" not in os.environ:
        for path in SOCKETS:
            if Path(path).is_socket() and engine[0] in path:
                yield f"unix://{path}"
                return
    place = STATE / "engine.sock"
    place.unlink(missing_ok=True)
    with child(
        [*engine, "system", "service", "--time", "0", f"unix://{place}"], dict(os.environ), STATE / "engine.log"
    ):
        for _ in range(START_S * 10):
            if place.is_socket():
                break
            time.sleep(0.1)
        else:
            fail("podman's Docker-compatible service did not start.", f"{shlex.join(engine)} system service --time 0")
        yield f"unix://{place}"


def stop_containers(engine: list[str]) -> None:
    """End the learners' containers; their volumes stay."""
    listed = ask(engine, "ps", "--all", "--format", "{{.Names}}").stdout.split()
    mine = [name for name in listed if name.startswith(f"{NAME}-")]
    if mine:
        ask(engine, "rm", "--force", "--volumes", *mine)
    print(f"{len(mine)} containers ended; the learners' volumes stay.")


# -- the two programs -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def child(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends. It ends, too, if this process is killed."""
    wrapped = ["setpriv", "--pdeathsig", "TERM", *command]
    with (
        log.open("ab") as out,
        subprocess.Popen(
            wrapped, env=environment, cwd=STATE, stdout=out, stderr=out, start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def run(environment: dict[str, str], where: str) -> None:
    """Run the proxy, and the hub again and again."""
    hub_url = f"http://{environment['CLASS_HUB_ADDRESS']}:{environment['CLASS_HUB_PORT']}"
    proxy = [str(TOOLS / "node_modules/.bin/configurable-http-proxy"), "--ip=127.0.0.1", f"--port={PORT}"]
    proxy += ["--api-ip=127.0.0.1", f"--api-port={environment['CLASS_PROXY_PORT']}", "--log-level=error"]
    proxy += [f"--default-target={hub_url}", f"--error-target={hub_url}/hub/error"]
    hub = [str(TOOLS / "venv/bin/jupyterhub"), f"--config={HERE / 'jupyterhub_config.py'}"]
    said, failures = False, 0
    with child(proxy, environment, STATE / "proxy.log"):
        while failures < RESTARTS:
            started_s = time.monotonic()
            with child(hub, environment, STATE / "hub.log") as process:
                signal.signal(signal.SIGHUP, lambda *_: process.terminate())  # the one that runs
                if not said and healthy(process, hub_url):
                    print(f"The hub is open:  http://127.0.0.1:{PORT}   ({where})", flush=True)
                    print("Ctrl-C ends it; the learners' containers go on until: make classroom-stop", flush=True)
                    said = True
                process.wait()
            failures = failures + 1 if time.monotonic() - started_s < STEADY_S else 0
            print("classroom: the hub ended; it is started again", file=sys.stderr, flush=True)
    fail(f"The hub ended {RESTARTS} times within {STEADY_S} s each.", f"read {STATE / 'hub.log'}")


def healthy(process: subprocess.Popen[bytes], hub_url: str) -> bool:
    """Wait until the hub answers, by itself and then through the proxy; return False if it ended."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    wanted = [f"{hub_url}/hub/health", f"http://127.0.0.1:{PORT}/hub/health"]
    for _ in range(START_S * 4):
        if process.poll() is not None:
            return False
        with contextlib.suppress(OSError), direct.open(wanted[0], timeout=5):
            del wanted[0]
            if not wanted:
                return True
        time.sleep(0.25)
    return False


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that nobody has now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
