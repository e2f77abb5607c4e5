# SPDX-License-Identifier: Apache-2.0
"""The class's hub keeps its promises: a list of names, 127.0.0.1, limits, and two lines for what is missing."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml
from tree import ROOT

CLASSROOM = ROOT / "classroom"
HUB = CLASSROOM / "hub.py"
VALUES = yaml.safe_load((CLASSROOM / "k8s/values.yaml").read_text())
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
# An engine with nothing in it: `info` answers, no image is there.
ENGINE = '#!/bin/sh\n[ "$1" = info ] && exit 0\n[ "$1" = ps ] && exit 0\nexit 1\n'


class Settings(SimpleNamespace):
    """Takes any settings, as JupyterHub's `c` does."""

    def __getattr__(self, name: str) -> Any:
        setattr(self, name, Settings())
        return self.__dict__[name]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return what jupyterhub_config.py sets, executed without JupyterHub."""
    fakes = {
        "bcrypt": {},
        "nativeauthenticator": {"NativeAuthenticator": object},
        "nativeauthenticator.orm": {"UserInfo": object},
    }
    for name, members in fakes.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    given = {
        "STATE": tmp_path,
        "HUB_ADDRESS": "10.1.2.1",
        "HUB_PORT": 8081,
        "PORT": 8000,
        "PROXY_PORT": 8001,
        "IMAGE": "labkit-class:local",
        "NETWORK": "labkit-class",
        "LEARNERS": "teacher ada",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"CLASS_{name}", str(value))
    settings = Settings()
    path = CLASSROOM / "jupyterhub_config.py"
    exec(compile(path.read_text(), path, "exec"), {"get_config": lambda: settings, "__name__": "config"})
    return settings


def test_only_listed_names_get_in(config: Settings) -> None:
    assert config.Authenticator.allow_all is False
    assert config.Authenticator.allowed_users == {"teacher", "ada"}
    assert config.Authenticator.admin_users == {"teacher"}
    assert config.NativeAuthenticator.enable_signup is False and config.NativeAuthenticator.open_signup is False
    assert config.NativeAuthenticator.allowed_failed_logins > 0


def test_it_listens_on_this_machine_only(config: Settings) -> None:
    """The public door and the learners' containers on the loopback; the hub itself where only containers see it."""
    assert config.JupyterHub.bind_url == "http://127.0.0.1:8000"
    assert config.JupyterHub.hub_bind_url == "http://10.1.2.1:8081"
    assert config.DockerSpawner.host_ip == "127.0.0.1"
    assert config.ConfigurableHTTPProxy.api_url.startswith("http://127.0.0.1:")
    assert "--ip=127.0.0.1" in HUB.read_text() and "--api-ip=127.0.0.1" in HUB.read_text()


def test_each_learner_has_limits_and_a_volume_that_stays(config: Settings) -> None:
    assert config.Spawner.mem_limit and config.Spawner.cpu_limit > 0
    assert config.DockerSpawner.extra_host_config["pids_limit"] > 0
    assert config.DockerSpawner.volumes["labkit-class-{username}"] == "/lab/learner"
    assert config.DockerSpawner.remove is True  # the container


def test_it_has_the_privileges_of_the_reduced_lab_and_no_more(config: Settings) -> None:
    reduced, given = COMPOSE["services"]["reduced"], config.DockerSpawner.extra_host_config
    assert given["cap_add"] == reduced["cap_add"] and given["security_opt"] == reduced["security_opt"]
    assert given["cgroupns"] == reduced["cgroup"] and given["shm_size"] == reduced["shm_size"]
    assert not {"privileged", "pid_mode", "network_mode"} & set(given)
    shared = [volume for volume in reduced["volumes"] if volume.startswith("/sys/")]
    assert [
        f"{source}:{target}" for source, target in config.DockerSpawner.volumes.items() if "sys" in source
    ] == shared


def test_a_hub_that_restarts_ends_nobody(config: Settings) -> None:
    assert config.JupyterHub.cleanup_servers is False
    assert config.ConfigurableHTTPProxy.should_start is False


def test_an_idle_learner_leaves(config: Settings) -> None:
    [culler] = config.JupyterHub.services
    assert "jupyterhub_idle_culler" in culler["command"] and "--timeout=7200" in culler["command"]
    [role] = config.JupyterHub.load_roles
    assert role["services"] == [culler["name"]] and "delete:servers" in role["scopes"]


# -- what it says where it cannot start ------------------------------------------------------------------------


def say(folder: Path, *words: str, **settings: str) -> list[str]:
    """Run hub.py, which must give up; return the lines that it printed."""
    environment = {"PATH": str(folder), "CLASS_STATE": str(folder / "state"), **settings}
    ran = subprocess.run(
        [sys.executable, HUB, *words], env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    assert ran.returncode == 1 and ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert len(lines) == 2 and lines[0].startswith("classroom: ") and lines[1].startswith("Fix: ")
    return lines


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """Return a folder with an engine and a list of learners."""
    (tmp_path / "podman").write_text(ENGINE)
    (tmp_path / "podman").chmod(0o755)
    (tmp_path / "learners").write_text("teacher\nada\n")
    return tmp_path


def test_no_engine(tmp_path: Path) -> None:
    lines = say(tmp_path)
    assert "neither docker nor podman" in lines[0] and "apt-get install podman" in lines[1]


def test_an_engine_that_does_not_answer(bin_folder: Path) -> None:
    (bin_folder / "podman").write_text("#!/bin/sh\nexit 1\n")
    assert "No container engine answers; tried: podman" in say(bin_folder)[0]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (None, "There is no list of learners"),
        ("", "is empty"),
        ("ada bob ada", "names ada twice"),
        ("Ada", "'Ada' in"),
        ("a/../b", "is not a name"),
        ("-rf", "is not a name"),
        ("x" * 99, "is not a name"),
    ],
)
def test_a_list_of_learners_that_is_none(bin_folder: Path, names: str | None, said: str) -> None:
    file = bin_folder / "learners"
    file.unlink() if names is None else file.write_text(names)
    assert said in say(bin_folder, LEARNERS=str(file))[0]


def test_a_port_in_use(bin_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lines = say(bin_folder, LEARNERS=str(bin_folder / "learners"), PORT=str(port))
    assert lines[0] == f"classroom: Port {port} of 127.0.0.1: Address already in use."
    assert f"PORT={port + 1} make classroom" in lines[1]


def test_an_image_that_is_not_built(bin_folder: Path) -> None:
    lines = say(bin_folder, LEARNERS=str(bin_folder / "learners"), PORT="0")
    assert lines == ["classroom: The image labkit-class:local is not built.", "Fix: make classroom-image"]


def test_a_full_disk(bin_folder: Path) -> None:
    """/proc has no room, and says so."""
    (bin_folder / "podman").write_text('#!/bin/sh\n[ "$1" = info ] && echo /proc\nexit 0\n')
    lines = say(bin_folder, LEARNERS=str(bin_folder / "learners"), PORT="0")
    assert lines[0] == "classroom: The disk of the learners' volumes has 0 MB left, in /proc."


def test_another_word(tmp_path: Path) -> None:
    assert "is not a command" in say(tmp_path, "open")[0]


def test_stopping_says_how_many_it_ended(bin_folder: Path) -> None:
    (bin_folder / "podman").write_text(
        ENGINE.replace("ps ] && exit 0", "ps ] && echo labkit-class-ada other && exit 0")
    )
    ran = subprocess.run(
        [sys.executable, HUB, "stop"], env={"PATH": str(bin_folder)}, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "1 containers ended; the learners' volumes stay.\n"


# -- what is kept ----------------------------------------------------------------------------------------------


def test_passwords_are_drawn_once_and_root_alone_reads_them(tmp_path: Path) -> None:
    code = "import hub; hub.STATE = hub.Path('.'); print(hub.draw_passwords({names}))"
    seen = []
    for names in (["ada"], ["bob", "ada"]):
        subprocess.run(
            [sys.executable, "-c", code.format(names=names)],
            cwd=tmp_path,
            check=True,
            timeout=30,
            env={**os.environ, "PYTHONPATH": str(CLASSROOM)},
        )
        with (tmp_path / "passwords.csv").open(newline="") as file:
            seen.append({row["name"]: row["password"] for row in csv.DictReader(file)})
    assert (tmp_path / "passwords.csv").stat().st_mode & 0o777 == 0o600
    assert seen[0]["ada"] == seen[1]["ada"] != seen[1]["bob"]
    assert min(map(len, seen[1].values())) >= 12


def test_secrets_stay_out_of_the_tree_and_of_the_image() -> None:
    for name in (".gitignore", ".dockerignore"):
        lines = [line.strip("/") for line in (ROOT / name).read_text().splitlines()]
        assert {"classroom/state", "classroom/learners.txt"} <= set(lines)


def versions(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\S+)==(\S+)", path.read_text(), re.MULTILINE))


def test_hub_and_container_have_one_jupyterhub_and_the_lab_keeps_its_versions() -> None:
    learner, lab = versions(CLASSROOM / "learner.lock"), versions(ROOT / "requirements.lock")
    assert learner["jupyterhub"] == versions(CLASSROOM / "hub.lock")["jupyterhub"]
    assert {name: learner[name] for name in learner.keys() & lab.keys()} == {
        name: lab[name] for name in learner.keys() & lab.keys()
    }


# -- Kubernetes ------------------------------------------------------------------------------------------------


def test_on_a_cluster_each_learner_has_a_kernel() -> None:
    assert VALUES["singleuser"]["extraPodConfig"]["runtimeClassName"] == "kata"
    assert VALUES["hub"]["config"]["KubeSpawner"]["privileged"] is True  # which is why


def test_on_a_cluster_it_is_never_open() -> None:
    config = VALUES["hub"]["config"]
    assert config["JupyterHub"]["authenticator_class"].endswith("NativeAuthenticator")
    assert config["Authenticator"]["allow_all"] is False and config["NativeAuthenticator"]["open_signup"] is False
    assert VALUES["proxy"]["service"]["type"] == "ClusterIP"


def test_on_a_cluster_it_starts_what_the_image_has() -> None:
    for word in VALUES["singleuser"]["cmd"][3:]:
        assert (ROOT / word).is_file() and os.access(ROOT / word, os.X_OK)
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version and VALUES["singleuser"]["image"]["tag"] == version[1]


def over(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the defaults with values over them, as helm lays them."""
    laid = dict(defaults)
    for key, value in values.items():
        laid[key] = over(value, laid[key]) if isinstance(value, dict) and isinstance(laid.get(key), dict) else value
    return laid


def the_chart() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema and the defaults of the chart: those in chart/, or of the clone that LABKIT_CHART names."""
    if "LABKIT_CHART" in os.environ:
        folder = Path(os.environ["LABKIT_CHART"])
        schema, defaults = (
            yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in ("values.schema", "values")
        )
        return schema, defaults
    kept = json.loads((Path(__file__).parent / "chart/chart.json").read_text())
    return kept["schema"], kept["defaults"]


def test_the_values_pass_the_charts_schema() -> None:
    schema, defaults = the_chart()
    jsonschema.Draft7Validator(schema).validate(over(VALUES, defaults))


@pytest.mark.parametrize(
    "wrong",
    [
        {"singleuser": {"no_such_key": {}}},
        {"singleuser": {"memory": {"limit": {}}}},
        {"proxy": {"service": {"type": "Open"}}},
        {"no_such_part": {}},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_chart_does_not_know(wrong: dict[str, Any]) -> None:
    schema, defaults = the_chart()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(over(wrong, over(VALUES, defaults)))


def test_the_scripts_are_shell_and_say_what_they_do() -> None:
    for path in CLASSROOM.glob("*.sh"):
        assert os.access(path, os.X_OK)
        subprocess.run([str(shutil.which("sh")), "-n", path], check=True)
