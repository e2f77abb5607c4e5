# SPDX-License-Identifier: Apache-2.0
"""JupyterHub for a class on one host: one container per learner, with docker or with podman's socket.

`make classroom` starts it through classroom/hub.py, which sets the variables CLASS_*. docs/teaching.md says how to use
it.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import bcrypt
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.orm import UserInfo

c = get_config()  # noqa: F821  # JupyterHub defines it

STATE = Path(os.environ["CLASS_STATE"])  # the database and the keys; mode 0700
NAME = os.environ.get("CLASS_NAME", "labkit-class")  # begins the names of containers and volumes
HUB = os.environ["CLASS_HUB_ADDRESS"]  # at which containers reach the hub: the address of their network's bridge
IDLE_S = int(os.environ.get("CLASS_IDLE_S", 2 * 3600))

# -- who gets in: names that the teacher listed, each with a password that hub.py drew ------------------------


class ListedAuthenticator(NativeAuthenticator):
    """Knows the learners of passwords.csv, and nobody else. A learner may change the password; that one then holds."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        with (STATE / "passwords.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                if not self.user_exists(row["name"]):
                    secret = bcrypt.hashpw(row["password"].encode(), bcrypt.gensalt())
                    self.db.add(UserInfo(username=row["name"], password=secret, is_authorized=True))
        self.db.commit()


names = os.environ["CLASS_LEARNERS"].split()
c.JupyterHub.authenticator_class = ListedAuthenticator
c.Authenticator.allow_all = False
c.Authenticator.allowed_users = set(names)
c.Authenticator.admin_users = {names[0]}  # the teacher
c.NativeAuthenticator.enable_signup = False
c.NativeAuthenticator.open_signup = False
c.NativeAuthenticator.minimum_password_length = 10
c.NativeAuthenticator.allowed_failed_logins = 10
c.NativeAuthenticator.seconds_before_next_try = 60

# -- what listens where: the public door on this machine only -------------------------------------------------

c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['CLASS_PORT']}"
c.JupyterHub.hub_bind_url = f"http://{HUB}:{os.environ['CLASS_HUB_PORT']}"
c.JupyterHub.db_url = f"sqlite:///{STATE}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{STATE}/cookie_secret"

# hub.py runs the proxy, so that a hub that restarts cuts no connection, and no measurement.
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['CLASS_PROXY_PORT']}"
c.JupyterHub.cleanup_servers = False

# -- one container and one volume per learner -----------------------------------------------------------------

c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = os.environ["CLASS_IMAGE"]
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.network_name = os.environ["CLASS_NETWORK"]
c.DockerSpawner.use_internal_ip = False
c.DockerSpawner.host_ip = "127.0.0.1"
c.DockerSpawner.port = 8888
c.DockerSpawner.name_template = f"{NAME}-{{username}}"
c.DockerSpawner.remove = True  # the container; the volume stays
c.DockerSpawner.cmd = ["classroom/learner.sh"]
c.DockerSpawner.volumes = {
    f"{NAME}-{{username}}": "/lab/learner",
    "/sys/kernel/tracing": "/sys/kernel/tracing",
    "/sys/fs/bpf": "/sys/fs/bpf",
}
c.DockerSpawner.read_only_volumes = {
    source: target
    for source, target in {"/lib/modules": "/lib/modules", "/usr/src": "/host/usr/src"}.items()
    if Path(source).is_dir()
}
c.Spawner.notebook_dir = "/lab"
c.Spawner.default_url = "/lab/tree/learner/00-start.ipynb"
c.Spawner.start_timeout = c.Spawner.http_timeout = 600  # on a busy host it takes minutes
c.Spawner.env_keep = ["LABKIT_QUICK"]
c.Spawner.mem_limit = os.environ.get("CLASS_MEMORY", "2G")
c.Spawner.cpu_limit = float(os.environ.get("CLASS_CPUS", min(2, os.cpu_count() or 1)))  # a lesson uses two at most

# Capabilities in place of --privileged, and process ids of its own: the service "reduced" of compose.yaml. It guards
# against accidents. Whoever means harm is root over all learners: then give each a kernel (k8s/values.yaml).
c.DockerSpawner.extra_host_config = {
    "cap_add": ["BPF", "PERFMON", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYSLOG", "IPC_LOCK"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "cgroupns": "private",
    "shm_size": "256m",
    "ulimits": [{"name": "nofile", "soft": 10000, "hard": 10000}, {"name": "nproc", "soft": 1000, "hard": 1000}],
    "pids_limit": 1000,
    "auto_remove": False,  # the spawner removes it; the engine would take what it said along
}

# -- who is idle leaves; who measures is not idle -------------------------------------------------------------

c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={IDLE_S}", "--cull-every=60"],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    }
]
