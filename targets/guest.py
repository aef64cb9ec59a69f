"""What runs inside a machine that we boot, before and beside its SSH server: two scripts for busybox's shell.

    kernel ── /init (initramfs): drivers, disks ──> /etc/edgerig/serve (root disk): network, SSH

The root disk is never written to: what lasts is on a disk of its own, /data, which is root's home. Keys and the board's
name come with the initramfs of each boot, in /given.
"""

from __future__ import annotations

READY = "edgerig: ready"  # the line of the console that says that SSH is answered
STOPPED = "edgerig: stopped"  # what STOP prints when the disk is in order
HOME = "data"
GIVEN = "given"
BUNDLES = "bundles"  # folder of the root disk whose folders the device finds unpacked already

# In the order of their needs; what a kernel has built in is not there as a file.
MODULES = ("virtio", "virtio_ring", "virtio_mmio", "virtio_blk", "failover", "net_failover", "virtio_net")

# norandmaps, transparent_hugepage: where a library lies, and whether the kernel finds a huge page for it, changes the
# instructions of a frame by up to 4e-4 from one process to the next; with the same addresses it is 5e-5.
KERNEL = "console=ttyAMA0 quiet loglevel=4 panic=-1 norandmaps transparent_hugepage=never"

INIT = r"""#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /dev /proc /sys /disk
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for module in /modules/*.ko; do
    $b insmod "$module" || echo "edgerig: the driver $module cannot be loaded"
done
for disk in /sys/block/vd*; do
    read -r name < "$disk/serial"
    case $name in
        root) root=/dev/${disk##*/} ;;
        data) data=/dev/${disk##*/} ;;
    esac
done
if ! $b mount -t ext4 -o ro,noatime "$root" /disk || ! $b mount -t ext4 -o noatime,discard "$data" /disk/data; then
    echo "edgerig: the disks cannot be mounted"
    $b poweroff -f
fi
$b mount -t tmpfs -o mode=0755 run /disk/run
$b cp -r /given /disk/run/given
for place in dev proc sys; do $b mount --move /$place /disk/$place; done
exec $b switch_root /disk /bin/sh /etc/edgerig/serve
"""

# SSH's server answers as soon as its port (22, in hexadecimal 16) is in the kernel's list.
SERVE = r"""b=/bin/busybox
given=/run/given
root=/data/.cache/edgerig
$b mkdir -p /dev/pts /dev/shm /data/.ssh "$root/bundles"
$b mount -t devpts pts /dev/pts
$b mount -t tmpfs shm /dev/shm
$b mount -t tmpfs tmp /tmp
$b mount -t tmpfs -o mode=0700 ssh /data/.ssh
$b cp $given/authorized_keys /data/.ssh/
$b mount --bind $given/model /sys/firmware/devicetree/base/model
$b hostname edgerig-machine
for bundle in /bundles/*; do
    name=${bundle##*/}
    [ -e "$root/bundles/$name" ] || $b ln -sfn "$bundle" "$root/bundles/$name"
done
$b ip link set lo up
$b ip addr add 10.0.2.15/24 dev eth0
$b ip link set eth0 up
/usr/sbin/dropbear -F -E -s -j -k -r $given/host_key &
ssh=$!
until $b grep -q ':0016 ' /proc/net/tcp; do
    [ -d /proc/$ssh ] || { echo 'edgerig: the SSH server ended'; $b poweroff -f; }
    $b usleep 1000
done
echo 'edgerig: ready'
wait
$b poweroff -f
"""

# A disk that is mounted read-only has nothing left to write.
STOP = ("sh", "-c", "sync; mount -o remount,ro /data && echo 'edgerig: stopped'")
