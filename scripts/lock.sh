#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make the lock files from pyproject.toml (`make lock`); maintainers only, needs uv.
#
# One version of each package works for every Python and architecture that the lab supports; every file has its hash.
# requirements.lock: what the lab needs to run. requirements-test.lock: that and what its tests need.
# requirements-docs.lock: that of the lessons and what `make docs` needs, for an environment of its own.
# Newer versions: LOCK_FLAGS=--upgrade make lock
set -eu
cd "$(dirname "$0")/.."

compile() {
    # shellcheck disable=SC2086 # several flags in one variable
    uv pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --universal --fork-strategy fewest --generate-hashes ${LOCK_FLAGS-} "$@"
}

# setuptools builds the editable labkit itself; pip must not fetch an unlocked one for that.
echo setuptools | compile pyproject.toml - -o requirements.lock
echo setuptools | compile pyproject.toml - --extra test -c requirements.lock -o requirements-test.lock
echo setuptools | compile pyproject.toml - --extra docs -c requirements.lock -o requirements-docs.lock

# The hub of a class has an environment apart; the container of a learner gets the hub's JupyterHub over what it has.
compile --python-version 3.11 classroom/requirements.txt -o classroom/hub.lock
grep '^jupyterhub==' classroom/hub.lock | sed 's/ .*//' |
    compile --python-version 3.11 -c requirements.lock - -o classroom/learner.lock
