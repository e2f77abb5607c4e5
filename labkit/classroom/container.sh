#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first command in new namespaces: container.sh TREE GIVEN OUT SCRATCH COMMAND...
# Everything is read-only but OUT, SCRATCH (the data of the lessons, on the real disk), and what is in memory.
set -eu
tree=$1 given=$2 out=$3 scratch=$4
shift 4

mount --make-rprivate /
mkdir -p "$scratch/data" "$scratch/cache" "$scratch/build"
while read -r _ place _; do
    case $place in
    /sys | /sys/* | /proc | /proc/* | /dev | /dev/*) ;;
    *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;;
    esac
done </proc/self/mounts
for folder in "$given" "$out" "$scratch"; do
    mount --bind "$folder" "$folder"
    mount -o remount,bind,rw "$folder"
done
mount -o remount,bind,ro "$given"
for folder in /run /dev/shm; do
    mount -t tmpfs -o size=256m tmpfs $folder
done
mkdir /run/lock
mount -t proc proc /proc
ip link set lo up
export TMPDIR="$scratch" LABKIT_GRADE_DATA="$scratch/data"
exec "$@"
