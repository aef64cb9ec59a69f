"""The adb server of another host, where phones are plugged in: reached by a tunnel through SSH.

adb's client runs here and speaks with that server as with its own, so that files and programs go the way that they
always go, and nothing is kept on the host in between. The host is verified as `targets.ssh` verifies boards.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Protocol

from edgerig.deadline import Deadline
from edgerig.errors import TargetError, TargetRefused, TargetUnreachable
from targets.adb import Server, client
from targets.ssh import Link, SshChannel

PORT = 5037  # adb's own
START_S = 20.0
LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 16


class RackServer(Server):
    """The adb server of a host.

    Args:
        host: `[user@]host[:port]`, or an alias of ~/.ssh/config.
        ssh_config: instead of ~/.ssh/config.
    """

    def __init__(self, host: str, ssh_config: Path | None = None) -> None:
        self.where = f" on {host}"
        self._host = host
        self._ssh_config = ssh_config
        asked = os.environ.get("ANDROID_ADB_SERVER_PORT", "")
        self._port = int(asked) if asked.isdigit() else PORT
        self._tunnel: Tunnel | None = None

    def open(self) -> None:
        """Connect to the host, unless it is, and start its adb server, unless it runs; raises TargetError."""
        # Asked, not believed: a connection that was killed may look alive for a while.
        if self._tunnel and _listens(self._tunnel.link, self._port):
            return
        self.close()
        link = Link(self._host, self._ssh_config)
        try:
            if not _listens(link, self._port):
                self._start(link)
            self._tunnel = Tunnel(link, self._port)
        except BaseException:
            link.drop()
            raise

    def _start(self, link: Link) -> None:
        channel = SshChannel(link, f"ANDROID_ADB_SERVER_PORT={self._port} adb start-server < /dev/null > /dev/null")
        deadline = Deadline(START_S)
        try:
            while channel.receive(deadline):
                pass
            said = channel.errors()
        finally:
            channel.close()
        if not _listens(link, self._port):
            last = (said.splitlines() or ["it did not say why"])[-1][:300]
            raise TargetRefused(
                f"no adb server can be started{self.where}: {last}", "On Debian: apt install adb there."
            )

    def argv(self, *words: str) -> list[str]:
        """Return a command line of adb's client, which takes the tunnel's end for a server."""
        assert self._tunnel is not None
        # An address in digits is no local one to adb's client, so that it never starts a server of its own there.
        return [client(), "-H", LOOPBACK, "-P", str(self._tunnel.port), *words]

    def close(self) -> None:
        """Close the tunnel and the connection to the host."""
        if self._tunnel:
            self._tunnel.close()
            self._tunnel = None


def _listens(link: Link, port: int) -> bool:
    try:
        link.tunnel(LOOPBACK, port).close()
    except (TargetUnreachable, OSError):
        return False
    return True


class _Pipe(Protocol):
    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> object: ...
    def close(self) -> object: ...


class Tunnel:
    """A port of this machine's loopback that is one of a host's.

    Args:
        link: to the host; ends with the tunnel.
        there: the host's port, on its loopback.
    """

    def __init__(self, link: Link, there: int) -> None:
        self.link = link
        self._there = there
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"tunnel to {link.name}", daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        try:
            far = self.link.tunnel(LOOPBACK, self._there)
        except (TargetError, OSError):
            near.close()
            return
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()
        near.close()

    def close(self) -> None:
        """End the tunnel, what goes through it, and the link."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listener.close()
        self.link.drop()


def _pump(source: _Pipe, sink: _Pipe) -> None:
    """Carry bytes until one side ends, and tell the other one."""
    with contextlib.suppress(OSError, EOFError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError, EOFError):
        sink.shutdown(socket.SHUT_WR) if isinstance(sink, socket.socket) else sink.close()
