"""Transport `adb`: Android phones, by the real adb client; by USB, over the network, or plugged into another host.

    address = "R58M12ABCDE"       a serial, as `adb devices` shows it
    address = "192.168.1.7:5555"  over the network: `adb connect` is done here
    address = ""                  the only phone that is there
    via = "ci@rack2"              the adb server of another host, through an SSH tunnel

adb's client ends with status 0 when its link is lost, as after a program that ended well. So every program is made to
end with a status of ours, and any other one is a lost link. Programs ignore SIGHUP, which adbd sends them when the link
goes: the agent then finishes its round and waits for a while, as it does on a board.
"""

from __future__ import annotations

import contextlib
import functools
import os
import posixpath
import re
import shlex
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from edgerig import digest, process
from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, ProcessFailed, TargetError, TargetFull, TargetRefused, TargetUnreachable
from targets import shell
from targets.local import LocalChannel

ROOT = "/data/local/tmp/edgerig"
CONNECT_S = 15.0  # `adb connect` itself gives up after 10
COMMAND_S = 30.0
PATIENCE_S = 60.0  # a phone that reboots is back within
SETTLE_S = 3.0  # a phone that knows this computer needs a moment to say so
LOOK_S = 0.2
ENDED = 91  # what a program ends with that ended by itself; adb's client knows 0 and 1 only

_CONNECTING = threading.Lock()  # two sessions with one phone: the second must not disconnect what the first connected
_NETWORK = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]]+):[0-9]{1,5}")
_LISTED = re.compile(r"^([!-~]{1,128})[ \t]+([a-z][ -~]{0,200})$", re.M)
_ANSWERED = re.compile(r"\bremote (?:object )?(.{1,300})")  # what the device itself complained of

# Arguments: a folder. What a link that broke left there is of no use to anybody.
_PREPARE = 'mkdir -p "$1" && rm -f "$1"/*.part'
# Arguments: temporary name, name, size, sha256.
_VERIFY = """
[ "$(wc -c < "$1")" -eq "$3" ] || { rm -f "$1"; exit 3; }
sum=$(sha256sum < "$1") || exit 4
[ "${sum%% *}" = "$4" ] || { rm -f "$1"; exit 3; }
mv -f "$1" "$2"
"""
_UNREAD = "edgerig: unread"
_READ = f'cat "$1" || echo "{_UNREAD}" >&2'


class Server:
    """This machine's adb server; `targets.rack` has that of another host.

    Attributes:
        where: for sentences, "" or " on rack2".
    """

    where = ""

    def open(self) -> None:
        """Have it ready, also after it was lost."""
        _start((client(), *_port()))

    def close(self) -> None:
        """Let go of it."""

    def argv(self, *words: str) -> list[str]:
        """Return a command line of adb's client."""
        return [client(), *words]

    def run(self, *words: str, deadline: Deadline) -> str:
        """Return what a command of adb's client printed; raises ProcessFailed."""
        return process.run(self.argv(*words), deadline=deadline)

    def devices(self) -> dict[str, str]:
        """Return each device's state by serial: "device", "offline", "unauthorized", "no permissions …" and others.

        Raises:
            TargetUnreachable: there is no adb server, and none can be started.
        """
        try:
            listed = self.run("devices", deadline=Deadline(COMMAND_S))
        except ProcessFailed as error:
            last = (error.stderr.strip().splitlines() or [f"status {error.returncode}"])[-1]
            raise TargetUnreachable(
                f"the adb server{self.where} does not answer: {last[:300]}",
                "Start it anew: adb kill-server, adb devices.",
            ) from error
        return {serial: state for serial, state in _LISTED.findall(listed) if serial != "List"}


def client() -> str:
    """Return the program `adb`; raises TargetRefused where there is none."""
    found = os.environ.get("ADB") or shutil.which("adb")
    if not found or not shutil.which(found):
        named = f"ADB names {found}, which is no program" if found else "adb is not installed on this computer"
        raise TargetRefused(f"{named}.", "On Debian: apt install adb")
    return found


@functools.cache
def _start(words: tuple[str, ...]) -> None:
    """Start the server, once; apart from all else, as the command that starts it prints more than its own answer."""
    with contextlib.suppress(ProcessFailed):  # the next command says why
        process.run([*words, "start-server"], deadline=Deadline(CONNECT_S))


def _port() -> tuple[str, ...]:
    """Return adb's own option for its own variable, so that another port is another server to start."""
    port = os.environ.get("ANDROID_ADB_SERVER_PORT", "")
    return ("-P", port) if port.isdigit() else ()


def chosen(server: Server, address: str) -> str:
    """Return the serial of the phone at an address, ready to be used; raises TargetError, each cause its own."""
    if _NETWORK.fullmatch(address):
        with _CONNECTING:
            _connect(server, address)
    settled = Deadline(SETTLE_S)
    found = server.devices()
    serial = address or _only(server, found)
    while found.get(serial) in ("authorizing", "connecting") and not settled.expired:
        threading.Event().wait(LOOK_S)
        found = server.devices()
    if found.get(serial) != "device":
        raise _unusable(server, serial, found)
    return serial


def _connect(server: Server, address: str) -> None:
    """Have the server connect to a phone over the network; one that is offline is connected anew."""
    state = server.devices().get(address)
    if state == "device":
        return
    try:
        if state:
            server.run("disconnect", address, deadline=Deadline(COMMAND_S))
        said = server.run("connect", address, deadline=Deadline(CONNECT_S))  # status 0 in any case
    except ProcessFailed as error:
        raise TargetUnreachable(f"{address} does not answer.", "Is it on, and on this network?") from error
    if match := re.match(r"failed to connect to '?[^']*'?(?:: (.{1,200}))?", said):
        why = match[1] or "nothing came back in time"
        raise TargetUnreachable(
            f"{address} does not answer: {why}.", "Is wireless debugging on, and the phone on this network?"
        )


def _only(server: Server, found: dict[str, str]) -> str:
    if len(found) > 1:
        raise TargetRefused(
            f"several devices are connected{server.where}: {', '.join(found)}.",
            f'Say which: [targets.NAME] address = "{next(iter(found))}".',
        )
    if not found:
        raise nobody(server)
    return next(iter(found))


def nobody(server: Server) -> TargetUnreachable:
    """Return the error of a server that sees no phone."""
    return TargetUnreachable(
        f"adb sees no phone{server.where}.", "Plug one in, with USB debugging on (Settings, Developer options)."
    )


def _unusable(server: Server, serial: str, found: dict[str, str]) -> TargetError:
    """Return what a state other than "device" means."""
    state = found.get(serial, "")
    if not state:
        others = f"It sees {', '.join(found)}." if found else "It sees no phone at all."
        return TargetUnreachable(
            f"adb does not see {serial}{server.where}.", f"Is it plugged in, with USB debugging on? {others}"
        )
    if state in ("unauthorized", "authorizing"):
        host = server.where.removeprefix(" on ") or "this computer"
        return TargetRefused(
            f"{serial} has not accepted the key of {host} (unauthorized).",
            "Unlock the phone and accept its dialog “Allow USB debugging”; without a dialog, plug it in again.",
        )
    if state == "offline":
        return TargetUnreachable(
            f"{serial} is there and does not answer (offline).", "Plug it in again, or: adb reconnect offline"
        )
    if state.startswith("no permissions"):
        return TargetRefused(
            f"this user may not open the USB device of {serial} (no permissions).",
            "apt install android-sdk-platform-tools-common, be in the group plugdev, and plug the phone in again.",
        )
    return TargetRefused(f"{serial} is in the state '{state[:40]}'.", "Start Android on it.")


class AdbChannel:
    """A program on a phone; its end and that of the link are told apart.

    Args:
        argv: of adb's client.
        name: of the phone, for sentences.
        lost: called when the link is found to be lost.
    """

    def __init__(self, argv: Sequence[str], name: str, lost: Callable[[], None]) -> None:
        self._name = name
        self._lost = lost
        self._client = LocalChannel(argv)

    def send(self, data: bytes) -> None:
        """Write all of `data` to the program."""
        try:
            self._client.send(data)
        except LinkLost:
            self._lose()
            raise

    def receive(self, deadline: Deadline) -> bytes:
        """Return what the program printed next, b"" at its end."""
        try:
            data = self._client.receive(deadline)
        except LinkLost as error:
            self._lose()
            raise LinkLost(f"{self._name} went silent.") from error
        if not data and self._client.status(COMMAND_S) != ENDED:
            self._lost()
            raise LinkLost(f"the link to {self._name} was lost: {self.errors()[-300:] or 'it ended'}")
        return data

    def _lose(self) -> None:
        self._lost()
        self._client.kill()

    def errors(self) -> str:
        """Return the end of what the program wrote to stderr so far."""
        return self._client.errors()

    def close(self) -> None:
        """Close its stdin, which tells our agent to end, and wait a little."""
        self._client.close()


class AdbTransport:
    """A phone behind adb; `start` connects anew after the link was lost.

    Args:
        server: that sees it.
        address: serial, `host:port`, or "" for the only one.
        root: the folder of the phone that is ours.

    Raises:
        TargetError: it cannot be reached, or does not let us in.
    """

    patience_s = PATIENCE_S

    def __init__(self, server: Server, address: str, root: str = ROOT) -> None:
        self._server = server
        self._address = address
        self.root = root
        self._made: set[str] = set()
        self._serial = self._ready()
        self._broken = False

    def _ready(self) -> str:
        self._server.open()
        serial = chosen(self._server, self._address)
        features = self._adb(serial, "features", what="asking what it can do")
        if "shell_v2" not in features.split():
            raise TargetRefused(f"{serial} has a shell that tells no exit codes.", "Android 7 or newer is needed.")
        return serial

    def put(self, source: Path, name: str, deadline: Deadline) -> None:
        """Copy a file to the phone under a temporary name, and give it its own when it was verified there."""
        self._mend()
        final = posixpath.join(self.root, name)
        part, size, sha256 = f"{final}.part", source.stat().st_size, digest.of_file(source)
        self._prepare(posixpath.dirname(final), deadline)
        what = f"sending {source.name}"
        try:
            self._adb(self._serial, "push", str(source.resolve()), part, what=what, deadline=deadline)
            self._verified(source.name, [part, final, str(size), sha256], deadline)
        except (TargetFull, TargetRefused):
            with contextlib.suppress(TargetError):
                shell.run(self, ["rm", "-f", part], deadline.sooner(COMMAND_S))
            raise

    def _prepare(self, folder: str, deadline: Deadline) -> None:
        if folder in self._made:
            return
        done = shell.run(self, ["sh", "-c", _PREPARE, "edgerig", folder], deadline)
        if done.status:
            raise _complaint(f"the folder {folder} cannot be made on {self._serial}", done.err)
        self._made.add(folder)

    def _verified(self, what: str, words: Sequence[str], deadline: Deadline) -> None:
        done = shell.run(self, ["sh", "-c", _VERIFY, "edgerig", *words], deadline)
        if done.status == 3:
            raise LinkLost(f"{what} did not arrive whole on {self._serial}.")
        if done.status:
            raise _complaint(f"{what} cannot be kept on {self._serial}", done.err)

    def get(self, name: str, destination: Path, deadline: Deadline) -> None:
        """Copy a file from the phone; trouble with `destination` is an OSError of the caller's."""
        with destination.open("wb") as stream:
            channel = self.start(["sh", "-c", _READ, "edgerig", posixpath.join(self.root, name)])
            try:
                while data := channel.receive(deadline):
                    stream.write(data)
                complaint = channel.errors()
            finally:
                channel.close()
        if complaint.endswith(_UNREAD):
            raise _complaint(f"{name} cannot be read on {self._serial}", complaint.removesuffix(_UNREAD))

    def start(self, argv: Sequence[str]) -> AdbChannel:
        """Start a program on the phone. Quoting happens here and nowhere else: adb hands one line to a shell."""
        self._mend()
        words = [word.replace("{root}", self.root) for word in argv]
        command = f"trap '' HUP; {shlex.join(words)}; exit {ENDED}"
        argv = self._server.argv("-s", self._serial, "shell", "-T", command)
        return AdbChannel(argv, self._serial, self._lose)

    def _lose(self) -> None:
        self._broken = True

    def _mend(self) -> None:
        if self._broken:
            self._serial = self._ready()
            self._broken = False
            self._made.clear()

    def _adb(self, serial: str, *words: str, what: str, deadline: Deadline | None = None) -> str:
        """Run a command of adb's client; raises LinkLost unless the phone itself complained."""
        try:
            return self._server.run("-s", serial, *words, deadline=deadline or Deadline(COMMAND_S))
        except ProcessFailed as error:
            said = f"{error.stdout}\n{error.stderr}"
            if answered := _ANSWERED.search(said):
                raise _complaint(f"{serial} failed at {what}", answered[1]) from error
            self._lose()
            why = next((line for line in reversed(said.split("\n")) if line.strip()), "it ended")
            raise LinkLost(f"the link to {serial} was lost while {what}: {why[:300]}") from error

    def close(self) -> None:
        """Let go of the server; it keeps its connection to the phone, which others may use as well."""
        self._server.close()


def _complaint(what: str, why: str) -> TargetError:
    last = (why.strip().splitlines() or ["it did not say why"])[-1][:300]
    if "No space left" in why:
        return TargetFull(f"{what}: no space is left there.", "Free some space on the phone.")
    return TargetRefused(f"{what}: {last}.")
