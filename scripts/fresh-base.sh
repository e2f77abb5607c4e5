#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make the file system of a fresh machine: a new, minimal Debian or Ubuntu with make in it, and with what this machine
# needs to reach its registries (certificates, pip's and apt's settings), as an administrator would put it there.
#
#   scripts/fresh-base.sh trixie FOLDER    trixie, bookworm or noble
#   MIRROR=URL ...                         where the packages come from; else this machine's own mirror
#
# The first call for a suite makes a base, which is kept; the others copy it. As root; needs debootstrap.
set -euo pipefail

suite=${1:?which suite: bookworm, trixie or noble}
root=${2:?which folder, not there yet}
store=${FRESH_STORE:-/var/tmp/labkit-fresh} # not a tmpfs: the lessons want a real disk
base=$store/$suite.base

acquire_base() {
    local mirror=${MIRROR-} components=main site script=
    [ "$suite" != noble ] || components=main,universe
    # shellcheck disable=SC2016 # apt expands it
    site=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' | head -n 1)
    if [ -z "$mirror" ] && [ "$suite" != noble ] && [ "${site%% *}" = Debian ]; then
        mirror=${site##* }
    fi
    # A debootstrap that is older than the suite: Ubuntu's suites are all made by one script, named by its first.
    [ -e "/usr/share/debootstrap/scripts/$suite" ] || script=gutsy
    if [ -n "$script" ] && [ -z "$mirror" ]; then
        echo "This debootstrap does not know where $suite is. Fix: pass MIRROR=URL" >&2
        exit 1
    fi
    echo "making a base of $suite (once)" >&2
    rm -rf "$base.part"
    # shellcheck disable=SC2086 # no mirror: debootstrap's own
    if ! debootstrap --variant=minbase --include=make --components=$components "$suite" "$base.part" $mirror $script \
        >"$store/$suite.log"; then
        tail -n 5 "$store/$suite.log" >&2
        exit 1
    fi
    rm -rf "$base.part/var/cache/apt/archives/"*.deb
    mv "$base.part" "$base"
}

take_settings() {
    local certificates=$root/usr/local/share/ca-certificates
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
    apt-config dump --format '%F "%v";%n' Acquire | grep -E '^Acquire::(http|https|ftp|Check|Retries|Force)' \
        >"$root/etc/apt/apt.conf.d/99this-machine" || true
    # A local authority is often only in the bundle, where the next update-ca-certificates would lose it.
    mkdir -p "$certificates"
    csplit --quiet --elide-empty-files --prefix "$certificates/this-machine-" --suffix-format '%03d.crt' \
        /etc/ssl/certs/ca-certificates.crt '/-BEGIN CERTIFICATE-/' '{*}'
}

mkdir -p "$store"
[ -d "$base" ] || acquire_base
cp -a "$base" "$root"
take_settings
