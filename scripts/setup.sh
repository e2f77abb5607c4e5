#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Install all that the lab needs, in this order: packages, mounts, .venv, the C programs.
#
#   scripts/setup.sh            for the lessons
#   scripts/setup.sh test       for the tests as well
#   scripts/setup.sh docs       what `make docs` needs, in an environment of its own; nothing else
#   scripts/setup.sh engine     a container engine, for `make test-container`; nothing else
#   scripts/setup.sh emulate    an emulator of 64-bit ARM, for `make test-kernels ARCH=arm64`; nothing else
#   scripts/setup.sh packages   packages and mounts alone, for conda: where an environment is active, it gets the links
#   scripts/setup.sh python     the locked Python packages too, without this tree: a layer of the container image
#
# What is there already is left alone, so a second run takes about a second.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin" # Debian gives these to root only

what=${1:-run}
log=build/setup.log
venv=.venv
[ "$what" != docs ] || venv=.venv-docs

say() { printf '  %-10s %s\n' "$1" "$2"; }

# Two lines, as everything of the lab says it: what failed, how to fix it.
fail() {
    printf '\nsetup: %s\nFix: %s\n' "$1" "$2" >&2
    exit 1
}

# Run a slow step with its output in the log; show the end of that if it fails.
quietly() {
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        tail -n 15 "$log" >&2
        return 1
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

require_root() { # WHY
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        fail "Not root, and there is no sudo: $1" "run the same command as root, or install sudo and join its group"
}

check_distribution() {
    ID=unknown VERSION_ID='' PRETTY_NAME='this system'
    [ ! -r /etc/os-release ] || . /etc/os-release
    command -v apt-get >/dev/null || fail \
        "$PRETTY_NAME is not supported: the lab's packages come from Debian or Ubuntu through apt-get." \
        "use Debian 12 or 13, in a virtual machine or a privileged container (see README.md)"
    case "$ID $VERSION_ID" in
    "debian 12" | "debian 13") ;;
    *) say warning "$PRETTY_NAME was not tested; Debian 12 and Debian 13 were, and Ubuntu 24.04 should work" ;;
    esac
}

is_installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

# The running kernel's own headers where the distribution has them: on Debian 13 others bring a kernel along.
prefer_own_headers() {
    local package own
    own=linux-headers-$(uname -r)
    while read -r package; do
        if [[ $package = linux-headers-* ]] && ! is_installed "$package" &&
            { is_installed "$own" || apt-cache show "$own" >/dev/null 2>&1; }; then
            package=$own
        fi
        echo "$package"
    done
}

missing_packages() {
    local wanted
    wanted=$(scripts/packages.sh "$@" | prefer_own_headers)
    # shellcheck disable=SC2086 # one word a package
    comm -23 <(sort -u <<<"$wanted") \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u)
}

apt_update() { as_root apt-get -q -o DPkg::Lock::Timeout=300 update; }

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confold install --no-install-recommends "$@"
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages run)
    [ ${#missing[@]} != 0 ] || return 0
    require_root "cannot install ${missing[*]}"
    say packages "installing ${#missing[@]} (a few minutes; the log is $log)"
    quietly apt_update ||
        fail "apt-get could not read the package lists." "check the network and /etc/apt, then: sudo apt-get update"
    mapfile -t missing < <(missing_packages run) # the lists say more now
    quietly apt_install "${missing[@]}" ||
        fail "apt-get could not install: ${missing[*]}" \
            "sudo apt-get install ${missing[*]}   (on Ubuntu first: sudo add-apt-repository universe)"
}

# What only some tests need may fail to install: those tests say so.
install_for_tests() { # SECTION
    local missing
    mapfile -t missing < <(missing_packages "$1")
    [ ${#missing[@]} != 0 ] || return 0
    say packages "installing ${missing[*]} for the tests"
    if ! quietly apt_update || ! quietly apt_install "${missing[@]}"; then
        say warning "could not install ${missing[*]}: the tests that need it will skip or fail"
    fi
}

mount_once() { # TYPE FOLDER
    ! grep -q " $2 $1 " /proc/mounts || return 0
    say mount "$1 on $2"
    quietly as_root mount -t "$1" "$1" "$2" ||
        say warning "could not mount $1 on $2 (not privileged?); \`labkit doctor\` says what it affects"
}

# The key changes with anything that the environment is made from.
key() { cat "$1" pyproject.toml scripts/setup.sh scripts/jupyterlab-settings.json | sha256sum | cut -d' ' -f1; }

make_venv() {
    local lock stamp
    # A tree that was moved, a distribution that was upgraded, a setup that was killed leave one that does not work.
    if ! grep -qxF "command = /usr/bin/python3 -m venv $PWD/$venv" $venv/pyvenv.cfg 2>/dev/null ||
        ! $venv/bin/python -c 'import pip' 2>/dev/null; then
        rm -rf $venv
        say python ".venv from $(/usr/bin/python3 -V)"
        quietly /usr/bin/python3 -m venv "$PWD/$venv" ||
            fail "Python could not make the environment .venv." "sudo apt-get install --reinstall python3-venv"
    fi
    lock=requirements.lock stamp=$venv/.setup-run
    [ "$what" != test ] || lock=requirements-test.lock stamp=$venv/.setup-test
    [ "$what" != docs ] || lock=requirements-docs.lock
    [ "$(cat $stamp 2>/dev/null)" != "$(key $lock)" ] || return 0
    say python "installing $(grep -c == $lock) packages from $lock"
    # pip's own configuration (proxy, certificates, mirrors) is obeyed; the hashes hold wherever a file comes from.
    quietly $venv/bin/python -m pip install --no-deps --require-hashes -r $lock ||
        fail "pip could not install the locked packages." "check the network and \`pip config list\`, then run make again"
    if [ "$what" = docs ]; then
        key $lock >$stamp
        return 0
    fi
    [ "$what" != python ] || return 0
    quietly $venv/bin/python -m pip install --no-deps --no-build-isolation -e . ||
        fail "pip could not install labkit from this tree." "read $log"
    $venv/bin/python -m labkit.machine.bcc
    install -D -m 644 scripts/jupyterlab-settings.json $venv/share/jupyter/lab/settings/overrides.json
    link_tools $venv/bin
    key $lock >$stamp
}

# Two programs that a distribution hides.
link_tools() { # FOLDER
    local found folder=$1
    # Ubuntu's bpftool is a script for the one kernel it was packaged with; the program itself works with any kernel.
    if ! bpftool version >/dev/null 2>&1; then
        found=$(find /usr/lib -path '/usr/lib/linux-tools*/bpftool' 2>/dev/null | sort -V | tail -n 1)
        [ -z "$found" ] || ln -sf "$found" "$folder/bpftool"
    fi
    # One binary is the server and the checker, by the name it is called. The package redis-server adds only a service.
    if ! command -v redis-server >/dev/null && [ -x /usr/bin/redis-check-rdb ]; then
        ln -sf /usr/bin/redis-check-rdb "$folder/redis-server"
    fi
}

build_programs() {
    quietly make -s -C c || fail "The C programs did not build." "read $log; to see the commands: make -C c V=1"
}

{ mkdir -p build && : >"$log"; } 2>/dev/null ||
    fail "This folder is not yours to write: $PWD" "sudo chown -R \"\$(id -un)\" '$PWD', or take the lab where you may write"
unset PYTHONHOME PYTHONPATH
check_distribution
if [ "$what" = engine ] || [ "$what" = emulate ]; then
    install_for_tests "$what"
    exit
fi
if [ "$what" = docs ]; then
    make_venv
    exit
fi
install_packages
[ "$what" != test ] || install_for_tests test
[ "$what" != test ] || [ "$(dpkg --print-architecture)" != amd64 ] || install_for_tests cross
if [ "$what" != python ]; then
    mount_once tracefs /sys/kernel/tracing
    mount_once bpf /sys/fs/bpf
fi
if [ "$what" = packages ]; then
    [ -z "${CONDA_PREFIX-}" ] || link_tools "$CONDA_PREFIX/bin"
    exit
fi
make_venv
[ "$what" != python ] || exit 0
build_programs
