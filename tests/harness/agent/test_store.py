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


# -- a store with a limit


def fill(folder: Path, *contents: bytes) -> list[str]:
    """Have files accepted one after the other, each by an agent of its own, and return their digests."""
    names = []
    for content in contents:
        store = Store(folder)
        name = hashlib.sha256(content).hexdigest()
        store.missing([name])
        (folder / "incoming" / name).write_bytes(content)
        store.accept(name)
        names.append(name)
    return names


def kept(folder: Path) -> set[str]:
    return {path.name for path in (folder / "store").iterdir() if len(path.name) == 64}


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    a, b, c = fill(tmp_path, b"a" * 10, b"b" * 10, b"c" * 10)
    Store(tmp_path).missing([a])  # used again
    assert Store(tmp_path).make_room(5, 30) == 10
    assert kept(tmp_path) == {a, c}
    assert Store(tmp_path).missing([b]) == [b]


@pytest.mark.parametrize(("coming", "limit", "left"), [(0, 30, 3), (1, 30, 2), (10, 30, 2), (11, 30, 1), (100, 30, 0)])
def test_no_more_goes_than_has_to(tmp_path: Path, coming: int, limit: int, left: int) -> None:
    fill(tmp_path, b"a" * 10, b"b" * 10, b"c" * 10)
    Store(tmp_path).make_room(coming, limit)
    assert len(kept(tmp_path)) == left


def test_what_was_asked_for_stays_whatever_the_limit_is(tmp_path: Path) -> None:
    a, b = fill(tmp_path, b"a" * 10, b"b" * 10)
    store = Store(tmp_path)
    store.missing([a])
    assert store.make_room(10, 1) == 10
    assert kept(tmp_path) == {a}
    assert store.has(a)
    assert not store.has(b)


@pytest.mark.parametrize("uses", ["", "{}", "[1, null]", "[["])
def test_a_damaged_list_of_uses_is_begun_anew(tmp_path: Path, uses: str) -> None:
    fill(tmp_path, b"a" * 10, b"b" * 10)
    (tmp_path / "store" / "uses.json").write_text(uses)
    assert Store(tmp_path).make_room(0, 10) == 10


def test_nothing_but_pushed_files_is_evicted(tmp_path: Path) -> None:
    fill(tmp_path, b"a" * 10)
    (tmp_path / "store" / "notes").write_bytes(b"x" * 100)
    Store(tmp_path).make_room(0, 1)
    assert (tmp_path / "store" / "notes").exists()


def test_room_is_made_by_request(agent: Client) -> None:
    name = agent.put(DATA)
    assert agent.ask("room", {"bytes": 1, "limit_bytes": 1}).body == {"freed_bytes": 0}  # this agent was asked for it
    other = Client(agent.root.parent)
    assert other.ask("room", {"bytes": 1, "limit_bytes": 1}).body == {"freed_bytes": len(DATA)}
    assert other.ask("have", {"digests": [name]}).body["digests"] == [name]
    assert other.ask("room", {"bytes": "x", "limit_bytes": 1}).kind == "error"
    other.close()
