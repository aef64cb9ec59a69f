"""Links that break or go silent, at every stage: it ends in time, nothing is lost and nothing is measured twice."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals

import psutil
import pytest

from edgerig import digest
from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, TargetUnreachable
from edgerig.preprocess import InputSpec, OutputSpec
from harness.agent.protocol import Job, StoredFile
from harness.devices import session
from harness.devices.session import Session
from model_zoo import faceset
from targets import ssh
from targets.ssh import SshTransport
from tests.devices.sshd import Desk, Sshd
from tests.support import models


@pytest.fixture
def link(board: Sshd, desk: Desk, tmp_path: Path) -> Iterator[Session]:
    """Return a session with the board."""
    opened = Session(SshTransport(board.address), [sys.executable], tmp_path / "agents")
    yield opened
    board.signal_sessions(SIGCONT)
    opened.close()


@pytest.fixture
def job(tmp_path: Path, faces: Path) -> tuple[Job, dict[str, Path]]:
    """Return a job of 1.2 s and the files that it needs."""
    model = models.null_model(tmp_path, "model", latency_ms=600, wait="sleep")
    packed = faceset.pack(faceset.load(faces), tmp_path)
    job = Job(
        token=f"job-{tmp_path.name}",
        kind="accuracy",
        model=[StoredFile("model.null", digest.of_file(model))],
        runtime="null",
        input=InputSpec(8, 8),
        output=OutputSpec("probability", 0),
        faces=packed.sha256,
        images=["real/000.png", "fake/000.png"],
        deadline_s=30,
    )
    return job, {job.model[0].sha256: model, packed.sha256: packed.path}


class Blow:
    """Strikes all sessions of a board once something has happened there, from a thread."""

    def __init__(self, board: Sshd, when: Callable[[], object], number: Signals = SIGKILL) -> None:
        self._board, self._when, self._number = board, when, number
        self._thread = threading.Thread(target=self._strike)

    def __enter__(self) -> Blow:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._thread.join()

    def _strike(self) -> None:
        end = time.monotonic() + 10
        while not self._when() and time.monotonic() < end:
            time.sleep(0.005)
        self.struck = self._board.signal_sessions(self._number)


def started(board: Sshd, todo: Job) -> Callable[[], bool]:
    """Return what says whether a job measures by now."""
    return (board.device / "spool" / todo.token / "progress").exists


def agents(board: Sshd) -> list[psutil.Process]:
    """Return the agents and measuring processes on the board."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(board.device) in " ".join(process.info["cmdline"] or ())
    ]


def test_a_job_goes_on_while_its_link_is_down(
    link: Session, board: Sshd, job: tuple[Job, dict[str, Path]], tmp_path: Path
) -> None:
    todo, wanted = job
    link.push(wanted)
    before = link.pushed_bytes
    with Blow(board, started(board, todo)) as blow:
        result = link.run(todo)
    assert blow.struck
    assert (result.outcome, result.reason) == ("ok", "")
    assert result.seconds < 5  # it was measured once: a second time would have come on top
    assert link.pushed_bytes == before
    link.fetch(todo, result.arrays[0], tmp_path / "scores.npy")
    link.forget(todo)
    assert not (board.device / "spool" / todo.token).exists()


def test_a_result_whose_link_broke_is_the_one_that_was_measured(
    link: Session, board: Sshd, job: tuple[Job, dict[str, Path]]
) -> None:
    todo, wanted = job
    link.push(wanted)
    spool = board.device / "spool" / todo.token
    inode: list[int] = []

    def running() -> bool:
        inode[:] = [(spool / "job.json").stat().st_ino] if (spool / "progress").exists() else []
        return bool(inode)

    with Blow(board, running):
        link.run(todo)
    assert (spool / "job.json").stat().st_ino == inode[0]


def test_a_push_whose_link_breaks_is_made_again(link: Session, board: Sshd, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(range(256)) * (200 << 10))  # 50 MB
    sha256 = digest.of_file(big)
    part = board.device / "incoming" / f"{sha256}.part"
    with Blow(board, lambda: part.exists() and part.stat().st_size > 1 << 20) as blow:
        assert link.push({sha256: big}) == big.stat().st_size
    assert blow.struck
    assert link.missing({sha256: big}) == {}
    assert not part.exists()
    (board.device / "store" / sha256).unlink()


def test_a_fetch_whose_link_is_gone_is_made_again(
    link: Session, board: Sshd, job: tuple[Job, dict[str, Path]], tmp_path: Path
) -> None:
    todo, wanted = job
    link.push(wanted)
    result = link.run(todo)
    board.signal_sessions(SIGKILL)
    link.fetch(todo, result.arrays[0], tmp_path / "scores.npy")
    assert digest.of_file(tmp_path / "scores.npy") == result.arrays[0].sha256
    board.signal_sessions(SIGKILL)
    link.forget(todo)
    assert not (board.device / "spool" / todo.token).exists()


def test_a_silent_link_ends_a_transfer_at_its_deadline(board: Sshd, desk: Desk, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(32 << 20))
    transport = SshTransport(board.address)
    board.signal_sessions(SIGSTOP)
    start = time.monotonic()
    with pytest.raises(LinkLost):
        transport.put(big, "incoming/silent", Deadline(1))
    assert time.monotonic() - start < 3
    board.signal_sessions(SIGCONT)
    transport.close()


def test_a_silent_link_ends_a_fetch_at_its_deadline(board: Sshd, desk: Desk, tmp_path: Path) -> None:
    (board.device / "incoming").mkdir(parents=True, exist_ok=True)
    (board.device / "incoming" / "big").write_bytes(bytes(1 << 20))
    transport = SshTransport(board.address)
    board.signal_sessions(SIGSTOP)
    start = time.monotonic()
    with pytest.raises(LinkLost):
        transport.get("incoming/big", tmp_path / "back", Deadline(1))
    assert time.monotonic() - start < 3
    board.signal_sessions(SIGCONT)
    transport.close()
    (board.device / "incoming" / "big").unlink()


def test_a_silent_agent_ends_at_its_deadline(board: Sshd, desk: Desk) -> None:
    transport = SshTransport(board.address)
    channel = transport.start(["sleep", "60"])
    board.signal_sessions(SIGSTOP)
    start = time.monotonic()
    with pytest.raises(LinkLost, match="went silent"):
        channel.receive(Deadline(0.5))
    channel.close()
    transport.close()
    assert time.monotonic() - start < 3
    board.signal_sessions(SIGCONT)


def test_a_silent_link_during_a_job_is_made_anew(
    link: Session, board: Sshd, job: tuple[Job, dict[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    todo, wanted = job
    link.push(wanted)
    monkeypatch.setattr(session, "ANSWER_S", 2.0)
    with Blow(board, started(board, todo), SIGSTOP) as blow:
        result = link.run(todo)
    assert blow.struck
    assert result.outcome == "ok"


def test_an_sshd_that_accepts_and_says_nothing_is_unreachable(
    board: Sshd, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_S", 0.5)
    board.pause()
    try:
        start = time.monotonic()
        with pytest.raises(TargetUnreachable):
            SshTransport(board.address)
        assert time.monotonic() - start < 5
    finally:
        board.go_on()


def test_a_board_that_reboots_is_waited_for(link: Session, board: Sshd, job: tuple[Job, dict[str, Path]]) -> None:
    todo, wanted = job
    link.push(wanted)
    board.stop()
    back = threading.Timer(1.0, board.start)
    back.start()
    assert link.run(todo).outcome == "ok"
    back.join()


def test_a_board_that_stays_away_is_lost(
    link: Session, board: Sshd, job: tuple[Job, dict[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SshTransport, "patience_s", 1.0)
    board.stop()
    try:
        with pytest.raises(TargetUnreachable):
            link.run(job[0])
    finally:
        board.start()


def test_leaving_during_a_job_ends_it_on_the_board(
    link: Session, board: Sshd, job: tuple[Job, dict[str, Path]]
) -> None:
    todo, wanted = job
    link.push(wanted)

    def measure() -> None:
        with pytest.raises(LinkLost):
            link._conversation.ask("job", todo, Deadline(20))

    thread = threading.Thread(target=measure)
    thread.start()
    end = time.monotonic() + 10
    while not started(board, todo)() and time.monotonic() < end:
        time.sleep(0.01)
    link.close()
    thread.join()
    end = time.monotonic() + 2
    while agents(board) and time.monotonic() < end:
        time.sleep(0.02)
    assert agents(board) == []
