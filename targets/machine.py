"""Transport `machine`: a whole computer that is emulated by qemu-system, booted when it is asked for, reached by SSH.

It has no network but the one port through which we reach it, and its root disk is never written to. What is pushed
stays on a disk of the target's own, so that it is not pushed again; a disk whose machine did not end in order is made
anew. The machine ends with the transport, and with this process, however that ends.

With `-icount shift=0` its clock goes on by 1 ns for each instruction: times are counts of instructions, the same on
every computer. sleep=off, which lets the clock leap to the next timer whenever the machine waits, is not used: waiting
for the disk leapt so far that 1.2 s of importing became 6.5 s by the machine's clock, and deadlines would pass with
nothing done; where nothing waits, as in a frame, both count the same.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgerig import files, process
from edgerig.deadline import Deadline
from edgerig.errors import EdgerigError, ProcessFailed, TargetRefused, TargetUnreachable
from targets import cpio, ext4, guest, image, machine_keys, shell
from targets.image import Image
from targets.ssh import SshChannel, SshTransport

PROGRAM = "qemu-system-aarch64"
INSTALL = "On Debian and its kin: apt install qemu-system-arm"
MEMORY_MB = 2048
DATA_MB = 8192
BOOT_S = 180.0  # it takes 2 s on a computer that is idle
LOOK_S = 0.05
STOP_S = 20.0
TAIL = 3  # lines of the console that an error shows

# Ends the machine when its stdin does, which is when we are gone, by whatever: the kernel closes our end of the pipe.
_WATCH = 'cat > /dev/null; kill -9 "$1"'


@dataclass(frozen=True)
class Kind:
    """What a machine is to be.

    Attributes:
        name: that it goes by.
        cpu: qemu's name of its processor.
        counts: its clock counts instructions.
    """

    name: str
    cpu: str
    counts: bool


def program() -> str:
    """Return the emulator; raises TargetRefused where it is not here."""
    found = shutil.which(PROGRAM)
    if found is None:
        raise TargetRefused(f"{PROGRAM} is not on this machine, and it emulates the target.", INSTALL)
    return found


def version() -> str:
    """Return qemu's version, e.g. "7.2.22"; raises TargetRefused where there is none."""
    try:
        said = process.run([program(), "--version"], deadline=Deadline(STOP_S))
    except ProcessFailed as error:
        raise TargetRefused(f"{PROGRAM} does not start: {error.message}", INSTALL) from error
    return said.partition(" version ")[2].split()[0].strip("()")


class Machine:
    """A machine that is booted, until it is stopped.

    Args:
        made: the image that it boots.
        kind: what it is to be.
        folder: of the target on this computer: its disk is kept there.

    Raises:
        TargetRefused: it does not start; says what its console showed last.
    """

    def __init__(self, made: Image, kind: Kind, folder: Path) -> None:
        self.name = kind.name
        self._folder = folder
        self._boot = folder / "boot"
        shutil.rmtree(self._boot, ignore_errors=True)
        files.make_folder(self._boot).chmod(0o700)  # keys lie there
        self._console = folder / "console.log"
        self._disk = _disk(folder)
        keys = machine_keys.new()
        port = _free_port()
        _write_initramfs(made, kind, keys, self._boot / "initramfs")
        self.ssh_config = machine_keys.ssh_config(self._boot, kind.name, port, keys)
        self._process = self._started([program(), *_words(made, kind, self._boot, self._disk, port)])
        try:
            self._watcher = _watcher(self._process.pid)
            self._await()
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The emulator's process."""
        return self._process.pid

    def _started(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._console.open("wb") as console:
            # A session of its own: Ctrl-C in the terminal is for the controller, which ends this in order.
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _await(self) -> None:
        deadline = Deadline(BOOT_S)
        while guest.READY not in self.console():
            self.check()
            if deadline.expired:
                raise TargetRefused(f"the machine {self.name} did not boot within {BOOT_S:.0f} s: {self._last_words()}")
            time.sleep(LOOK_S)

    def check(self) -> None:
        """Raise TargetRefused where the machine has ended, TargetUnreachable where another port would help."""
        if self._process.poll() is not None:
            if "host forwarding" in self.console():  # somebody took the port since it was found free
                raise TargetUnreachable(f"the machine {self.name} did not get its port: {self._last_words()}")
            raise TargetRefused(
                f"the machine {self.name} has ended: {self._last_words()}", "Its console: " + str(self._console)
            )

    def console(self) -> str:
        """Return what its console showed so far."""
        return self._console.read_text(errors="replace")

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.console().splitlines() if line.strip()]
        return " / ".join(lines[-TAIL:]) or "its console showed nothing"

    def keep(self) -> None:
        """Say that its disk was left in order, and is to be used again."""
        self._disk = self._disk.replace(_kept(self._folder))

    def kill(self) -> None:
        """End the machine at once; a second time does nothing."""
        self._process.kill()
        # The watcher first: while the machine is not yet buried, its number is nobody else's.
        watcher: subprocess.Popen[bytes] | None = getattr(self, "_watcher", None)
        if watcher:
            watcher.kill()
            watcher.wait()
            _stdin(watcher).close()
        self._process.wait()
        shutil.rmtree(self._boot, ignore_errors=True)  # the keys are good for nothing any more


def _words(made: Image, kind: Kind, boot: Path, disk: Path, port: int) -> list[str]:
    """Return the emulator's arguments."""
    counting = ["-icount", "shift=0"] if kind.counts else []
    return [
        *("-M", "virt", "-cpu", kind.cpu, "-smp", "1", "-m", str(MEMORY_MB), *counting),
        *("-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"),
        *("-kernel", str(made.path / image.KERNEL), "-initrd", str(boot / "initramfs"), "-append", guest.KERNEL),
        *_drive("root", made.path / image.ROOT, "readonly=on"),
        *_drive("data", disk, "discard=unmap"),
        *("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", "virtio-net-device,netdev=net"),
    ]


def _drive(name: str, path: Path, option: str) -> tuple[str, ...]:
    file = str(path).replace(",", ",,")  # which is how qemu takes a comma
    drive = f"if=none,id={name},file={file},format=raw,{option}"
    return ("-drive", drive, "-device", f"virtio-blk-device,drive={name},serial={name}")


def _kept(folder: Path) -> Path:
    return folder / "data.ext4"


def _disk(folder: Path) -> Path:
    """Return the disk of a target under the name that it has while it is used: the kept one, or a new one."""
    used = folder / "data.in-use.ext4"
    try:
        _kept(folder).replace(used)
    except FileNotFoundError:
        ext4.make(used, DATA_MB)
    return used


def _write_initramfs(made: Image, kind: Kind, keys: machine_keys.Keys, path: Path) -> None:
    """Write the image's initramfs with what this boot is given; the kernel unpacks one archive after the other."""
    counts = ", 1 instruction = 1 ns" if kind.counts else ""
    given = {
        "host_key": keys.host,
        "authorized_keys": f"{keys.ours_public}\n".encode(),
        "model": f"QEMU {version()}, {kind.cpu}{counts}\0".encode(),
    }
    more = cpio.archive(cpio.Entry(f"{guest.GIVEN}/{name}", content) for name, content in given.items())
    with files.writing(path):
        path.touch(0o600)
        path.write_bytes((made.path / image.INITRAMFS).read_bytes() + more)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _watcher(pid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["sh", "-c", _WATCH, "edgerig-watch", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _stdin(child: subprocess.Popen[bytes]) -> IO[bytes]:
    assert child.stdin is not None
    return child.stdin


class MachineTransport:
    """A device that is booted for us and ends with us.

    Args:
        made, kind, folder: as of Machine.

    Raises:
        TargetError: it does not start, or does not let us in.
    """

    patience_s = 0.0  # a machine that is lost does not come back

    def __init__(self, made: Image, kind: Kind, folder: Path) -> None:
        self._machine = Machine(made, kind, folder)
        try:
            self._ssh = SshTransport(kind.name, self._machine.ssh_config)
        except BaseException:
            self._machine.kill()
            raise
        self.root = self._ssh.root

    @property
    def pid(self) -> int:
        """The emulator's process."""
        return self._machine.pid

    def put(self, source: Path, name: str, deadline: Deadline) -> None:
        """Copy a file to the device."""
        self._ssh.put(source, name, deadline)

    def get(self, name: str, destination: Path, deadline: Deadline) -> None:
        """Copy a file from the device."""
        self._ssh.get(name, destination, deadline)

    def start(self, argv: Sequence[str]) -> SshChannel:
        """Start a program on the device; raises TargetRefused where the machine has ended."""
        self._machine.check()
        return self._ssh.start(argv)

    def close(self) -> None:
        """End the machine, its disk in order where that can be had."""
        try:
            with contextlib.suppress(EdgerigError, OSError):
                done = shell.run(self, guest.STOP, Deadline(STOP_S))
                if guest.STOPPED in done.out:
                    self._machine.keep()
        finally:
            self._ssh.close()
            self._machine.kill()
