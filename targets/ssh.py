"""Transport `ssh`: boards on the desk and in the rack, by paramiko.

Host keys are verified against known_hosts; keys, ssh-agent and ~/.ssh/config (HostName, User, Port, IdentityFile,
UserKnownHostsFile, ProxyJump) are used as ssh uses them. There is no password anywhere. A silent link ends: paramiko
alone waits for ever in spite of its timeouts, so the kernel is told to give a connection up whose data nobody
acknowledges (TCP_USER_TIMEOUT), and a watchdog closes one on which an operation outlives its deadline.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import posixpath
import re
import shlex
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import paramiko

from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, TargetError, TargetFull, TargetRefused, TargetUnreachable

# Its threads log what becomes an exception of ours as well; without a handler that would end up on stderr.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

CONNECT_S = 15.0
SILENCE_S = 20  # unacknowledged data for so long ends a connection
KEEPALIVE_S = 5  # makes a silent link send, so that there is something to acknowledge
COMMAND_S = 30.0
PATIENCE_S = 60.0  # a board that reboots is back within
CLOSE_S = 5.0  # for a program to see that its stdin has ended
_CHUNK = 1 << 16
_TAIL = 4096
_FOLDER = ".cache/edgerig"


# A host that begins with a dash would be an option to ssh; IPv6 stands in brackets.
_ADDRESS = re.compile(r"((?P<user>[^@\s]+)@)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^-@:\s\[][^@:\s]*)(:(?P<port>[0-9]{1,5}))?")


class Address(NamedTuple):
    """Where to connect to, after ~/.ssh/config was asked."""

    alias: str  # as the user wrote it
    host: str
    port: int
    user: str | None
    keys: tuple[str, ...]
    jump: str | None
    known_hosts: tuple[str, ...] = ()  # () is ssh's own


def resolve(address: str, config: Path | None = None) -> Address:
    """Return what `[user@]host[:port]` means, ~/.ssh/config included.

    Raises:
        TargetRefused: the address or the configuration cannot be read.
    """
    parts = _ADDRESS.fullmatch(address)
    if not parts:
        raise TargetRefused(f"'{address}' is no address of a device.", "Write user@host or user@host:port.")
    host = parts["host"].strip("[]")
    known = _ssh_config(config or Path.home() / ".ssh" / "config").lookup(host)
    jump = known.get("proxyjump")
    if "proxycommand" in known and not jump:
        raise TargetRefused(f"{host} is reached by a ProxyCommand, which runs a shell.", "Write a ProxyJump instead.")
    return Address(
        alias=host,
        host=known["hostname"],
        port=int(parts["port"] or known.get("port", "22")),
        user=parts["user"] or known.get("user"),
        keys=tuple(known.get("identityfile", ())),
        jump=None if jump in (None, "none") else jump,
        known_hosts=tuple(shlex.split(known.get("userknownhostsfile", ""))),
    )


def _ssh_config(path: Path) -> paramiko.SSHConfig:
    try:
        return paramiko.SSHConfig.from_path(str(path)) if path.is_file() else paramiko.SSHConfig()
    except (OSError, paramiko.ConfigParseError) as error:
        raise TargetRefused(f"{path} cannot be read: {error}.") from error


class Link:
    """A connection to a host, perhaps through others; verified, quiet about nothing.

    Args:
        address: `[user@]host[:port]`.
        ssh_config: instead of ~/.ssh/config.
        through: hosts to jump over, separated by commas; None is what ~/.ssh/config says.

    Raises:
        TargetUnreachable: nobody answers.
        TargetRefused: the host key or our keys are not accepted.
    """

    def __init__(self, address: str, ssh_config: Path | None = None, through: str | None = None) -> None:
        where = resolve(address, ssh_config)
        self.name = address
        self.broken = False
        before, _, last = (through or where.jump or "").rpartition(",")
        self._jump = Link(last.strip(), ssh_config, before.strip() or None) if last else None
        try:
            self._socket = self._dial(where)
            self.client = _logged_in(where, self._socket)
        except BaseException:
            self._drop_jump()
            raise

    def _dial(self, where: Address) -> socket.socket | paramiko.Channel:
        if self._jump:
            return self._jump.tunnel(where.host, where.port)
        try:
            connection = socket.create_connection((where.host, where.port), CONNECT_S)
        except OSError as error:
            raise TargetUnreachable(
                f"{where.alias} ({where.host}:{where.port}) does not answer: {error.strerror or error}.",
                "Is it switched on, and on this network?",
            ) from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)
        return connection

    def tunnel(self, host: str, port: int) -> paramiko.Channel:
        """Return a channel from this host to another; raises TargetUnreachable."""
        transport = self.client.get_transport()
        assert transport is not None
        try:
            return transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=CONNECT_S)
        except (paramiko.SSHException, EOFError) as error:
            raise TargetUnreachable(f"{self.name} cannot reach {host}:{port}: {error}.") from error

    def drop(self) -> None:
        """End the connection at once, whatever is under way on it."""
        self.broken = True
        with contextlib.suppress(Exception):
            if isinstance(self._socket, socket.socket):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for it; close would pull it away from them
        with contextlib.suppress(Exception):
            self.client.close()
        self._drop_jump()

    def _drop_jump(self) -> None:
        if self._jump:
            self._jump.drop()


def _logged_in(where: Address, connection: socket.socket | paramiko.Channel) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    for path in where.known_hosts or (None,):  # a file that is not there holds no key: the host is unknown
        with contextlib.suppress(FileNotFoundError):
            client.load_system_host_keys(path and str(Path(path).expanduser()))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        client.connect(
            where.host,
            where.port,
            where.user,
            key_filename=[key for key in where.keys if Path(key).expanduser().is_file()] or None,  # type: ignore[arg-type]
            sock=connection,
            timeout=CONNECT_S,
            banner_timeout=CONNECT_S,
            auth_timeout=CONNECT_S,
            transport_factory=_transport,
        )
    except BaseException as error:
        client.close()
        connection.close()
        if isinstance(error, paramiko.SSHException | OSError | EOFError):
            raise _refused(where, error) from error
        raise
    transport = client.get_transport()
    assert transport is not None
    transport.set_keepalive(KEEPALIVE_S)
    return client


def _transport(connection: Any, **settings: Any) -> paramiko.Transport:
    """Return a transport that asks for AES-GCM first.

    paramiko asks for AES-CTR first, whose digest is a second pass over each packet: putting 64 MB over loopback took
    1.25 times as long, getting them 1.12 times. Larger windows, packets and requests did not help (benchmarks/ssh.py).
    """
    transport = paramiko.Transport(connection, **settings)
    options = transport.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "-gcm@" not in name)
    return transport


def _refused(where: Address, error: Exception) -> TargetError:
    """Return what a failed login means, each cause with its own sentence."""
    shown = where.alias if where.port == 22 else f"[{where.host}]:{where.port}"
    port = "" if where.port == 22 else f"-p {where.port} "
    if isinstance(error, paramiko.BadHostKeyException):
        return TargetRefused(
            f"the host key of {shown} has changed: it is another machine, or somebody is in between.",
            f"If you know why: ssh-keygen -R '{shown}', then connect once with ssh.",
        )
    if isinstance(error, paramiko.PasswordRequiredException):
        return TargetRefused(f"the key for {shown} has a passphrase.", "Unlock it for ssh-agent: ssh-add")
    if isinstance(error, paramiko.AuthenticationException):
        user = where.user or "your user"
        return TargetRefused(f"{shown} does not let {user} in with any key.", f"ssh-copy-id {port}{user}@{where.alias}")
    if "not found in known_hosts" in str(error):
        return TargetRefused(
            f"the host key of {shown} is unknown.",
            f"Accept it once: ssh {port}{where.user + '@' if where.user else ''}{where.alias} true",
        )
    return TargetUnreachable(f"{shown} answers, but not as an SSH server should: {error or type(error).__name__}.")


class SshChannel:
    """A process on a device; its exit, its stderr and a silent link are all seen.

    Args:
        link: to the device.
        command: for the device's shell, quoted already.
    """

    def __init__(self, link: Link, command: str) -> None:
        self._link = link
        with _answering(link, Deadline(COMMAND_S), "starting a program"):
            transport = link.client.get_transport()
            assert transport is not None
            self._channel = transport.open_session(timeout=COMMAND_S)
            self._channel.exec_command(command)
        self._tail = b""

    def send(self, data: bytes) -> None:
        """Write all of `data` to the process."""
        with _answering(self._link, Deadline(COMMAND_S), "sending to the agent"):
            try:
                self._channel.sendall(data)
            except OSError as error:
                if self._link_has_ended():
                    raise
                raise LinkLost(f"the agent has ended: {self.errors() or 'it said nothing'}") from error

    def receive(self, deadline: Deadline) -> bytes:
        """Return what the process printed next, b"" at its end."""
        self._channel.settimeout(deadline.remaining)
        try:
            data = self._channel.recv(_CHUNK)
        except TimeoutError as error:
            self._link.drop()
            raise LinkLost(f"{self._link.name} went silent.") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._link.drop()
            raise LinkLost(f"the link to {self._link.name} was lost: {error or 'it ended'}.") from error
        self.errors()
        if not data and self._link_has_ended():
            self._link.drop()
            raise LinkLost(f"the link to {self._link.name} was lost.")
        return data

    def _link_has_ended(self) -> bool:
        """Tell the end of the link from that of the program, which look the same: paramiko ends the channels of both.

        Only a program leaves a status; only the link's end is the end of paramiko's thread as well.
        """
        self._channel.status_event.wait(1)
        transport = self._channel.get_transport()
        if self._channel.exit_status != -1:
            return False
        transport.join(0.5)
        return not transport.is_alive()

    def errors(self) -> str:
        """Return the end of the process's stderr so far."""
        while self._channel.recv_stderr_ready():
            self._tail = (self._tail + self._channel.recv_stderr(_CHUNK))[-_TAIL:]
        return self._tail.decode(errors="replace").strip()

    def close(self) -> None:
        """Close its stdin, which tells our agent to end, and wait a little: what was sent last would be lost."""
        with contextlib.suppress(Exception):
            if not self._link.broken:
                self._channel.shutdown_write()
                self._channel.status_event.wait(CLOSE_S)
            self._channel.close()


class SshTransport:
    """A device behind SSH; `start` connects anew after the link was lost.

    Args:
        address: `[user@]host[:port]`.
        ssh_config: instead of ~/.ssh/config.

    Raises:
        TargetError: it cannot be reached, or does not let us in.
    """

    patience_s = PATIENCE_S

    def __init__(self, address: str, ssh_config: Path | None = None) -> None:
        self._address = address
        self._ssh_config = ssh_config
        self._connect()

    def _connect(self) -> None:
        self._link = Link(self._address, self._ssh_config)
        try:
            with _answering(self._link, Deadline(COMMAND_S), "opening SFTP"):
                self._files = self._link.client.open_sftp()
                self.root = posixpath.join(self._files.normalize("."), _FOLDER)
        except BaseException:
            self._link.drop()
            raise
        self._made: set[str] = set()

    def put(self, source: Path, name: str, deadline: Deadline) -> None:
        """Copy a file to the device under a temporary name, and give it its own when it is whole."""
        destination = posixpath.join(self.root, name)
        part = f"{destination}.part"
        with _answering(self._link, deadline, f"sending {source.name}"):
            self._make_folder(posixpath.dirname(destination))
            try:
                with _translated(f"{source.name} cannot be written to {self._link.name}"):
                    self._upload(source, part)
                    self._files.posix_rename(part, destination)
            except (TargetFull, TargetRefused):
                with contextlib.suppress(OSError):
                    self._files.remove(part)
                raise

    def _upload(self, source: Path, part: str) -> None:
        """Send a file without waiting for the answer to each packet; raises OSError where less arrived."""
        with source.open("rb") as stream, self._files.open(part, "wb") as remote:
            remote.set_pipelined(True)
            while data := stream.read(_CHUNK):
                remote.write(data)
        # paramiko does not look at the answers to pipelined packets: a full disk shows in the size alone.
        if self._files.stat(part).st_size != source.stat().st_size:
            raise OSError(errno.ENOSPC, "only a part of it arrived")

    def _make_folder(self, path: str) -> None:
        if path in self._made:
            return
        with contextlib.suppress(FileNotFoundError):
            self._files.stat(path)
            self._made.add(path)
            return
        self._make_folder(posixpath.dirname(path))
        with _translated(f"the folder {path} cannot be made on {self._link.name}"):
            self._files.mkdir(path)
        self._made.add(path)

    def get(self, name: str, destination: Path, deadline: Deadline) -> None:
        """Copy a file from the device; trouble with `destination` is an OSError of the caller's."""
        with destination.open("wb") as stream, _answering(self._link, deadline, f"fetching {name}"):
            with _translated(f"{name} cannot be read on {self._link.name}"):
                source = self._files.open(posixpath.join(self.root, name), "rb")
            with source:
                source.prefetch(source.stat().st_size)
                while data := source.read(_CHUNK):
                    stream.write(data)

    def start(self, argv: Sequence[str]) -> SshChannel:
        """Start a program on the device. Quoting happens here and nowhere else."""
        if self._link.broken:
            self._connect()
        words = [word.replace("{root}", self.root) for word in argv]
        return SshChannel(self._link, f"exec {shlex.join(words)}")

    def close(self) -> None:
        """Let go of the device."""
        self._link.drop()


@contextlib.contextmanager
def _answering(link: Link, deadline: Deadline, what: str) -> Iterator[None]:
    """Turn a broken link into LinkLost, and break a silent one when the deadline passes."""
    if link.broken:
        raise LinkLost(f"the link to {link.name} was lost before.")
    fired = threading.Event()

    def bark() -> None:
        fired.set()
        link.drop()

    remaining = deadline.remaining
    watchdog = threading.Timer(remaining if remaining is not None else threading.TIMEOUT_MAX, bark)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    except TargetError:
        raise
    except (OSError, EOFError, paramiko.SSHException) as error:
        link.drop()
        why = "nothing came back in time" if fired.is_set() else str(error) or "it ended"
        raise LinkLost(f"the link to {link.name} was lost while {what}: {why}.") from error
    finally:
        watchdog.cancel()


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the device's own errors into TargetErrors; those of the link pass.

    SFTP's servers tell "failure" with no more (status 4) for a full disk, which paramiko raises as OSError("Failure").
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, TimeoutError | ConnectionError) or str(error) == "Socket is closed":
            raise
        if error.errno == errno.ENOSPC or str(error) == "Failure":
            raise TargetFull(
                f"{what}: no space is left there, most likely.", "Free some space on the device."
            ) from error
        raise TargetRefused(f"{what}: {error.strerror or error}.") from error
