#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first command in the virtual machine: guest.sh TREE PYTHON_PREFIX SECONDS QUICK
# The root is this machine's tree, read-only, under an overlay in memory; /dev/vda holds the data of the lessons;
# the notebooks are in /media; what is written to /mnt, and nothing else, reaches the host.
set -eu
tree=$1 prefix=$2 seconds=$3 quick=$4
host=/run/lab-host scratch=/run/lab-scratch root=/run/lab-root

mkdir -p $host $scratch $root
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=524288 lab $host
mount -t tmpfs -o size=75% tmpfs $scratch
mkdir $scratch/upper $scratch/work
mount -t overlay -o lowerdir=$host,upperdir=$scratch/upper,workdir=$scratch/work overlay $root
for folder in /proc /sys /dev /lib/modules /mnt /media; do
    mount --rbind $folder $root$folder
done
for folder in /run /dev/shm /tmp; do
    mount -t tmpfs tmpfs $root$folder
done
mkdir $root/run/lock $root/run/data
mount -t ext4 /dev/vda $root/run/data
grep -q " /sys/kernel/tracing tracefs" /proc/mounts || mount -t tracefs tracefs $root/sys/kernel/tracing
mount -t bpf bpf $root/sys/fs/bpf || true
ip link set lo up

cd $root
# A chroot would do, but in one the kernel refuses namespaces.
# shellcheck disable=SC2016 # expanded inside
exec unshare --mount --propagation private sh -c '
    mkdir run/old
    pivot_root . run/old
    umount -l /run/old
    mkdir /run/data/data /run/data/cache
    export LABKIT_GRADE_DATA=/run/data/data LABKIT_CACHE=/run/data/cache TMPDIR=/run/data HOME=/root LABKIT_QUICK="$4"
    export PATH="$2/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" PYTHONPATH="$1"
    cd /
    exec python -m labkit.classroom.worker /media /mnt "$3"
' guest "$tree" "$prefix" "$seconds" "$quick"
