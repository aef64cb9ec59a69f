"""Deadlines, processes and digests."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import pytest

from edgerig import digest
from edgerig.deadline import Deadline
from edgerig.errors import HostError, ProcessFailed
from edgerig.process import run


def test_a_deadline_without_an_end() -> None:
    never = Deadline()
    assert never.remaining is None
    assert not never.expired
    later = never.sooner(5).remaining
    assert later is not None
    assert 4 < later <= 5


def test_a_deadline_passes() -> None:
    now = Deadline(0)
    assert now.expired
    assert now.remaining == 0.0
    assert Deadline(-1).remaining == 0.0


def test_a_sooner_deadline_is_never_later() -> None:
    short = Deadline(0.05)
    assert (short.sooner(60).remaining or 0) <= 0.05
    assert (Deadline(60).sooner(0.05).remaining or 0) <= 0.05
    time.sleep(0.06)
    assert short.sooner(60).expired


def test_a_process_is_run_to_its_end(tmp_path: Path) -> None:
    assert run([sys.executable, "-c", "print('said')"]) == "said\n"
    assert run([sys.executable, "-c", "import os; print(os.getcwd())"], cwd=tmp_path).strip() == str(tmp_path)
    assert run([sys.executable, "-c", "import sys; print(repr(sys.stdin.read()))"]) == "''\n"
    assert run([sys.executable, "-c", r"import os; os.write(1, b'\xff')"]) == "\N{REPLACEMENT CHARACTER}"


def test_a_failed_process_tells_all() -> None:
    program = "import sys; print('out'); print('first', file=sys.stderr); print('last', file=sys.stderr); sys.exit(3)"
    argv = [sys.executable, "-c", program]
    with pytest.raises(ProcessFailed, match="ended with status 3: last") as caught:
        run(argv)
    assert isinstance(caught.value, HostError)
    failed = caught.value
    assert (failed.argv, failed.returncode, failed.stdout, failed.stderr) == (argv, 3, "out\n", "first\nlast\n")


def test_a_process_that_does_not_exist_or_end() -> None:
    with pytest.raises(ProcessFailed, match="no-such-program ended with status 127"):
        run(["no-such-program"])
    begin = time.monotonic()
    with pytest.raises(ProcessFailed, match="no end within"):
        run(["sleep", "30"], deadline=Deadline(0.2))
    assert time.monotonic() - begin < 5


def test_a_silent_failure_has_a_sentence_too() -> None:
    with pytest.raises(ProcessFailed, match="ended with status 1: it printed nothing"):
        run(["false"])


def test_digests(tmp_path: Path) -> None:
    data = b"x" * 100_000
    (tmp_path / "file").write_bytes(data)
    assert digest.of_file(tmp_path / "file") == digest.of_bytes(data) == hashlib.sha256(data).hexdigest()
    assert digest.of_json({"b": 1, "a": [None, "é"]}) == digest.of_json({"a": [None, "é"], "b": 1})
    assert digest.of_json({"a": 1}) != digest.of_json({"a": "1"})
    with pytest.raises(FileNotFoundError):
        digest.of_file(tmp_path / "none")
