# SPDX-License-Identifier: Apache-2.0
"""Start JupyterLab with the lab's own settings only: python scripts/lab.py NOTEBOOK [JupyterLab's options]

It reads no settings file of this machine or user: one of them may have switched the token off. Only the learner's theme
and layout are kept, in the data folder. The settings that result are checked before the server opens. Then it is asked
without the token, and stopped unless it refuses.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, ClassVar

_KEPT = ("JUPYTER_PORT", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
for _name in [name for name in os.environ if name.startswith("JUPYTER") and name not in _KEPT]:
    del os.environ[_name]  # JUPYTER_TOKEN, JUPYTER_CONFIG_PATH, JUPYTER_GATEWAY_URL, ...
os.environ["JUPYTER_NO_CONFIG"] = "1"  # before jupyter_core is imported

import jupyterlab.labapp  # noqa: E402
from jupyter_server.auth.authorizer import AllowAllAuthorizer  # noqa: E402
from jupyter_server.auth.identity import PasswordIdentityProvider  # noqa: E402
from jupyter_server.serverapp import ServerApp  # noqa: E402
from jupyter_server.utils import JupyterServerAuthWarning  # noqa: E402
from tornado.httpclient import AsyncHTTPClient, HTTPRequest  # noqa: E402

from labkit.errors import LabkitError  # noqa: E402
from labkit.machine.folders import data_folder, others_may_write, repo_folder  # noqa: E402

SCRIPTS = repo_folder() / "scripts"
WORKSPACE = "default-37a8.jupyterlab-workspace"  # JupyterLab's own name for it
CLOSED = ("/api/status", "/api/contents", "/api/kernels")
LEAST_TOKEN = 32
FORBIDDEN = 403


def main() -> None:
    """Start the lab; does not return until it ends."""
    notebook, *options = sys.argv[1:]
    kept = settings_folder()
    (kept / "workspaces").mkdir(parents=True, exist_ok=True)
    (kept / "settings").mkdir(exist_ok=True)
    (kept / "settings/overrides.json").write_bytes((SCRIPTS / "jupyterlab-settings.json").read_bytes())
    if not (kept / "workspaces" / WORKSPACE).exists():
        (kept / "workspaces" / WORKSPACE).write_bytes((SCRIPTS / "jupyterlab-workspace.json").read_bytes())
    sys.argv = ["jupyter-lab", "--no-browser", *(["--allow-root"] if os.geteuid() == 0 else [])]
    # At this log level the link is all that it prints, unless something fails.
    sys.argv += ["--ServerApp.allow_unauthenticated_access=False"]
    sys.argv += ["--ServerApp.log_level=ERROR", "--LabApp.log_level=ERROR", f"--ServerApp.ip={address()}"]
    sys.argv += [f"--ServerApp.root_dir={repo_folder()}", f"--LabApp.default_url=/lab/tree/{notebook}"]
    sys.argv += [f"--LabApp.app_settings_dir={kept / 'settings'}", f"--LabApp.workspaces_dir={kept / 'workspaces'}"]
    sys.argv += [f"--LabApp.user_settings_dir={kept / 'user-settings'}", *options]
    # the terminals' web socket does not say that it wants the token; this server asks for it wherever nothing is said
    warnings.simplefilter("ignore", JupyterServerAuthWarning)
    LabApp.launch_instance()


def address() -> str:
    """Return the address to listen on: this machine's own, unless a container publishes one."""
    return os.environ.get("LABKIT_LISTEN") or "127.0.0.1"


def settings_folder() -> Path:
    """Return the folder of the learner's theme and layout; a temporary one where only that is safe."""
    try:
        folder = data_folder() / "jupyter/lab"
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, exist_ok=True)
            if reason := others_may_write(each):
                raise LabkitError(f"The folder {each} is not used: {reason}.", f"remove it: rm -r {each}")
        planted = next((path for path in folder.rglob("*") if others_may_write(path)), None)
        if planted is not None:
            raise LabkitError(f"{planted} is not the lab's own.", f"remove it: rm -r {planted}")
        if not os.access(folder, os.W_OK):
            raise LabkitError(f"The folder {folder} cannot be written.", "set LABKIT_DATA to a folder that can")
        return folder
    except (LabkitError, OSError) as cause:
        print(f"lab: your theme and layout are not kept. {cause}", file=sys.stderr)
        return Path(tempfile.mkdtemp(prefix="labkit-jupyter-"))


class LabApp(jupyterlab.labapp.LabApp):  # type: ignore[misc]
    """JupyterLab, which does not start unless it asks for a token."""

    serverapp_config: ClassVar[dict[str, Any]] = {
        **jupyterlab.labapp.LabApp.serverapp_config,
        "jpserver_extensions": {"jupyter_server_terminals": True},  # and no other that this machine has
    }

    @classmethod
    def get_extension_package(cls) -> str:
        """Return the package that holds JupyterLab itself."""
        return "jupyterlab"

    @classmethod
    def initialize_server(cls, *arguments: Any, **options: Any) -> ServerApp:
        """Read the options and make the server; end the process where they would let somebody in."""
        server: ServerApp = super().initialize_server(*arguments, **options)
        if weak := weaknesses(server):
            sys.exit(
                f"lab: not started, since {', and '.join(weak)}: a notebook of the lab runs as root.\n"
                "Fix: leave that option out"
            )
        server.io_loop.add_callback(stop_unless_it_refuses, server)
        return server


def weaknesses(server: ServerApp) -> list[str]:
    """Return what lets others in among the settings that a server has come to."""
    identity = server.identity_provider
    weak = {
        "the token is too short": len(identity.token) < LEAST_TOKEN,
        "a password would open it, too": bool(getattr(identity, "hashed_password", "")),
        "somebody else's class would check the token": type(identity) is not PasswordIdentityProvider,
        "somebody else's class would say who may do what": type(server.authorizer) is not AllowAllAuthorizer,
        "allow_unauthenticated_access is on": server.allow_unauthenticated_access,
        "disable_check_xsrf is on": server.disable_check_xsrf,
        "allow_origin lets other sites use it": bool(server.allow_origin or server.allow_origin_pat),
        "allow_credentials is on": server.allow_credentials,
        "allow_remote_access is on": server.allow_remote_access and address() == "127.0.0.1",
        f"it would listen on {server.ip or 'all addresses'}": server.ip != address() or bool(server.sock),
        "its kernels would run on another machine": server.gateway_config.gateway_enabled,
        "it would read a settings file": bool(server.config_file),
    }
    return [what for what, is_so in weak.items() if is_so]


async def stop_unless_it_refuses(server: ServerApp) -> None:
    """Ask the running server for what only the token opens, without the token."""
    scheme = "https" if server.certfile else "http"
    for path in CLOSED:
        url = f"{scheme}://127.0.0.1:{server.port}{server.base_url.rstrip('/')}{path}"
        request = HTTPRequest(url, request_timeout=20, validate_cert=False, follow_redirects=False)
        reply = await AsyncHTTPClient().fetch(request, raise_error=False)
        if reply.code != FORBIDDEN:
            print(f"lab: stopped, since {path} answered {reply.code} without the token.", file=sys.stderr)
            server.stop(from_signal=True)
            os._exit(1)


if __name__ == "__main__":
    main()
