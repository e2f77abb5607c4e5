#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build the lab's image and start it, with docker or podman, whichever is here; print the link with its token.
#
#   make container              privileged: everything works
#   make container REDUCED=1    capabilities and mounts in place of --privileged: docs/container.md says what works
#   PORT=9999 make container    another port of this machine, on 127.0.0.1 in any case
#   scripts/container.sh stop   end it; your notebooks and data files stay, in its volumes
#   scripts/container.sh image  build the image, and the one that a class needs over it: make classroom-image
#
# ENGINE="sudo podman" names an engine; NAME= another name for the container; BUILD_FLAGS and RUN_FLAGS go to the
# engine's build and run; DRY_RUN=1 only shows them.
# What each flag is for: compose.yaml, which says the same to those who use compose.
set -eu
cd "$(dirname "$0")/.."

image=labkit:local
name=${NAME:-labkit} # of the container, and of its volumes
start_s=120

# Two lines, as everything of the lab says it: what failed, how to fix it.
fail() {
    printf 'container: %s\nFix: %s\n' "$1" "$2" >&2
    exit 1
}

run() {
    if [ -n "${DRY_RUN-}" ]; then
        echo "$@" >&2
    else
        "$@"
    fi
}

# Print the engine's command; one that is installed and does not answer is passed over.
find_engine() {
    silent=
    for candidate in docker podman; do
        command -v $candidate >/dev/null || continue
        if [ "$candidate" = podman ] && [ "$(id -u)" != 0 ]; then # its containers are root's only when root starts them
            candidate="sudo podman"
        fi
        if [ "$candidate" = docker ] && docker info 2>/dev/null | grep -qE '^ *rootless(: true)?$'; then # also podman by that name
            fail "This docker runs without root, and the kernel takes eBPF programs from the machine's root only." \
                "use a docker that runs as root, or: sudo apt-get install podman && ENGINE='sudo podman' make container"
        fi
        if $candidate info >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
        silent="$silent $candidate"
    done
    [ -z "$silent" ] || fail "No container engine answers; tried:$silent." \
        "sudo systemctl start docker   (or run the same command as root; or: sudo apt-get install podman)"
    fail "There is neither docker nor podman here." "sudo apt-get install podman   (or without a container: make lab)"
}

flags() {
    echo "--cgroupns private --shm-size 256m"
    echo "--publish 127.0.0.1:${PORT:-8888}:8888"
    echo "--volume $name-data:/lab/data --volume $name-learner:/lab/learner"
    if [ -n "${REDUCED-}" ]; then
        echo "--cap-add BPF --cap-add PERFMON --cap-add NET_ADMIN --cap-add SYS_ADMIN --cap-add SYS_PTRACE"
        echo "--cap-add SYSLOG --cap-add IPC_LOCK"
        echo "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    else
        echo "--privileged --pid host"
    fi
    echo "--volume /sys/kernel/tracing:/sys/kernel/tracing --volume /sys/fs/bpf:/sys/fs/bpf"
    # An engine makes what is not there, or gives up; neither is wanted for these.
    [ ! -d /lib/modules ] || echo "--volume /lib/modules:/lib/modules:ro"
    [ ! -d /usr/src ] || echo "--volume /usr/src:/host/usr/src:ro"
}

stop() {
    run $engine rm --force "$name" >/dev/null
}

token() {
    $engine exec "$name" jupyter server list --json 2>/dev/null | sed -n 's/.*"token": "\([^"]*\)".*/\1/p'
}

wait_until_it_answers() {
    waited=0
    until $engine exec "$name" scripts/container-health.sh >/dev/null 2>&1; do
        waited=$((waited + 1))
        if [ $waited = $start_s ] || [ "$($engine container inspect -f '{{.State.Running}}' "$name" 2>&1)" != true ]; then
            $engine logs --tail 15 "$name" >&2
            fail "JupyterLab does not answer in the container." "$engine logs $name"
        fi
        sleep 1
    done
}

engine=${ENGINE:-$(find_engine)}
if [ "${1-}" = stop ]; then
    stop
    exit
fi
[ ! -f /proc/sys/kernel/osrelease ] || [ -d /sys/kernel/tracing ] || [ -n "${DRY_RUN-}" ] ||
    fail "This kernel shows no /sys/kernel/tracing." "use a Linux machine or virtual machine whose kernel is yours"

# Podman's own image format has no health check.
format=
case $engine in *podman*) format="--format docker" ;; esac
# shellcheck disable=SC2086 # several words each
run $engine build $format ${BUILD_FLAGS-} --tag $image .
if [ "${1-}" = image ]; then
    # shellcheck disable=SC2086
    run $engine build $format ${BUILD_FLAGS-} --tag labkit-class:local --file classroom/Dockerfile .
    exit
fi
stop 2>/dev/null || true # what is running; the learner's work is in the volumes
# shellcheck disable=SC2046,SC2086
run $engine run --detach --name "$name" $(flags) ${RUN_FLAGS-} $image >/dev/null
[ -z "${DRY_RUN-}" ] || exit 0
wait_until_it_answers

# The learner's own copy of the first lesson: those in notebooks/ are gone with the container.
first=$(basename "$(echo notebooks/00-*.ipynb)")
echo "The lab is open:  http://127.0.0.1:${PORT:-8888}/lab/tree/learner/$first?token=$(token)"
echo "Your notebooks are kept in the volume $name-learner. To end it: scripts/container.sh stop"
