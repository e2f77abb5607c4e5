#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first command in the emulated machine: guest.sh TREE BOOT COMMAND...
#
# The machine's own file tree is the guest's, read only. A second, cached mount of it becomes the root (without a cache
# reading takes twice as long), under an overlay in memory that takes every write. Two disks: /dev/vda for the data of
# the tests, since the lessons want a real block device; /dev/vdb with the kernel headers. BOOT holds the kernel's own configuration. What is written to /mnt
# reaches the host.
set -eu
tree=$1 boot=$2
shift 2

host=/run/lab-host scratch=/run/lab-scratch root=/run/lab-root
mkdir -p $host $scratch $root
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=524288 lab $host
mount -t tmpfs -o size=75% tmpfs $scratch
mkdir $scratch/upper $scratch/work
mount -t overlay -o lowerdir=$host,upperdir=$scratch/upper,workdir=$scratch/work overlay $root

for folder in /proc /sys /dev /lib/modules /mnt; do
    mount --rbind $folder $root$folder
done
for folder in /run /dev/shm; do
    mount -t tmpfs tmpfs $root$folder
done
# On a very busy machine udev gives up before it has loaded the disks' driver; the kernel itself makes their files.
modprobe virtio_blk || true
for _ in $(seq 60); do
    [ ! -b /dev/vda ] || [ ! -b /dev/vdb ] || break
    sleep 1
done
mkdir -p "$root$tree/build/test-data"
mount -t ext4 /dev/vda "$root$tree/build/test-data"
mount -t ext4 -o ro /dev/vdb $root/usr/src
mount --bind "$root$boot" $root/boot
grep -q " /sys/kernel/tracing tracefs" /proc/mounts || mount -t tracefs tracefs $root/sys/kernel/tracing
mount -t bpf bpf $root/sys/fs/bpf
ip link set lo up

cd $root
# A chroot would do, but in one the kernel refuses user namespaces.
# shellcheck disable=SC2016 # expanded inside
exec unshare --mount --propagation private sh -c '
    mkdir run/old
    pivot_root . run/old
    umount -l /run/old
    cd "$1"
    mkdir build/test-data/tmp
    export TMPDIR="$1/build/test-data/tmp" HOME=/root LABKIT_CACHE=/var/cache/labkit
    export PATH="$1/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    shift
    "$@" >/mnt/output 2>&1
' guest "$tree" "$@"
