"""Checkpoints of all steps: durable, and a full disk is said in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edgerig.errors import DiskFull, ModelError
from model_zoo.pruning.kept import kept
from model_zoo.training import saving


@pytest.mark.parametrize("write", [lambda path: saving.save([1], path), lambda path: kept(path, lambda: [1])])
def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    monkeypatch.setattr(Path, "with_suffix", lambda *_: full)
    with pytest.raises(DiskFull, match="the disk is full"):
        write(tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()


def test_what_is_saved_is_found_again(tmp_path: Path) -> None:
    saving.save({"weights": torch.ones(2)}, tmp_path / "a.pt")
    assert torch.load(tmp_path / "a.pt", weights_only=True)["weights"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("read", [saving.load, lambda path: kept(path, lambda: [1])])
def test_a_damaged_checkpoint_is_told_with_what_to_do(tmp_path: Path, read: Any) -> None:
    saving.save([1], tmp_path / "a.pt")
    assert read(tmp_path / "a.pt") == [1]
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:100])
    with pytest.raises(ModelError, match=r"a\.pt cannot be read: it is damaged") as caught:
        read(tmp_path / "a.pt")
    assert "Remove it" in caught.value.hint
