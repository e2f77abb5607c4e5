#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run a command as the very first one on a fresh machine: a new, minimal file system of a distribution, with nothing in
# it but make and this tree as it was last committed. For maintainers, as root; needs debootstrap.
#
#   scripts/fresh-machine.sh trixie 'make test'         trixie, bookworm or noble
#   KEEP=1 scripts/fresh-machine.sh noble 'make setup'  keeps the file system, to look into it
#
# It is a privileged container without an engine: own mounts, processes and names; the kernel and network of this
# machine. The file system is scripts/fresh-base.sh's; FRESH_STORE and MIRROR are for that.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=${1:?which suite: bookworm, trixie or noble}
command=${2:?which command, such as 'make test'}
store=${FRESH_STORE:-/var/tmp/labkit-fresh} # not a tmpfs: the lessons want a real disk
root=$store/$suite.$$

mkdir -p "$store"
[ -n "${KEEP-}" ] || trap 'rm -rf --one-file-system "$root"' EXIT
scripts/fresh-base.sh "$suite" "$root"
mkdir "$root/lab"
git archive HEAD | tar -x -C "$root/lab"

mapfile -t settings < <(env | grep -E '^(PIP_|LABKIT_|SSL_CERT_|REQUESTS_CA_|CURL_CA_|[a-zA-Z]+_(proxy|PROXY)=)' |
    grep -v '^LABKIT_\(DATA\|CACHE\)=')
started=$SECONDS status=0
# A new sysfs shows no tracefs and no bpffs: to mount them is for setup.
# shellcheck disable=SC2016 # expanded inside
unshare --mount --pid --uts --ipc --fork --kill-child --propagation private bash -c '
    set -e
    root=$1
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o nosuid,nodev tmpfs "$root/dev/shm"
    mount -t tmpfs tmpfs "$root/run"
    cd "$root"
    pivot_root . mnt
    umount -l mnt
    shift
    env -i HOME=/root USER=root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" || exit $?
' fresh "$root" "${settings[@]}" /bin/bash -c "cd /lab && $command" </dev/null || status=$?
echo "fresh $suite: '$command' ended with $status after $((SECONDS - started)) s" >&2
[ -z "${KEEP-}" ] || echo "kept in $root" >&2
exit $status
