"""The store: whole or not at all, one at work on an outcome, and what can be removed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgerig.errors import DiskFull, ModelError
from model_zoo.building.store import Store, key
from model_zoo.building.trained import Trained
from model_zoo.manifest import Input

HOLDS = """
import sys
from pathlib import Path
from model_zoo.building.store import Store
with Store(Path(sys.argv[1])).lock("a"):
    print("held", flush=True)
    sys.stdin.read()
"""

CLAIMS = """
import sys
from pathlib import Path
from model_zoo.building.store import Store
store = Store(Path(sys.argv[1]))
store.claim(["a", "not there yet"])
print("claimed", flush=True)
sys.stdin.read()
"""


def text(words: str) -> Any:
    def fill(part: Path) -> Mapping[str, Any]:
        (part / "model").write_text(words)
        return {"words": words}

    return fill


def test_an_outcome_is_kept_and_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.work("a")
    for words in ("first", "second"):
        store.keep("a", text(words), "net: train")
    assert "a" in store
    assert store.facts("a") == {"words": "second", "what": "net: train"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def full(part: Path) -> Mapping[str, Any]:
        (part / "model").write_text("half")
        raise DiskFull("the disk is full.") from OSError(errno.ENOSPC, "")

    store = Store(tmp_path)
    store.work("a")
    with pytest.raises(DiskFull):
        store.keep("a", full)
    assert "a" not in store
    assert [path.name for path in tmp_path.iterdir()] == ["a.work"]  # the checkpoint stays


def test_keys_tell_what_they_depend_upon() -> None:
    assert key("a", 1) == key("a", 1)
    assert len({key("a", 1), key("a", 2), key("b", 1), key("a", 1, None)}) == 4


def test_one_is_at_work_on_an_outcome(tmp_path: Path) -> None:
    store, told = Store(tmp_path), []
    store.keep("a", text("there"))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert not store.remove(store.entries()[0])

        def waiting() -> None:
            told.append("waiting")
            other.kill()  # the kernel lets go of what it held

        with store.lock("a", waiting):
            assert told == ["waiting"]
    assert store.remove(store.entries()[0])
    assert store.entries() == []


def test_what_is_claimed_stays_until_its_build_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in "ab":
        store.keep(name, text("there"))
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "claimed\n"
        assert {entry.name: store.remove(entry) for entry in store.entries()} == {"a": False, "b": True}
        other.kill()
    assert list(tmp_path.glob("*.claims"))
    assert store.remove(store.entries()[0])
    assert not list(tmp_path.glob("*.claims"))


def test_what_is_kept_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("old", "new"):
        store.keep(name, text(name), f"{name}: train")
    os.utime(tmp_path / "old" / "facts.json", (1, 1))
    (store.work("half") / "checkpoint.pt").write_bytes(b"123")
    found = {entry.name: entry for entry in store.entries()}
    assert [entry.name for entry in store.entries()][-1] == "old"
    assert (found["half"].whole, found["half"].bytes) == (False, 3)
    assert (found["new"].whole, found["new"].what) == (True, "new: train")
    store.facts("old")
    assert store.entries()[-1].name != "old"  # it was used


def test_what_goes_away_while_it_is_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.keep("a", text("there"))
    (store.work("half") / "checkpoint.part").write_bytes(b"123")
    inner = Path.rglob

    def leaving(path: Path, pattern: str) -> Any:
        yield from [*inner(path, pattern), path / "renamed.part"]

    monkeypatch.setattr(Path, "rglob", leaving)
    monkeypatch.setattr(Path, "is_file", lambda path: path.suffix == ".part" or (path.exists() and not path.is_dir()))
    assert {entry.name: entry.bytes for entry in store.entries() if not entry.whole} == {"half": 3}


@pytest.mark.parametrize("content", [b"half a pic", b""])
def test_a_net_that_cannot_be_read_is_said_and_can_be_removed(tmp_path: Path, content: bytes) -> None:
    store = Store(tmp_path)
    store.put("a", Trained([1], "meso4", Input(size=(32, 32))), "net: train")
    assert store.get("a").model == [1]
    (tmp_path / "a" / "model.pt").write_bytes(content)
    with pytest.raises(ModelError, match="what is kept of 'net: train' cannot be read") as caught:
        store.get("a")
    assert str(tmp_path / "a") in caught.value.hint


def test_facts_that_cannot_be_read_are_listed_as_a_half(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep("a", text("there"))
    (tmp_path / "a" / "facts.json").write_text('{"wor')
    assert [entry.whole for entry in store.entries()] == [False]
    with pytest.raises(ModelError, match="cannot be read"):
        store.facts("a")
    assert store.remove(store.entries()[0])
    assert "a" not in store
