from __future__ import annotations

import hashlib
import json
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.agent import protocol
from harness.devices import pack
from tests.harness.agent.client import Client


def test_hello(shared: Client) -> None:
    answer = shared.ask("hello")
    assert answer.kind == "identity"
    identity = protocol.Identity(**answer.body)
    assert identity.agent_sha256 == pack.sha256()
    assert identity.python == platform.python_version()
    assert identity.machine == platform.machine()
    assert {"numpy", "cv2", "onnxruntime"} <= set(identity.packages)
    assert identity.cores >= 1
    assert identity.memory_mb is not None


@pytest.mark.parametrize(
    "line", [b"no json", b"[]", b'{"v":2,"kind":"hello","id":1}', b'{"v":1}', b"[" * 100_000, b"\xff\xfe"]
)
def test_what_is_no_message_is_answered(shared: Client, line: bytes) -> None:
    shared.write(line + b"\n")
    answer = shared.hear()
    assert (answer.kind, answer.id) == ("error", 0)
    assert "no message" in answer.body["message"]


def test_an_overlong_line_is_answered_once_and_dropped(shared: Client) -> None:
    shared.write(b'{"v":1,"kind":"hello","id":1,"body":{"x":"' + b"x" * (2 * protocol.MAX_LINE) + b'"}}\n')
    answer = shared.hear()
    assert "more than 4194304 bytes" in answer.body["message"]
    assert shared.ask("hello").kind == "identity"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("dance", {}),
        ("have", {}),
        ("have", {"digests": ["../../etc/passwd"]}),
        ("have", {"digests": 5}),
        ("accept", {"sha256": "A" * 64}),
        ("job", {}),
        ("job", {"model": [{"name": "x"}]}),
        ("job", {"token": "../x", "kind": "check", "model": [], "runtime": "null"}),
        ("job", {"token": "t", "kind": "check", "model": [], "runtime": "null", "surprise": 1}),
        ("collect", {"token": ".."}),
        ("forget", {"token": "a/b"}),
        ("forget", {"token": None}),
    ],
)
def test_requests_that_cannot_be_served(shared: Client, kind: str, body: object) -> None:
    answer = shared.ask(kind, body)
    assert answer.kind == "error"
    assert kind in answer.body["message"]
    assert shared.ask("hello").kind == "identity"


def test_bye_and_the_end_of_stdin_end_it(tmp_path: Path) -> None:
    for number, last in enumerate([protocol.encode("bye", 1), b""]):
        client = Client(tmp_path / str(number))
        client.write(last)
        assert client.leave() == 0
        client.close()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_signals_end_it(agent: Client, number: signal.Signals, status: int) -> None:
    agent.process.send_signal(number)
    assert agent.process.wait(10) == status


def run_agent(folder: Path, *arguments: str, env: dict[str, str] | None = None, say: str = "") -> tuple[int, str]:
    command = [sys.executable, str(pack.build(folder)), *arguments]
    done = subprocess.run(command, input=say, capture_output=True, text=True, env=env, check=False, timeout=30)
    return done.returncode, done.stdout


def test_version_and_usage(tmp_path: Path) -> None:
    status, printed = run_agent(tmp_path, "--version")
    assert status == 0
    assert printed == f"edgerig-agent {pack.sha256()[:12]} protocol 1\n"
    assert run_agent(tmp_path, "--help")[0] == 2


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    assert run_agent(tmp_path, "--root", "/dev/null/x") == (1, "")


def test_without_numpy_the_first_answer_says_so(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError('no', name='numpy')")
    hello = protocol.encode("hello", 7).decode()
    status, printed = run_agent(tmp_path, "--root", str(tmp_path / "x"), env={"PYTHONPATH": str(tmp_path)}, say=hello)
    assert status == 3
    answer = json.loads(printed)
    assert answer["id"] == 7
    assert answer["body"]["message"].startswith(f"numpy is not installed for Python {platform.python_version()}")


def test_the_pack_is_the_same_each_time_and_is_not_written_twice(tmp_path: Path) -> None:
    path = pack.build(tmp_path)
    before = path.stat()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == pack.sha256()
    assert path.name == f"edgerig-agent-{pack.sha256()[:12]}.pyz"
    pack.archive.cache_clear()
    assert pack.build(tmp_path) == path
    assert path.stat().st_ino == before.st_ino
    path.write_bytes(b"damaged")
    assert hashlib.sha256(pack.build(tmp_path).read_bytes()).hexdigest() == pack.sha256()
    assert list(tmp_path.iterdir()) == [path]
