#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make the lab run in a new Debian machine, and print its link. vm/lima.yaml and vm/cloud-init.yaml call this, as root.
#
#   vm/provision.sh          installs the lab from the tree that this file is in, starts it, prints the link
#   vm/provision.sh link     prints the link of the lab that runs
#
# The lab listens on the machine's own 127.0.0.1 and asks for a token, as after `make lab`. Where systemd runs, the lab
# is a service, so it starts again with the machine. A second run changes nothing but the lab's version.
set -euo pipefail
cd "$(dirname "$0")/.."

home=/opt/ebpf-io-lab
log=/var/log/ebpf-io-lab.log # readable by root only: it has the token
unit=/etc/systemd/system/ebpf-io-lab.service
wait_s=${LABKIT_START_S:-900} # after setup; an emulated machine takes minutes to start Python

# Two lines, as everything of the lab says it: what failed, how to fix it.
fail() {
    printf '\nprovision: %s\nFix: %s\n' "$1" "$2" >&2
    exit 1
}

newest_link() {
    [ ! -r "$log" ] || grep -Eo 'http://127\.0\.0\.1:[0-9]+/[^ ]*[?&]token=[[:alnum:]]+' "$log" | tail -n 1
}

install_lab() {
    local here=$PWD
    if ! command -v git >/dev/null || ! command -v make >/dev/null; then
        if ! apt-get -q update || ! DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
            ca-certificates git make; then
            fail "git and make could not be installed." "check the network and /etc/apt"
        fi
    fi
    if [ "$here" != "$home" ]; then
        mkdir -p "$home"
        cp -a "$here/." "$home/"
    fi
    "$home/scripts/setup.sh"
}

start_lab() {
    install -m 600 /dev/null "$log" # no link of an earlier start
    if [ ! -d /run/systemd/system ]; then
        setsid make -C "$home" lab >>"$log" 2>&1 </dev/null &
        return
    fi
    cat >"$unit" <<END
[Unit]
Description=eBPF I/O Lab (JupyterLab on 127.0.0.1, with a token)
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/make -C $home lab
Environment=HOME=/root
StandardOutput=append:$log
StandardError=append:$log
Restart=on-failure
RestartSec=10

[Install]
WantedBy=multi-user.target
END
    systemctl daemon-reload
    systemctl enable ebpf-io-lab.service
    systemctl restart ebpf-io-lab.service
}

print_link() {
    local link
    link=$(newest_link || true)
    [ -n "$link" ] || fail "The lab has printed no link yet." "look at its log: sudo tail $log"
    printf '\nThe lab runs. Open this link in a browser on this machine:\n\n  %s\n\n' "$link"
    printf 'From another machine, first: ssh -L 8888:127.0.0.1:8888 USER@THIS-MACHINE   (Lima forwards the port itself)\n'
}

[ "$(id -u)" = 0 ] || fail "Not root." "sudo $0 $*"
case ${1-} in
link) ;;
'')
    install_lab
    start_lab
    for ((waited = 0; waited < wait_s; waited++)); do
        [ -z "$(newest_link || true)" ] || break
        sleep 1
    done
    ;;
*) fail "$1 is not known." "$0, or $0 link" ;;
esac
print_link
