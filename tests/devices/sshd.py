"""A device behind a real sshd of OpenSSH on loopback, without root: own port, own keys, own home.

The folder that SFTP starts in is the device's home, so that nothing is written into that of whoever runs the tests.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from tests.needs import require

SSHD = "/usr/sbin/sshd"
PRIVILEGED = Path("/run/sshd")  # where sshd puts its unprivileged half when root runs it
PATIENCE_S = 10.0
HOST = "127.0.0.1"

# mount(2) rather than mount(8): the program wants to be root, the call only the capability.
ON_SMALL_DISK = """
import ctypes, os, sys
folder, size, *command = sys.argv[1:]
if ctypes.CDLL(None, use_errno=True).mount(b"none", folder.encode(), b"tmpfs", 0, f"size={size}k".encode()):
    sys.exit(f"no tmpfs: {os.strerror(ctypes.get_errno())}")
os.execv(command[0], command)
"""


class Sshd:
    """An sshd and the device that it stands for.

    Args:
        folder: for its keys, its log and the device's home.
        disk_kb: the device's home is a disk of its own of this size; None is as found.
    """

    def __init__(self, folder: Path, disk_kb: int | None = None) -> None:
        require(SSHD, "sshd is missing: install openssh-server")
        require("ssh-keygen", "ssh-keygen is missing: install openssh-client")
        if os.geteuid() == 0:
            PRIVILEGED.mkdir(mode=0o755, exist_ok=True)
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.authorized = folder / "authorized_keys"
        self.authorized.touch()
        self.port = _free_port()
        self._disk_kb = disk_kb
        self._process: subprocess.Popen[bytes] | None = None
        new_key(folder / "host_key")
        self.start()

    @property
    def device(self) -> Path:
        """The folder that edgerig has on the device."""
        return self.home / ".cache" / "edgerig"

    @property
    def address(self) -> str:
        """user@host:port."""
        return f"{getpass.getuser()}@{HOST}:{self.port}"

    @property
    def known_hosts_line(self) -> str:
        """What a controller that has been here has in known_hosts."""
        return f"[{HOST}]:{self.port} {(self.folder / 'host_key.pub').read_text()}"

    def start(self) -> None:
        """Listen; returns once it does."""
        config = self.folder / "sshd_config"
        config.write_text(self._config())
        command = [SSHD, "-D", "-f", str(config), "-E", str(self.folder / "log")]
        self._process = subprocess.Popen(self._on_disk(command))
        end = time.monotonic() + PATIENCE_S
        while not _listens(self.port):
            log = self.folder / "log"
            ended = self._process.poll() is not None or time.monotonic() > end
            assert not ended, log.read_text() if log.exists() else "sshd does not start"
            time.sleep(0.02)

    def _config(self) -> str:
        lines = {
            "ListenAddress": f"{HOST}:{self.port}",
            "HostKey": self.folder / "host_key",
            "AuthorizedKeysFile": self.authorized,
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "MaxStartups": "100",
            "Subsystem": f"sftp internal-sftp -d {self.home}",
        }
        return "".join(f"{key} {value}\n" for key, value in lines.items())

    def _on_disk(self, command: Sequence[str]) -> list[str]:
        if self._disk_kb is None:
            return list(command)
        require("unshare", "unshare of util-linux is missing")
        space = ["--mount"] if os.geteuid() == 0 else ["--map-current-user", "--keep-caps", "--mount"]
        inner = [sys.executable, "-c", ON_SMALL_DISK, str(self.home), str(self._disk_kb)]
        probe = ["unshare", *space, *inner, shutil.which("true") or "true"]
        permitted = subprocess.run(probe, capture_output=True, check=False).returncode == 0
        require(permitted, "this machine lets nobody mount a tmpfs")
        return ["unshare", *space, *inner, *command]

    def let_in(self, key: Path) -> None:
        """Accept a key from now on."""
        with self.authorized.open("a") as stream:
            stream.write(key.with_name(f"{key.name}.pub").read_text())

    def sessions(self) -> list[psutil.Process]:
        """Return the sshd processes that serve connections, not what they started."""
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self._process.pid).children(recursive=True)
            return [process for process in family if _name(process).startswith("sshd")]
        return []

    def signal_sessions(self, number: signal.Signals) -> int:
        """Send a signal to all sessions at once; returns to how many."""
        found = self.sessions()
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return len(found)

    def pause(self) -> None:
        """Accept connections, as the kernel does by itself, and say nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Speak again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop listening and end all sessions; what they started may go on, as on a board."""
        if self._process is None:
            return
        found = self.sessions()
        self._process.kill()
        self._process.wait()
        self._process = None
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


class Desk:
    """A controller's home: a key, known_hosts and a configuration of ssh.

    Args:
        folder: the home.
    """

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self._ssh = folder / ".ssh"
        self._ssh.mkdir(parents=True, mode=0o700)
        self.key = new_key(self._ssh / "id_ed25519")
        self.known_hosts = self._ssh / "known_hosts"
        self.known_hosts.touch()
        self.config = self._ssh / "config"

    @property
    def environment(self) -> dict[str, str]:
        """What a command of this controller runs with, besides what this process does; no agent that has keys."""
        return {"HOME": str(self.home), "NO_COLOR": "1"}

    def knows(self, *devices: Sshd) -> None:
        """Have been at these devices before, and be let in by them."""
        for device in devices:
            device.let_in(self.key)
        self.known_hosts.write_text("".join(device.known_hosts_line for device in devices))


def new_key(path: Path, kind: str = "ed25519") -> Path:
    """Make a key without a passphrase, and return its path."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    return path


@contextlib.contextmanager
def running(folder: Path, disk_kb: int | None = None) -> Iterator[Sshd]:
    """Open a device for the length of a block."""
    device = Sshd(folder, disk_kb)
    try:
        yield device
    finally:
        device.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""
