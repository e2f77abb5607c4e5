#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Open JupyterLab on the first lesson, with its table of contents. Always with a token, and reachable from this machine
# only: a notebook of the lab runs as root. (In a container LABKIT_LISTEN has it listen on all addresses, and the engine
# publishes one.) Arguments go to JupyterLab; scripts/lab.py refuses those that would let others in.
set -eu
cd "$(dirname "$0")/.."

folder=${LABKIT_NOTEBOOKS:-notebooks} # in a container, the learner's own copies
[ -z "${LABKIT_NOTEBOOKS-}" ] || labkit reset --new
first=$(echo "${folder#"$PWD/"}"/00-*.ipynb)

echo "JupyterLab starts; open the link below in a browser. Ctrl-C twice ends it."
exec python scripts/lab.py "$first" "$@"
