#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run a command of the lab as root, through sudo if need be: the kernel takes BPF programs from root only.
#
# Root's own home is used, so that nothing in yours comes to belong to root; and whatever the command wrote in this
# tree is given back to you at its end.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck disable=SC2016 # expanded by root's shell
give_back='
    trap : INT TERM HUP  # the command ends by itself; what it wrote is still given back
    "$@"
    status=$?
    find . -xdev -user root -exec chown -h "$SUDO_UID:$SUDO_GID" {} +
    exit $status
'

if [ "$(id -u)" = 0 ]; then
    [ "$(stat -c %u .)" = "${SUDO_UID-}" ] || exec "$@"
    exec bash -c "$give_back" as-root "$@" # `sudo make`, in a tree of whoever said so
fi

if ! command -v sudo >/dev/null || { ! sudo -n true 2>/dev/null && [ ! -t 0 ]; }; then
    echo "Not root, and sudo cannot ask for a password here: what needs BPF will not run." >&2
    exec "$@"
fi

mapfile -t settings < <(env | grep -E '^(LABKIT_[A-Z_]*|LANG|TERM)=')
exec sudo -H env "PATH=$PATH" "${settings[@]}" bash -c "$give_back" as-root "$@"
