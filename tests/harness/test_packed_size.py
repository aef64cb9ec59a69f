"""`edgerig list variants` shows a packed size where a manifest has one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness import cli

SHIPPED = Path(__file__).parents[2] / "model_zoo" / "variants"


@pytest.mark.parametrize("said", [601_182, None])
def test_the_packed_size_is_listed(said: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = sorted(SHIPPED.glob("*.onnx"))[0]
    shutil.copy(model, tmp_path)
    packed = f"packed_bytes = {said}\n" if said else ""
    table = f'name = "few"\nfile = "{model.name}"\n{packed}[input]\nsize = [160, 160]\n'
    (tmp_path / "few.toml").write_text(table)
    assert cli.main(["list", "variants", "--variants", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["packed_mb"] == (0.6 if said else None)
    assert row["size_mb"] == round(model.stat().st_size / 1e6, 2)
    assert cli.main(["list", "variants", "--variants", str(tmp_path)]) == 0
    assert ("packed" in capsys.readouterr().out) == bool(said)
