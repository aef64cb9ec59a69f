"""Leases: one controller at a time on a device, without a server. What happens there is in `targets/keeper.py`.

A lease is taken before anything is put on the device and freed at the end. While it is held, a thread has it renewed
over a connection of its own. A controller that dies leaves a lease that nobody renews: another one may take it when it
was not heard of for a minute, or at once where both are of the same machine and the process is known to be dead.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgerig import digest
from edgerig.deadline import Deadline
from edgerig.errors import EdgerigError, LinkLost, ProtocolError, TargetError, TargetHeld, TargetRefused
from harness import places
from reports.figures import duration
from targets import connect, keeper
from targets.keeper import Answer
from targets.profile import Target
from targets.transport import Channel, Transport

BEAT_S = 20.0  # between renewals: one line to a shell on the device
EXPIRY_S = 60  # a lease that was not heard of for longer is nobody's; what a lost link is given to come back, too
ANSWER_S = 15.0
GRACE_S = 5.0  # for a renewal under way when the lease is freed
LOOK_S = 2.0  # between looks at a device that is waited for
FOR_EVER = float("inf")


class Owner(BaseModel):
    """Who has a lease; what a device says of one is checked against this."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    who: str = Field("somebody", max_length=200)  # user@host
    pid: int = 0
    run: str = Field("", max_length=200)
    token: str = Field("", max_length=64)
    machine: str = Field("", max_length=64)  # within it, process numbers tell processes apart
    began: str = Field("", max_length=32)  # of the process: numbers are used again

    @property
    def dead(self) -> bool:
        """Whether the process is known to be gone; False where that cannot be told."""
        return bool(self.machine) and self.machine == this_machine() and began(self.pid) != self.began

    @property
    def ours(self) -> bool:
        """Whether this very process has the lease, for another target."""
        return self.pid == os.getpid() and self.machine == this_machine() and began(self.pid) == self.began

    def __str__(self) -> str:
        return f"{self.who} (process {self.pid}, {self.run or 'no run'})"


def this_machine() -> str:
    """Return what tells this boot of this machine, and this container of it, from others; "" where nothing does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return digest.of_bytes(f"{boot} {Path('/proc/self/ns/pid').readlink()}".encode())[:32]
    except OSError:
        return ""


def began(pid: int) -> str:
    """Return when a process began, in ticks since boot; "" where there is none, or it is dead and not yet buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # proc_pid_stat(5): the 3rd and the 22nd


def this_owner(run: str) -> Owner:
    """Return this process as the owner of a new lease."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no name for this number
        user = str(os.getuid())
    return Owner(
        who=f"{user}@{socket.gethostname()}"[:200],
        pid=os.getpid(),
        run=run[:200],
        token=secrets.token_hex(8),
        machine=this_machine(),
        began=began(os.getpid()),
    )


@dataclass(frozen=True)
class Standing:
    """A target's lease, as it was found.

    Attributes:
        state: "free", "held", or "expired": held, but not heard of for so long that it may be taken.
        number: of the lease.
        owner: who has it, None where it is free.
        age_s: since it was heard of.
        since_s: since it is held, None where that is not known.
    """

    state: str
    number: int = 0
    owner: Owner | None = None
    age_s: int = 0
    since_s: int | None = None


def standing(target: Target) -> Standing:
    """Return how a target's lease stands, taking nothing; raises TargetError."""
    with _keeping(target, "show") as talk:
        return _standing(talk.answer())


def _standing(answer: Answer) -> Standing:
    if answer.word != "held":
        return Standing("free", answer.number)
    try:
        owner = Owner.model_validate_json(answer.owner)
    except ValidationError:
        owner = Owner()
    state = "expired" if answer.age_s > EXPIRY_S or owner.dead else "held"
    return Standing(state, answer.number, owner, answer.age_s, answer.since_s)


class _Talk:
    """Lines to and from a keeper."""

    def __init__(self, transport: Transport, channel: Channel) -> None:
        self._transport = transport
        self._channel = channel
        self._rest = b""

    def say(self, word: str) -> str:
        """Say a word and return the line that answers it."""
        self._channel.send(f"{word}\n".encode())
        return self.hear()

    def hear(self) -> str:
        """Return the next line; raises LinkLost where none comes, ProtocolError where it has no end."""
        deadline = Deadline(ANSWER_S)
        while b"\n" not in self._rest:
            data = self._channel.receive(deadline)
            if not data:
                raise LinkLost("the keeper of the lease ended.", self._channel.errors()[-300:])
            self._rest += data
            if len(self._rest) > 2 * keeper.LONGEST_LINE:
                raise ProtocolError("the keeper of the lease sent a line without an end.")
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")

    def answer(self) -> Answer:
        """Return what it says of the lease first."""
        try:
            line = self.hear()
        except LinkLost as error:
            if not error.hint:
                raise
            raise TargetRefused(f"no lease can be had on the device: {error.hint}") from error
        found = keeper.parsed(line)
        if found is None:
            raise ProtocolError(f"the keeper of the lease said {line[:80]!r}.")
        return found

    def close(self) -> None:
        """Let go of the device."""
        with contextlib.suppress(EdgerigError, OSError):
            self._channel.close()
        with contextlib.suppress(EdgerigError, OSError):
            self._transport.close()


def _talk(target: Target, word: str, owner: Owner | None = None, dead: int = 0) -> _Talk:
    transport = connect.keeping(target, places.devices())
    token, text = (owner.token, owner.model_dump_json()) if owner else ("", "")
    text = text.encode("ascii", "replace").decode()
    try:
        argv = keeper.argv(connect.leases(target), word, token, text, EXPIRY_S, dead)
        return _Talk(transport, transport.start(argv))
    except BaseException:
        transport.close()
        raise


@contextlib.contextmanager
def _keeping(target: Target, word: str) -> Iterator[_Talk]:
    talk = _talk(target, word)
    try:
        yield talk
    finally:
        talk.close()


class Lease:
    """A target's lease, held from now on and renewed until it is freed.

    Args:
        target: which.
        run: what it is for, for those who wait.

    Raises:
        TargetHeld: another controller has it.
        TargetError: the device cannot be asked.
    """

    def __init__(self, target: Target, run: str) -> None:
        self._target = target
        self._owner = this_owner(run)
        self._lost = ""
        self._ended = threading.Event()
        self._number = 0
        self._talk = self._taken()
        self._heard = time.monotonic()
        self._beating = threading.Thread(target=self._beat, name=f"lease of {target.name}", daemon=True)
        self._beating.start()

    def _taken(self, dead: int = 0) -> _Talk:
        talk = _talk(self._target, "hold", self._owner, dead)
        try:
            answer = talk.answer()
        except BaseException:
            talk.close()
            raise
        if answer.word == "mine":
            return self._kept(talk, answer.number)
        talk.close()
        found = _standing(answer)
        if found.owner and found.owner.dead and dead != found.number:
            return self._taken(found.number)
        raise _held(self._target.name, found)

    def _kept(self, talk: _Talk, number: int) -> _Talk:
        if self._number in (0, number):
            self._number = number
            return talk
        with contextlib.suppress(TargetError):
            talk.say("free")
        talk.close()
        raise TargetHeld("another controller had it in the meantime.")

    def _beat(self) -> None:
        while not self._lost and not self._ended.wait(BEAT_S):
            try:
                self._renew()
            except TargetHeld as error:
                self._lost = error.message
            except TargetError as error:
                # What is measured goes on until another one may have taken the device.
                if time.monotonic() - self._heard > EXPIRY_S:
                    self._lost = error.message

    def _renew(self) -> None:
        """Say that we are alive; over a new connection where the last one was lost."""
        try:
            answer = self._talk.say("beat")
        except TargetError:
            self._talk.close()
            self._talk = self._taken()
            answer = self._talk.say("beat")
        if answer == "lost":
            raise TargetHeld("another controller has taken it.")
        if answer != "ok":
            raise LinkLost("it could not be renewed.")
        self._heard = time.monotonic()

    @property
    def number(self) -> int:
        """The lease's number on its device."""
        return self._number

    def check(self) -> None:
        """Raise TargetHeld where the lease was lost: what is measured now may be disturbed."""
        if self._lost:
            raise TargetHeld(f"the lease of {self._target.name} was lost: {self._lost}", "Resume the run later.")

    def free(self) -> None:
        """Let the next one have the device; never raises."""
        self._ended.set()
        self._beating.join(GRACE_S)
        if self._beating.is_alive():  # it waits for a device that is silent: the lease will expire
            return
        with contextlib.suppress(EdgerigError, OSError):
            self._talk.say("free")
        self._talk.close()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.free()


def _held(name: str, found: Standing) -> TargetHeld:
    since = "" if found.since_s is None else f" for {duration(found.since_s)}"
    error = TargetHeld(
        f"{name} is held by {found.owner or 'another controller'}{since}.",
        "--wait waits for it; `edgerig leases` shows who has what.",
    )
    error.ours = bool(found.owner and found.owner.ours)
    return error


def acquire(
    target: Target,
    run: str,
    wait_s: float = 0.0,
    *,
    pause: Callable[[float], object] = time.sleep,
    told: Callable[[str], object] = str,
) -> Lease:
    """Return a target's lease.

    Args:
        target: which.
        run: what for.
        wait_s: how long to wait for another controller; one of this process is waited for in any case.
        pause: sleeps; may raise to end the waiting.
        told: given the sentence that says who is waited for.

    Raises:
        TargetHeld: somebody else has it, still.
        TargetError: the device cannot be asked.
    """
    patience = Deadline(None if wait_s == FOR_EVER else wait_s)
    while True:
        try:
            return Lease(target, run)
        except TargetHeld as error:
            if patience.expired and not error.ours:
                raise
            told(f"waiting: {error.message}")
        remaining = patience.remaining
        pause(LOOK_S if not remaining else min(LOOK_S, remaining))
