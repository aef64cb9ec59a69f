"""The device's side of adb's protocol on loopback: what the real adb client speaks with instead of a phone.

    phone = Phone(folder)                 an Android-like root below `folder`, and a port
    adb connect 127.0.0.1:PORT            (Desk does it)
    phone.unplug(); phone.plug()          the link is gone; programs get SIGHUP, as adbd sends it
    phone.unauthorized = True             nobody accepts the dialog
    phone.silent = True                   the cable is there, and nothing comes through

Spoken: CNXN, AUTH (which never ends well), OPEN, WRTE, OKAY, CLSE; the services shell,v2 and sync (STAT, SEND, RECV).
Source: AOSP, packages/modules/adb: protocol.txt, SYNC.TXT, shell_protocol.h, daemon/shell_service.cpp.
A message is acknowledged once what it holds was taken in by the program or the file, which is what limits a sender.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.devices import android
from tests.needs import require

HOST = "127.0.0.1"
VERSION = 0x01000001  # from here on nobody looks at checksums
MAX_DATA = 256 << 10
HEADER = struct.Struct("<6I")
BANNER = b"device::ro.product.name=edge;ro.product.model=Test_Phone;ro.product.device=edge;features=shell_v2,cmd"

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)  # packets of shell,v2


class GoneError(Exception):
    """The stream or the link has ended."""


def adb(*words: str) -> str:
    """Run a command of the real client and return what it printed."""
    return subprocess.run(["adb", *words], capture_output=True, text=True, check=False, timeout=30).stdout


@contextlib.contextmanager
def serving(home: Path) -> Iterator[None]:
    """Have an adb server for the length of a block, at a port of its own, with its keys and its log in `home`."""
    require("adb", "adb is missing: install adb")
    with socket.create_server((HOST, 0)) as probe:
        port = str(probe.getsockname()[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", port)
        own = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
        subprocess.run(["adb", "start-server"], env=own, capture_output=True, check=True, timeout=30)
        try:
            yield
        finally:
            adb("kill-server")


def code(word: str) -> int:
    """Return a command of the protocol as the number that goes over the wire."""
    return int.from_bytes(word.encode(), "little")


class Stream:
    """One open service: what the other side sends is read in order, what is sent waits for its acknowledgement."""

    def __init__(self, link: Link, here: int, there: int) -> None:
        self._link, self._here, self._there = link, here, there
        self._incoming: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._rest = b""
        self._ready = threading.Semaphore(1)
        self._lock = threading.Lock()
        self.gone = threading.Event()

    def arrived(self, data: bytes) -> None:
        self._incoming.put(data)

    def acknowledged(self) -> None:
        self._ready.release()

    def ended(self) -> None:
        self.gone.set()
        self._incoming.put(None)
        self._ready.release()

    def chunks(self) -> Iterator[bytes]:
        """Yield what arrives until the stream or the link ends; asking for the next piece acknowledges the last."""
        while (data := self._incoming.get()) is not None:
            yield data
            with contextlib.suppress(GoneError):
                self._link.send("OKAY", self._here, self._there)

    def read(self, size: int) -> bytes:
        """Return so many bytes; raises GoneError where they do not come."""
        while len(self._rest) < size:
            data = self._incoming.get()
            if data is None:
                raise GoneError
            self._rest += data
            self._link.send("OKAY", self._here, self._there)
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def write(self, data: bytes) -> None:
        """Send, in the order of calls; raises GoneError."""
        with self._lock:
            for start in range(0, len(data), MAX_DATA):
                self._ready.acquire()
                if self.gone.is_set():
                    self._ready.release()
                    raise GoneError
                self._link.send("WRTE", self._here, self._there, data[start : start + MAX_DATA])

    def close(self) -> None:
        if not self.gone.is_set():
            with contextlib.suppress(GoneError):
                self._link.send("CLSE", self._here, self._there)
        self.ended()


class Link:
    """One connection of an adb server."""

    def __init__(self, phone: Phone, connection: socket.socket) -> None:
        self._phone = phone
        self._connection = connection
        self._streams: dict[int, Stream] = {}
        self._lock = threading.Lock()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve(self) -> None:
        """Answer until the link ends."""
        try:
            while True:
                self._answer(*self._message())
        except (GoneError, OSError):
            pass
        finally:
            self.cut()
            for stream in list(self._streams.values()):
                stream.ended()

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def send(self, word: str, arg0: int, arg1: int, data: bytes = b"") -> None:
        command = code(word)
        header = HEADER.pack(command, arg0, arg1, len(data), 0, command ^ 0xFFFFFFFF)
        try:
            with self._lock:
                self._connection.sendall(header + data)
        except OSError as error:
            raise GoneError from error

    def _message(self) -> tuple[int, int, int, bytes]:
        command, arg0, arg1, size, _, _ = HEADER.unpack(self._exactly(HEADER.size))
        return command, arg0, arg1, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._connection.recv(size - len(data))
            if not piece:
                raise GoneError
            data += piece
        return bytes(data)

    def _answer(self, command: int, arg0: int, arg1: int, data: bytes) -> None:
        if self._phone.silent:
            return
        if command in (code("CNXN"), code("AUTH")):
            self._greet()
        elif command == code("OPEN"):
            self._open(arg0, data.rstrip(b"\0").decode())
        elif stream := self._streams.get(arg1):
            if command == code("WRTE"):
                stream.arrived(data)
            elif command == code("OKAY"):
                stream.acknowledged()
            elif command == code("CLSE"):
                stream.ended()

    def _greet(self) -> None:
        if self._phone.unauthorized:
            self.send("AUTH", 1, 0, os.urandom(20))
        else:
            self.send("CNXN", VERSION, MAX_DATA, BANNER)

    def _open(self, there: int, service: str) -> None:
        here = len(self._streams) + 1
        found = _service(service)
        if found is None:
            self.send("CLSE", 0, there)
            return
        stream = self._streams[here] = Stream(self, here, there)
        self.send("OKAY", here, there)
        threading.Thread(target=self._serve, args=(found, stream), daemon=True).start()

    def _serve(self, service: Callable[[Phone, Stream], None], stream: Stream) -> None:
        try:
            service(self._phone, stream)
        except (GoneError, OSError):
            pass
        finally:
            stream.close()


def _service(name: str) -> Callable[[Phone, Stream], None] | None:
    kind, _, command = name.partition(":")
    if kind.split(",")[:2] == ["shell", "v2"]:
        return lambda phone, stream: Shell(phone, stream, command).serve()
    return sync if kind == "sync" else None


class Shell:
    """A program with stdin, stdout, stderr and an exit code of its own."""

    def __init__(self, phone: Phone, stream: Stream, command: str) -> None:
        self._stream = stream
        self._process = phone.android.start(command)
        phone.processes.append(self._process)

    def serve(self) -> None:
        process = self._process
        feeding = threading.Thread(target=self._feed, daemon=True)
        feeding.start()
        assert process.stdout
        assert process.stderr
        pumps = [
            threading.Thread(target=self._pump, args=(kind, pipe), daemon=True)
            for kind, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr))
        ]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        status = process.wait()
        with contextlib.suppress(GoneError):
            self._stream.write(self._packet(EXIT, bytes([status & 0xFF if status >= 0 else 128 - status])))

    def _pump(self, kind: int, pipe: IO[bytes]) -> None:
        with contextlib.suppress(GoneError, OSError, ValueError):
            while data := os.read(pipe.fileno(), 1 << 16):
                self._stream.write(self._packet(kind, data))
        pipe.close()  # who prints on gets an error instead of waiting for ever

    def _feed(self) -> None:
        """Hand packets of the other side to the program; at the link's end send SIGHUP.

        The real one sends it to the shell alone, here all that the shell started gets it as well.
        """
        stdin = self._process.stdin
        assert stdin
        rest = b""
        for data in self._stream.chunks():
            rest += data
            while len(rest) >= 5 and len(rest) >= 5 + (size := struct.unpack_from("<I", rest, 1)[0]):
                kind, content, rest = rest[0], rest[5 : 5 + size], rest[5 + size :]
                with contextlib.suppress(OSError, ValueError):
                    if kind == STDIN:
                        stdin.write(content)
                        stdin.flush()
                    elif kind == CLOSE_STDIN:
                        stdin.close()
        with contextlib.suppress(OSError):
            stdin.close()
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGHUP)

    @staticmethod
    def _packet(kind: int, data: bytes) -> bytes:
        return struct.pack("<BI", kind, len(data)) + data


def sync(phone: Phone, stream: Stream) -> None:
    """Serve files: each by a program on the phone, whose user may do what that user may."""
    while True:
        word, size = struct.unpack("<4sI", stream.read(8))
        if word == b"QUIT":
            return
        path = stream.read(size).decode()
        if word == b"STAT":
            stream.write(b"STAT" + struct.pack("<3I", *phone.android.stat(path)))
        elif word == b"SEND":
            _receive_file(phone, stream, path.rpartition(",")[0])
        elif word == b"RECV":
            _send_file(phone, stream, path)
        else:
            stream.write(b"FAIL" + struct.pack("<I", 7) + b"unknown")


def _receive_file(phone: Phone, stream: Stream, path: str) -> None:
    script = 'mkdir -p "${1%/*}" && cat > "$1"'
    with phone.android.start(script, path) as writer:
        assert writer.stdin
        assert writer.stderr
        while True:
            word, size = struct.unpack("<4sI", stream.read(8))
            if word == b"DONE":
                break
            data = stream.read(size)
            if phone.damages:
                data = data[:-1] + bytes([data[-1] ^ 1])
            with contextlib.suppress(OSError):
                writer.stdin.write(data)
                writer.stdin.flush()
        with contextlib.suppress(OSError):
            writer.stdin.close()
        complaint = writer.stderr.read().strip()
        failed = writer.wait() != 0
    answer = b"FAIL" + struct.pack("<I", len(complaint)) + complaint if failed else b"OKAY" + struct.pack("<I", 0)
    stream.write(answer)


def _send_file(phone: Phone, stream: Stream, path: str) -> None:
    with phone.android.start('exec cat "$1"', path) as reader:
        assert reader.stdout
        assert reader.stderr
        while data := reader.stdout.read(64 << 10):
            stream.write(b"DATA" + struct.pack("<I", len(data)) + data)
        complaint = reader.stderr.read().strip()
        failed = reader.wait() != 0
    stream.write(b"FAIL" + struct.pack("<I", len(complaint)) + complaint if failed else b"DONE" + struct.pack("<I", 0))


class Phone:
    """A phone with an Android-like root, that adb reaches at a port of loopback.

    Args:
        folder: for its files.

    Attributes:
        unauthorized: nobody accepts the dialog.
        silent: nothing that comes is answered.
        damages: the last byte of each piece of a file arrives as another one.
        processes: of all shells.
    """

    def __init__(self, folder: Path) -> None:
        self.android = android.Android(folder)
        self.unauthorized = False
        self.silent = False
        self.damages = False
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port = 0
        self._listener: socket.socket | None = None
        self._links: list[Link] = []
        self.plug()

    @property
    def address(self) -> str:
        """What `adb connect` and `adb -s` call it."""
        return f"{HOST}:{self.port}"

    @property
    def device(self) -> Path:
        """The folder that edgerig has there, seen from here."""
        return self.android.root / "data/local/tmp/edgerig"

    def plug(self) -> None:
        """Be reachable, at the same port as before."""
        listener = socket.create_server((HOST, self.port))
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                link = Link(self, listener.accept()[0])
                self._links.append(link)
                threading.Thread(target=link.serve, daemon=True).start()

    def unplug(self) -> None:
        """Be gone at once, whatever is under way."""
        if self._listener:
            # shutdown wakes who accepts; close alone leaves the port taken until then
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.drop()

    def in_order(self) -> None:
        """Be a phone that is plugged in and does as it is told."""
        self.unauthorized = self.silent = self.damages = False
        self.drop()
        if self._listener is None:
            self.plug()

    def drop(self) -> None:
        """End all connections; new ones are accepted."""
        while self._links:
            self._links.pop().cut()

    def close(self) -> None:
        """Be gone, and end all that runs there."""
        self.unplug()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        self.android.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Phone]:
    """Have a phone for the length of a block."""
    phone = Phone(folder)
    try:
        yield phone
    finally:
        phone.close()
