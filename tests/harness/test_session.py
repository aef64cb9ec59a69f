"""Sessions with a real, packed agent behind a link that breaks: nothing is lost, done twice, or believed unchecked."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgerig import digest
from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, OutputError, ProtocolError, TargetFull, TargetRefused, TargetUnreachable
from edgerig.preprocess import InputSpec, OutputSpec
from harness.agent import protocol
from harness.agent.protocol import ArrayFile, Identity, Job, JobResult, Progress, StoredFile
from harness.devices import pack, session
from harness.devices.session import Conversation, Session
from model_zoo import faceset
from targets.local import LocalChannel, LocalTransport
from tests.support import devices, models


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PAUSE_S", 0.01)


@pytest.fixture
def job(tmp_path: Path, faces: Path) -> tuple[Job, dict[str, Path]]:
    """Return a job of 20 ms and the files that it needs."""
    model = models.null_model(tmp_path, "model")
    packed = faceset.pack(faceset.load(faces), tmp_path)
    job = Job(
        token="job-1",
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


def spool(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "device" / "spool").iterdir())


def test_the_agent_is_put_once_and_then_found(tmp_path: Path) -> None:
    with devices.session(tmp_path) as first:
        assert first.identity.agent_sha256 == pack.sha256()
        assert first.pushed_bytes == len(pack.archive())
    with devices.session(tmp_path) as second:
        assert second.pushed_bytes == 0


@pytest.mark.parametrize("damaged", [b"no agent", b"#!other\n" + pack.archive()], ids=["garbage", "another that works"])
def test_an_agent_that_is_not_ours_is_put_again(tmp_path: Path, damaged: bytes) -> None:
    with devices.session(tmp_path):
        pass
    (tmp_path / "device" / "agents" / pack.file_name()).write_bytes(damaged)
    with devices.session(tmp_path) as again:
        assert again.pushed_bytes == len(pack.archive())
        assert again.identity.agent_sha256 == pack.sha256()


def test_files_are_pushed_once_by_content(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    _, wanted = job
    with devices.session(tmp_path) as link:
        assert link.push(wanted) == sum(path.stat().st_size for path in wanted.values())
        assert link.push(wanted) == 0
        assert link.missing({"0" * 64: tmp_path}) == {"0" * 64: tmp_path}


def test_a_job_is_done_fetched_and_forgotten(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    todo, wanted = job
    with devices.session(tmp_path) as link:
        link.push(wanted)
        result = link.run(todo)
        assert (result.outcome, result.reason) == ("ok", "")
        scores = next(array for array in result.arrays if array.name == "scores.npy")
        link.fetch(todo, scores, tmp_path / "scores.npy")
        assert np.load(tmp_path / "scores.npy").shape == (2,)
        assert spool(tmp_path) == ["job-1"]
        link.forget(todo)
        assert spool(tmp_path) == []


def test_progress_is_told(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    todo, wanted = job
    slow = models.null_model(tmp_path, "slow", latency_ms=600, wait="sleep")
    slower = Job(**{**vars(todo), "model": [StoredFile("model.null", digest.of_file(slow))]})
    heard: list[Progress] = []
    with devices.session(tmp_path) as link:
        link.push({**wanted, digest.of_file(slow): slow})
        assert link.run(slower, heard.append).outcome == "ok"
    assert heard
    assert heard[0].total in (0, 2)


@pytest.mark.parametrize("dropped_at", [2, 3], ids=["when the job is sent", "when its result is due"])
def test_a_job_whose_link_drops_is_done_once(tmp_path: Path, job: tuple[Job, dict[str, Path]], dropped_at: int) -> None:
    todo, wanted = job
    with devices.session(tmp_path) as link:
        link.push(wanted)
    # hello and identity are the first send and receive; the job is the second.
    operation = "send" if dropped_at == 2 else "receive"
    with devices.session(tmp_path, [{"on": operation, "after": 1, "kind": "drop"}]) as link:
        result = link.run(todo)
        assert result.outcome == "ok"
        assert result.token == todo.token
        assert spool(tmp_path) == ["job-1"]


def test_a_result_whose_answer_was_lost_is_collected_not_measured_again(
    tmp_path: Path, job: tuple[Job, dict[str, Path]]
) -> None:
    todo, wanted = job
    with devices.session(tmp_path) as link:
        link.push(wanted)
        done = link.run(todo)
    with devices.session(tmp_path, [{"on": "send", "after": 1, "kind": "drop"}]) as link:
        assert link.run(todo) == done  # its start's clock included


def test_a_stalled_device_is_tried_again(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    todo, wanted = job
    with devices.session(tmp_path, [{"on": "receive", "after": 4, "kind": "stall"}]) as link:
        link.push(wanted)
        assert link.run(todo).outcome == "ok"


def test_a_device_that_stays_away_is_lost(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    todo, wanted = job
    faults = [
        {"on": "send", "after": 1, "kind": "drop"},
        {"on": "start", "after": 1, "kind": "offline", "times": session.RECONNECTS},
    ]
    with devices.session(tmp_path) as link:
        link.push(wanted)
    with devices.session(tmp_path, faults) as link, pytest.raises(TargetUnreachable):
        link.run(todo)


def test_a_device_that_is_away_for_a_moment_is_waited_for(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    todo, wanted = job
    faults = [
        {"on": "send", "after": 1, "kind": "drop"},
        {"on": "start", "after": 1, "kind": "offline", "times": session.RECONNECTS - 1},
    ]
    with devices.session(tmp_path) as link:
        link.push(wanted)
    with devices.session(tmp_path, faults) as link:
        assert link.run(todo).outcome == "ok"


def test_half_a_file_is_refused_by_the_device(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    _, wanted = job
    with devices.session(tmp_path):
        pass
    with (
        devices.session(tmp_path, [{"on": "put", "kind": "truncate"}]) as link,
        pytest.raises(TargetRefused, match="arrived damaged"),
    ):
        link.push(wanted)
    with devices.session(tmp_path) as link:
        assert link.missing(wanted) == wanted


def test_a_device_without_space(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    _, wanted = job
    with (
        devices.session(tmp_path, [{"on": "put", "after": 1, "kind": "full"}]) as link,
        pytest.raises(TargetFull, match="no space is left"),
    ):
        link.push(wanted)


def test_a_dropped_push_goes_on_with_what_is_missing(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    _, wanted = job
    with devices.session(tmp_path, [{"on": "put", "after": 2, "kind": "drop"}]) as link:
        link.push(wanted)
        assert link.missing(wanted) == {}


def test_half_of_an_array_is_fetched_again_and_never_kept(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    todo, wanted = job
    with devices.session(tmp_path, [{"on": "get", "kind": "truncate"}]) as link:
        link.push(wanted)
        array = link.run(todo).arrays[0]
        link.fetch(todo, array, tmp_path / "array.npy")
    assert digest.of_file(tmp_path / "array.npy") == array.sha256


def test_an_array_that_is_not_what_the_result_says_is_not_kept(
    tmp_path: Path, job: tuple[Job, dict[str, Path]]
) -> None:
    todo, wanted = job
    with devices.session(tmp_path) as link:
        link.push(wanted)
        array = link.run(todo).arrays[0]
        other = ArrayFile(array.name, array.bytes, "0" * 64)
        with pytest.raises(LinkLost, match="did not arrive whole"):
            link.fetch(todo, other, tmp_path / "array.npy")
    assert not list(tmp_path.glob("array*"))


def test_an_array_that_cannot_be_written_here_is_our_fault(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    todo, wanted = job
    with devices.session(tmp_path) as link:
        link.push(wanted)
        array = link.run(todo).arrays[0]
        with pytest.raises(OutputError, match="cannot be written"):
            link.fetch(todo, array, tmp_path / "nowhere" / "array.npy")


def test_a_python_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match="cannot be started"):
        Session(LocalTransport(tmp_path / "device"), ["no-such-python"], tmp_path / "agents")


def test_a_python_without_numpy_is_told_as_a_sentence(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')  # without site-packages
    python.chmod(0o755)
    with pytest.raises(TargetRefused, match="numpy is not installed"):
        Session(LocalTransport(tmp_path / "device"), [str(python)], tmp_path / "agents")


# -- devices that say something else: a shell script in the agent's place


def saying(text: str) -> Conversation:
    return Conversation(LocalChannel(["sh", "-c", f"read line; printf '%s' '{text}'"]))


def ask(text: str) -> protocol.Message:
    conversation = saying(text)
    try:
        return conversation.ask("hello", None, Deadline(5))
    finally:
        conversation.close()


@pytest.mark.parametrize(
    "garbage",
    [
        "Welcome to Busybox!\n",
        "[]\n",
        '{"v": 99, "kind": "identity", "id": 1, "body": {}}\n',
        '{"v": 1, "kind": "identity", "id": "1", "body": {}}\n',
        '{"v": 1, "kind": "identity", "id": 1, "body": []}\n',
        "\n",
        "[" * 100_000 + "\n",
        '{"v": 1, "kind": "identity", "id": 1, "body": {"memory_mb": NaN}}\n',
        '{"v": 1, "kind": "identity", "id": 1, "body": {"memory_mb": 1e999}}\n',
    ],
    ids=["banner", "list", "version", "id", "body", "empty line", "deep nesting", "NaN", "infinity"],
)
def test_garbage_is_no_protocol(garbage: str) -> None:
    with pytest.raises(ProtocolError, match="not our protocol"):
        ask(garbage)


def test_bytes_that_are_no_text_are_no_protocol() -> None:
    conversation = Conversation(LocalChannel(["sh", "-c", "read line; printf '\\377\\376\\n'"]))
    with pytest.raises(ProtocolError, match="not our protocol"):
        conversation.ask("hello", None, Deadline(5))
    conversation.close()


def test_a_line_without_an_end_is_not_waited_for() -> None:
    conversation = Conversation(LocalChannel(["sh", "-c", "read line; head -c 8450000 /dev/zero"]))
    with pytest.raises(ProtocolError, match="without an end"):
        conversation.ask("hello", None, Deadline(30))
    conversation.close()


def test_an_end_without_an_answer_says_what_was_on_stderr() -> None:
    conversation = Conversation(LocalChannel(["sh", "-c", "read line; echo 'cannot load libc' >&2"]))
    with pytest.raises(LinkLost) as caught:
        conversation.ask("hello", None, Deadline(5))
    assert "cannot load libc" in caught.value.hint
    conversation.close()


def test_silence_ends_with_the_deadline() -> None:
    conversation = Conversation(LocalChannel(["sleep", "60"]))
    begin = time.monotonic()
    with pytest.raises(LinkLost, match="did not answer in time"):
        conversation.ask("hello", None, Deadline(0.2))
    assert time.monotonic() - begin < 2
    conversation._channel._process.kill()  # type: ignore[attr-defined]  # it does not listen to the end of stdin
    conversation.close()


def test_an_answer_to_a_question_that_was_given_up_is_passed_over() -> None:
    late = '{"v":1,"kind":"late","id":0,"body":{}}\n{"v":1,"kind":"right","id":1,"body":{}}\n'
    assert ask(late).kind == "right"


def test_the_agents_own_error_is_passed_on_and_bounded() -> None:
    with pytest.raises(TargetRefused, match="the agent could not serve 'hello'") as caught:
        ask('{"v":1,"kind":"error","id":1,"body":{"message":"' + "x" * 10_000 + '"}}\n')
    assert len(caught.value.message) < 5000


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Identity, {"agent_sha256": "", "cores": "many"}),
        (JobResult, {"token": "t", "kind": "check", "outcome": "ok", "times_ns": {"load": "fast"}}),
        (JobResult, {"token": "t", "kind": "check", "outcome": "ok", "arrays": [{"name": "frames.npy"}]}),
        (list[str], None),
    ],
    ids=["identity", "times", "arrays", "digests"],
)
def test_answers_of_the_wrong_shape_are_named(kind: type[object], body: object) -> None:
    with pytest.raises(ProtocolError, match="the device sent a wrong"):
        session.checked(kind, body)


class Answering:
    """A channel whose device answers each request by a function."""

    def __init__(self, answer: Callable[[protocol.Message], bytes]) -> None:
        self._answer = answer
        self._waiting = b""

    def send(self, data: bytes) -> None:
        self._waiting += self._answer(protocol.decode(data.rstrip(b"\n")))

    def receive(self, deadline: Deadline) -> bytes:
        data, self._waiting = self._waiting, b""
        return data

    def errors(self) -> str:
        return ""

    def close(self) -> None:
        pass


@pytest.mark.parametrize("changed", [{"token": "another"}, {"outcome": "marvellous"}], ids=["token", "outcome"])
def test_a_result_of_another_job_is_refused(
    tmp_path: Path, job: tuple[Job, dict[str, Path]], changed: dict[str, str]
) -> None:
    todo, _ = job

    def answer(message: protocol.Message) -> bytes:
        return protocol.encode("result", message.id, {"token": "job-1", "kind": "accuracy", "outcome": "ok", **changed})

    with devices.session(tmp_path) as link:
        link._conversation.close()
        link._conversation = Conversation(Answering(answer))
        with pytest.raises(ProtocolError, match="another question"):
            link.run(todo)


def test_a_device_cannot_name_a_path_of_its_choice(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    todo, wanted = job
    secret = tmp_path / "secret"
    secret.write_bytes(b"mine")
    with devices.session(tmp_path) as link:
        link.push(wanted)
        link.run(todo)
        with pytest.raises(ProtocolError, match="an array that no job makes"):
            link.fetch(todo, ArrayFile("../../../secret", 4, digest.of_file(secret)), tmp_path / "array.npy")
    assert not (tmp_path / "array.npy").exists()


def test_an_array_of_a_size_that_no_job_makes_is_refused(tmp_path: Path, job: tuple[Job, dict[str, Path]]) -> None:
    asked, wanted = job
    with devices.session(tmp_path) as link:
        link.push(wanted)
        result = link.run(asked)
        first = result.arrays[0]
        huge = ArrayFile(first.name, 10**18, first.sha256)
        with pytest.raises(ProtocolError, match="of 1000000000000000000 bytes"):
            link.fetch(asked, huge, tmp_path / "x.npy")
