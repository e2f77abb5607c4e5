#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install what the hub needs, apart from the lab: its Python environment and the proxy, into build/classroom/.
# What is there already is left alone.
set -eu
cd "$(dirname "$0")/.."
to=build/classroom
log=build/classroom.log

# Two lines, as everything of the lab says it: what failed, how to fix it.
fail() {
    [ ! -s "$log" ] || tail -n 10 "$log" >&2
    printf 'classroom: %s\nFix: %s\n' "$1" "$2" >&2
    exit 1
}

key=$(cat classroom/hub.lock classroom/package-lock.json classroom/setup.sh | sha256sum | cut -d' ' -f1)
[ "$(cat $to/.ready 2>/dev/null)" != "$key" ] || exit 0
mkdir -p $to
command -v npm >/dev/null || fail "npm is missing, which brings the hub's proxy." "sudo apt-get install nodejs npm"
echo "  classroom  installing the hub (once)"
/usr/bin/python3 -m venv $to/venv >"$log" 2>&1 || fail "Python made no environment." "sudo apt-get install python3-venv"
$to/venv/bin/python -m pip install --no-deps --require-hashes -r classroom/hub.lock >>"$log" 2>&1 ||
    fail "pip could not install the hub." "check the network and \`pip config list\`"
cp classroom/package.json classroom/package-lock.json $to/
npm ci --prefix $to --no-fund --no-audit >>"$log" 2>&1 ||
    fail "npm could not install the proxy." "check the network and \`npm config list\`"
echo "$key" >$to/.ready
