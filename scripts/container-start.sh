#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the container does before its command, which is JupyterLab unless another is given: docker run ... labkit doctor
set -eu
cd "$(dirname "$0")/.."

# The host's kernel headers, next to the image's own: the image uses its own where the host has none.
for folder in /host/usr/src/*; do
    [ ! -d "$folder" ] || [ -e "/usr/src/${folder##*/}" ] || ln -s "$folder" /usr/src/
done

# Lesson 09 makes a cgroup below the container's own. Engines mount that read-only, or an older version only.
if ! awk '$3 == "cgroup2" && $4 ~ /^rw/ { found = 1 } END { exit !found }' /proc/mounts; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null ||
        echo "cgroup v2 cannot be mounted (no CAP_SYS_ADMIN?); \`labkit doctor\` says what it affects" >&2
fi

scripts/setup.sh
exec "$@"
