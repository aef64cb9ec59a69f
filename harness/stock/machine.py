"""Images of machines that are emulated as a whole: Debian's kernel and SSH server, a bundle, and two scripts of ours.

    kernel       linux-image-cloud-arm64, which has the drivers of emulated disks and networks
    initramfs    busybox and those drivers
    root.ext4    an SSH server with its libraries, busybox, and the tree of a bundle, unpacked already

Nothing needs root, and nothing of what runs in the machine runs while it is built. An image goes by what it is made of:
where the same packages made one before, none is built.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from edgerig import digest, files, process
from edgerig.errors import ConfigError, HostError
from harness import places
from harness.stock import debian
from harness.stock.bundle import Bundle
from harness.stock.debian import Deb
from targets import cpio, ext4, guest, image
from targets.image import Contents, Image, Package

RECIPE = 1  # raised when the same packages make another image than before
ROOM_MB = 64  # that a root disk has beyond its files, for its own tables
Teller = Callable[[str], None]

# By what `uname -m` says.
KERNELS = {"aarch64": "linux-image-cloud-arm64"}
# SSH's server with its libraries, the program that serves files over it, and a shell with all small tools in one.
PACKAGES = (
    *("busybox-static", "dropbear-bin", "openssh-sftp-server"),
    *("libc6", "libcrypt1", "libgmp10", "libtomcrypt1", "libtommath1", "zlib1g"),
)
# Names under which scripts ask for busybox's tools.
TOOLS = (
    *("awk", "basename", "cat", "chmod", "cp", "cut", "date", "df", "dirname", "dmesg", "du", "env", "find", "free"),
    *("grep", "gzip", "head", "hostname", "id", "kill", "ln", "ls", "mkdir", "mount", "mv", "nice", "nohup", "ps"),
    *("readlink", "realpath", "rm", "rmdir", "sed", "seq", "setsid", "sh", "sha256sum", "sleep", "sort", "stat"),
    *("sync", "tail", "tar", "taskset", "test", "timeout", "top", "touch", "tr", "true", "umount", "uname", "uniq"),
    *("uptime", "vi", "wc", "which", "xargs"),
)
# What nothing there reads: conversions between character sets, the programs of libc6 and dropbear's client.
DROPPED = ("usr/lib/*/gconv", "usr/share/man", "usr/share/doc/*/changelog*", "usr/share/initramfs-tools", "usr/bin/*")
MOUNTED = ("data", "dev", "proc", "run", "sys", "tmp")

_TEXTS = {
    "etc/passwd": f"root:x:0:0:root:/{guest.HOME}:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/shells": "/bin/sh\n",
    "etc/hosts": "127.0.0.1 localhost edgerig-machine\n",
    "etc/os-release": 'PRETTY_NAME="Debian 12 on an emulated machine"\nID=debian\nVERSION_ID="12"\n',
    "etc/edgerig/serve": guest.SERVE,
}


def build(
    held: Bundle, folder: Path, *, mirror: str = debian.MIRROR, tell: Teller = lambda _: None
) -> tuple[Image, bool]:
    """Build an image from the newest packages, unless they made one before; return it and whether it was there.

    Args:
        held: the bundle that the machine finds unpacked; its architecture is the machine's.
        folder: of images.
        mirror: of Debian.
        tell: is told what is done now.

    Raises:
        ConfigError: there are no machines of that architecture.
        HostError: packages cannot be had, or this computer cannot make the image of them.
    """
    machine = held.contents.machine
    if machine not in KERNELS:
        raise ConfigError(f"no machine is built for '{machine}'.", f"Known: {', '.join(KERNELS)}.")
    ext4.program()  # before 40 MB are fetched for nothing
    tell(f"asking {mirror} for a kernel and {len(PACKAGES)} packages of Debian {debian.RELEASE}, {machine}")
    debs, kernel = debian.fetch(PACKAGES, machine, mirror), _kernel(machine, mirror)
    contents = _contents(held, [*debs, kernel], kernel)
    name = f"{machine}-{digest.of_json(contents.model_dump(mode='json'))[:16]}"
    if (folder / name / image.INDEX).is_file():
        return Image.read(folder / name), True
    with tempfile.TemporaryDirectory(dir=files.make_folder(folder), prefix=".new-") as place:
        made = Path(place, name)
        made.mkdir()
        _make(held, debs, kernel, made, tell)
        built = datetime.now(UTC).isoformat(timespec="seconds")
        size = sum(path.stat().st_blocks * 512 for path in made.iterdir())
        index = Image(name=name, bytes=size, built=built, contents=contents)
        files.write(made / image.INDEX, index.model_dump_json(indent=1).encode() + b"\n")
        with files.writing(folder / name):
            shutil.rmtree(folder / name, ignore_errors=True)
            made.rename(folder / name)
    return Image.read(folder / name), False


def machines_folder() -> Path:
    """Return the folder of images, where targets look for theirs."""
    return image.folder(places.devices())


def _kernel(machine: str, mirror: str) -> Deb:
    """Return the package of the newest kernel: the one that Debian's own name for it stands for."""
    (name,) = debian.fetch([KERNELS[machine]], machine, mirror)
    depends = process.run(["dpkg-deb", "--field", str(name.path), "Depends"])
    found = re.match(r"(linux-image-[a-z0-9.+-]+)", depends)
    if not found:
        raise HostError(f"Debian's {KERNELS[machine]} names no kernel: it depends on '{depends.strip()}'.")
    return debian.fetch([found[1]], machine, mirror)[0]


def _contents(held: Bundle, debs: Sequence[Deb], kernel: Deb) -> Contents:
    ours = [RECIPE, guest.KERNEL, guest.INIT, guest.SERVE, guest.MODULES, TOOLS, DROPPED, _TEXTS, ROOM_MB]
    return Contents(
        recipe=digest.of_json(ours),
        machine=held.contents.machine,
        debian=debian.RELEASE,
        kernel=kernel.version,
        bundle=held.name,
        packages=tuple(Package(name=deb.name, version=deb.version, sha256=deb.sha256) for deb in debs),
    )


def _make(held: Bundle, debs: Sequence[Deb], kernel: Deb, made: Path, tell: Teller) -> None:
    with tempfile.TemporaryDirectory() as place:
        root, unpacked = Path(place, "root"), Path(place, "kernel")
        tell("unpacking them")
        for deb in debs:
            debian.unpack(deb, root)
        debian.unpack(kernel, unpacked)
        shutil.copyfile(_one(unpacked, "boot/vmlinuz-*"), made / image.KERNEL)
        (made / image.INITRAMFS).write_bytes(initramfs(root / "bin" / "busybox", unpacked))
        _furnish(root)
        tell("unpacking the bundle")
        _unpack(held, root / guest.BUNDLES / held.name)
        tell("making the disk")
        ext4.make(made / image.ROOT, _mebibytes(root) + ROOM_MB, root)


def initramfs(busybox: Path, kernel: Path) -> bytes:
    """Return what a kernel starts with, compressed; padded, as each boot adds its own part.

    Args:
        busybox: for the machine, linked statically.
        kernel: folder of an unpacked kernel's package, whose drivers are taken.
    """
    entries = [
        cpio.Entry("init", guest.INIT.encode(), 0o755),
        cpio.Entry("bin/busybox", busybox.read_bytes(), 0o755),
        *_drivers(kernel),
    ]
    packed = gzip.compress(cpio.archive(entries), mtime=0)
    return packed + b"\0" * (-len(packed) % 4)


def _drivers(kernel: Path) -> Iterator[cpio.Entry]:
    """Yield the drivers of guest.MODULES that the kernel has not built in, named in the order of their needs."""
    for number, name in enumerate(guest.MODULES):
        for path in kernel.glob(f"lib/modules/*/kernel/**/{name}.ko"):
            yield cpio.Entry(f"modules/{number}-{name}.ko", path.read_bytes(), 0o644)


def _furnish(root: Path) -> None:
    """Take away what nothing reads, and add what Debian's packages do not hold."""
    for path in [path for pattern in DROPPED for path in root.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in (*MOUNTED, "etc/edgerig"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, text in _TEXTS.items():
        (root / name).write_text(text)
    for name in TOOLS:
        (root / "bin" / name).symlink_to("busybox")


def _unpack(held: Bundle, folder: Path) -> None:
    if digest.of_file(held.path) != held.archive_sha256:
        raise HostError(f"{held.path} has changed since it was built.", "Remove it and build it again.")
    folder.mkdir(parents=True)
    with tarfile.open(held.path) as archive:
        archive.extractall(folder, filter="data")  # which lets no member out of the folder


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise HostError(f"Debian's kernel holds no {pattern}.")
    return found[0]


def _mebibytes(folder: Path) -> int:
    """Return the room that a folder's files take in blocks of 4 KiB."""
    sizes = (path.lstat().st_size for path in folder.rglob("*"))
    return sum(size // 4096 + 1 for size in sizes) * 4096 // (1 << 20) + 1
