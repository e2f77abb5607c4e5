#!/bin/sh
# Open JupyterLab on the first lesson, with its table of contents. Always with a token, and reachable from this machine
# only: a notebook of the lab runs as root. (In a container LABKIT_LISTEN has it listen on all addresses, and the engine
# publishes one.) Arguments go to JupyterLab.
set -eu
cd "$(dirname "$0")/.."

folder=${LABKIT_NOTEBOOKS:-notebooks} # in a container, the learner's own copies
[ -z "${LABKIT_NOTEBOOKS-}" ] || labkit reset --new
first=$(echo "${folder#"$PWD/"}"/00-*.ipynb)
root=
[ "$(id -u)" != 0 ] || root=--allow-root

# Its own settings, beside your data files: what your other JupyterLabs are set to (no token, say) does not reach it, and
# the theme and layout that you choose stay.
export JUPYTER_CONFIG_DIR="${LABKIT_DATA:-$PWD/data}/jupyter"
unset JUPYTER_CONFIG_PATH JUPYTER_TOKEN JUPYTER_TOKEN_FILE
mkdir -p "$JUPYTER_CONFIG_DIR" 2>/dev/null && [ -w "$JUPYTER_CONFIG_DIR" ] || # the doctor says why not
    JUPYTER_CONFIG_DIR=$(mktemp -d)
workspace=$JUPYTER_CONFIG_DIR/lab/workspaces/default-37a8.jupyterlab-workspace # JupyterLab's own name for it
mkdir -p "$JUPYTER_CONFIG_DIR/lab/settings" "${workspace%/*}"
cp scripts/jupyterlab-settings.json "$JUPYTER_CONFIG_DIR/lab/settings/overrides.json"
[ -e "$workspace" ] || cp scripts/jupyterlab-workspace.json "$workspace"

# What this machine sets for all its users stands elsewhere: where that lets people in without a new token, we stop.
python - <<'PYTHON'
import sys

from jupyter_server.serverapp import ServerApp

app = ServerApp()
app.load_config_file()
for name in ("IdentityProvider", "PasswordIdentityProvider", "ServerApp", "NotebookApp"):
    for key in ("token", "password", "hashed_password"):
        if key in app.config[name]:
            sys.exit(
                f"lab: this machine's Jupyter settings say {name}.{key}, and the lab always asks for a token of its own.\n"
                "Fix: take it out; `jupyter --paths` names the folders in which its settings stand"
            )
PYTHON

echo "JupyterLab starts; open the link below in a browser. Ctrl-C twice ends it."
# At this log level the link is all that it prints, unless something fails.
exec jupyter lab --no-browser $root --ServerApp.log_level=ERROR --LabApp.log_level=ERROR \
    --ServerApp.ip="${LABKIT_LISTEN:-127.0.0.1}" --ServerApp.root_dir="$PWD" --LabApp.default_url="/lab/tree/$first" \
    --LabApp.app_settings_dir="$JUPYTER_CONFIG_DIR/lab/settings" "$@"
