#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the hub runs in a learner's container. Who gets in is the hub's decision: it has no token of its own.
set -eu
cd "$(dirname "$0")/.."

# A full volume must not keep a learner out: only in JupyterLab can they remove files.
labkit reset --new || true # it says what is wrong

# No settings file of the learner's weakens the server: it is published on the host's loopback.
export JUPYTER_NO_CONFIG=1
exec jupyterhub-singleuser --ip=0.0.0.0 --port=8888 --allow-root --ServerApp.log_level=WARN \
    --ServerApp.jpserver_extensions=jupyterlab=True --ServerApp.jpserver_extensions=jupyter_server_terminals=True
