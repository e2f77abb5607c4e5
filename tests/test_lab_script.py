# SPDX-License-Identifier: Apache-2.0
"""`make lab` opens behind a token whatever this machine's Jupyter settings say, and nobody else's settings are run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree import ROOT

STRANGER = 12345  # a user id that is not ours
NAMES = ("jupyter_config", "jupyter_server_config", "jupyter_lab_config", "jupyter_notebook_config")
WEAK = {
    "IdentityProvider": {"token": ""},
    "PasswordIdentityProvider": {"hashed_password": "", "token": ""},
    "ServerApp": {
        "token": "",
        "ip": "0.0.0.0",
        "allow_unauthenticated_access": True,
        "allow_origin": "*",
        "allow_remote_access": True,
        "disable_check_xsrf": True,
    },
}
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts, and files of another user: needs root")


def plant(folder: Path, marker: Path) -> None:
    """Write settings of every name to a folder: they let anybody in, and those in Python leave a mark."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        lines = [f"open({str(marker)!r}, 'a').write({f'{folder}/{name}'!r} + chr(10))"]
        lines += [f"c.{kind}.{key} = {value!r}" for kind, keys in WEAK.items() for key, value in keys.items()]
        (folder / f"{name}.py").write_text("\n".join(lines))
        (folder / f"{name}.json").write_text(json.dumps(WEAK))
        (folder / f"{name}.d").mkdir()
        (folder / f"{name}.d" / "weak.json").write_text(json.dumps(WEAK))


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    return {**kept, "HOME": str(home), "LABKIT_DATA": str(home / "data"), "PYTHONPATH": str(ROOT), **more}


@contextlib.contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[tuple[str, str, list[str]]]:
    """Start the lab; yield its address, its token, and what it has said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*command, f"--port={port}", "--ServerApp.port_retries=0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True) as lab:
        said = []
        try:
            for line in lab.stdout or ():
                said.append(line)
                if found := re.search(r"(http://127[^/]+)/\S+token=(\w+)", line):
                    break
            else:
                pytest.fail("".join(said))
            while lab.poll() is None:  # it prints the link a moment before it answers
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            yield found[1], found[2], said
        finally:
            lab.terminate()


def status(url: str, method: str = "GET", **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


@root_only
def test_settings_that_let_anybody_in_are_not_read_wherever_they_are(tmp_path: Path) -> None:
    """In the user's folders, the machine's (/usr/local/etc), the environment's, and what variables name."""
    home, marker = tmp_path / "home", tmp_path / "marker"
    places = [home / ".jupyter", home / ".local/etc/jupyter", home / "named", home / "path", home / "data/jupyter"]
    outside = {Path("/usr/local/etc"): home / "local", Path(sys.prefix) / "etc": home / "prefix"}
    for folder in [*places, *(planted / "jupyter" for planted in outside.values())]:
        plant(folder, marker)
    mounts = "; ".join(f"mount --bind {shlex.quote(str(source))} {target}" for target, source in outside.items())
    command = ["unshare", "-m", "sh", "-c", f'set -e; {mounts}; exec "$@"', "sh", "scripts/lab.sh"]
    named = {
        "JUPYTER_CONFIG_DIR": str(home / "named"),
        "JUPYTER_CONFIG_PATH": str(home / "path"),
        "JUPYTER_TOKEN": "known",
        "JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS": "true",
    }
    with started(command, environment(home, **named)) as (url, token, _):
        assert len(token) >= 32
        for path in ("/api/status", "/api/contents", "/api/kernels", "/api/terminals", "/api/sessions?token=known"):
            assert status(url + path) == 403, path
        assert status(f"{url}/api/contents?token={token}") == 200
        assert status(f"{url}/api/terminals?token={token}") == 200  # the extensions of the lab's own are there
        assert status(f"{url}/api/contents?token={token}", Host="evil.example") == 403
        port = url.rpartition(":")[2]
        ss = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True)
        assert [line.split()[3] for line in ss.stdout.splitlines()] == [f"127.0.0.1:{port}"]
    assert not marker.exists(), marker.read_text()


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--IdentityProvider.token=", "token is too short"),
        ("--ServerApp.token=", "token is too short"),
        ("--PasswordIdentityProvider.hashed_password=sha1:a:b", "password"),
        ("--ServerApp.allow_origin=*", "allow_origin"),
        ("--ServerApp.allow_origin_pat=.*", "allow_origin"),
        ("--ServerApp.disable_check_xsrf=True", "disable_check_xsrf"),
        ("--ServerApp.allow_remote_access=True", "allow_remote_access"),
        ("--ServerApp.allow_unauthenticated_access=True", "only accepts one value"),
        ("--ip=0.0.0.0", "only accepts one value"),
        ("--sock=/tmp/labkit-test.sock", "listen"),
        ("--config=/nowhere/settings.py", "settings file"),
        ("--gateway-url=http://127.0.0.1:1", "another machine"),
        ("--ServerApp.identity_provider_class=jupyter_server.auth.IdentityProvider", "somebody else's class"),
    ],
)
def test_an_option_that_would_let_somebody_in_is_refused(tmp_path: Path, option: str, reason: str) -> None:
    ran = subprocess.run(
        ["scripts/lab.sh", option], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert reason in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_server_that_answers_without_the_token_is_stopped(tmp_path: Path) -> None:
    """What no check of its settings has found: the server itself is asked."""
    code = (
        "import runpy, sys\n"
        "lab = runpy.run_path('scripts/lab.py')\n"
        "lab['LabApp'].initialize_server.__func__.__globals__['weaknesses'] = lambda server: []\n"
        "sys.argv = ['lab.py', 'x.ipynb', '--IdentityProvider.token=', '--port=0']\n"
        "lab['main'].__globals__['main']()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert "answered 200 without the token" in ran.stderr


@root_only
def test_in_a_data_folder_that_others_may_write_to_nothing_of_theirs_is_run_or_overwritten(tmp_path: Path) -> None:
    data, marker, victim = tmp_path / "shared", tmp_path / "marker", tmp_path / "victim"
    plant(data / "jupyter", marker)
    (data / "jupyter/lab/settings").mkdir(parents=True)
    victim.write_text("precious")
    (data / "jupyter/lab/settings/overrides.json").symlink_to(victim)
    (data / "jupyter/lab/workspaces").symlink_to(tmp_path)
    for path in (data, *data.rglob("*")):
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    os.chown(data, 0, 0)
    data.chmod(0o1777)
    with started(["scripts/lab.sh"], environment(tmp_path, LABKIT_DATA=str(data))) as (url, token, said):
        assert status(f"{url}/api/contents?token={token}") == 200
        assert "belongs to user 12345" in "".join(said)
    assert victim.read_text() == "precious"
    assert not marker.exists(), marker.read_text()


@root_only
def test_a_link_among_the_kept_settings_is_not_followed(tmp_path: Path) -> None:
    victim, lab = tmp_path / "victim", tmp_path / "data/jupyter/lab"
    victim.write_text("precious")
    (lab / "settings").mkdir(parents=True)
    (lab / "settings/overrides.json").symlink_to(victim)
    with started(["scripts/lab.sh"], environment(tmp_path)) as (_, _, said):
        assert "theme and layout are not kept" in "".join(said)
    assert victim.read_text() == "precious"


def test_the_theme_and_the_layout_that_the_learner_chose_are_kept(tmp_path: Path) -> None:
    theme = "/lab/api/settings/@jupyterlab/apputils-extension:themes"
    chosen = json.dumps({"raw": json.dumps({"theme": "JupyterLab Dark"})}).encode()
    for turn in ("choose", "look"):
        with started(["scripts/lab.sh"], environment(tmp_path)) as (url, token, _):
            request = urllib.request.Request(url + theme, headers={"Authorization": f"token {token}"})
            if turn == "choose":
                request.method, request.data = "PUT", chosen
            with urllib.request.urlopen(request, timeout=20) as reply:
                body = reply.read()
    assert json.loads(body)["settings"]["theme"] == "JupyterLab Dark"
