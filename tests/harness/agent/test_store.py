from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from harness.agent import store as module
from harness.agent.store import Store
from tests.harness.agent.client import Client
from tests.harness.agent.conftest import JobMaker

DATA = b"a model"
NAME = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path)
    (tmp_path / "incoming" / NAME).write_bytes(DATA)
    found.accept(NAME)
    return found


def test_have_and_accept(agent: Client) -> None:
    assert agent.ask("have", {"digests": [NAME]}).body == {"digests": [NAME]}
    assert agent.put(DATA) == NAME
    assert agent.ask("have", {"digests": [NAME]}).body == {"digests": []}
    assert (agent.root / "store" / NAME).read_bytes() == DATA
    assert not list((agent.root / "incoming").iterdir())
    assert agent.ask("accept", {"sha256": NAME}).kind == "accepted"  # its answer may have been lost


def test_what_arrives_damaged_is_refused_and_removed(agent: Client) -> None:
    (agent.root / "incoming" / NAME).write_bytes(DATA[:-1])
    answer = agent.ask("accept", {"sha256": NAME})
    assert answer.kind == "error"
    assert "arrived damaged" in answer.body["message"]
    assert not list((agent.root / "incoming").iterdir())
    assert "is not there" in agent.ask("accept", {"sha256": NAME}).body["message"]


def test_a_link_is_no_file(agent: Client, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(DATA)
    (agent.root / "incoming" / NAME).symlink_to(tmp_path / "elsewhere")
    assert agent.ask("accept", {"sha256": NAME}).kind == "error"


def test_a_file_is_hashed_once_also_by_the_next_agent(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise AssertionError(f"hashed {path} again")

    monkeypatch.setattr(module, "_sha256", refuse)
    assert store.has(NAME)
    assert Store(tmp_path).has(NAME)


def test_a_file_damaged_later_is_found_out(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "store" / NAME
    path.chmod(0o644)
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(0, 0))  # as a clock that was set back may leave it
    assert store.missing([NAME]) == [NAME]
    assert not path.exists()


def test_an_index_that_is_damaged_costs_a_hashing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "store" / "index.json").write_text("{")
    assert Store(tmp_path).has(NAME)


def test_a_damaged_model_fails_its_job(agent: Client, job_for: JobMaker) -> None:
    model = agent.put_script()
    job = job_for(agent, "inspect", model)
    path = agent.root / "store" / model.sha256
    path.chmod(0o644)
    path.write_bytes(b"[]")
    result = agent.run(job)
    assert result.outcome == "failed"
    assert "model.null" in result.reason
    assert "was damaged" in result.reason
