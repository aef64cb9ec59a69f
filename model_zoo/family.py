"""Writing manifests: one for each model of a folder, and one family file with what they share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from edgerig import files, toml
from edgerig.errors import ModelError
from model_zoo import manifest, select

_HEAD = {"task": "deepfake-face", "classes": ["real", "fake"], "positive": "fake", "threshold": 0.5}


def models_in(folder: Path) -> list[Path]:
    """Return the model files in a folder; raises ModelError where there are none."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder.")
    models = sorted(path for path in folder.iterdir() if path.suffix in manifest.FORMATS and path.is_file())
    if not models:
        raise ModelError(f"no model is in {folder}.", f"Known suffixes: {', '.join(manifest.FORMATS)}.")
    return models


def with_manifest(folder: Path) -> set[str]:
    """Return the names of the model files in a folder that have a manifest."""
    return {str(toml.load(path).get("file")) for path in select.manifests_in(folder)}


def write(folder: Path, tables: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write one family file with what all manifests share, and a manifest for each table; return their paths.

    Args:
        folder: where the models are.
        tables: the keys of each manifest; `name`, `file`, `input` and `output` are there.

    Raises:
        OutputError, DiskFull: the folder cannot be written.
    """
    if not tables:
        return []
    family = folder / f"{_family_name(folder)}{manifest.FAMILY_SUFFIX}"
    if family.exists() and len(tables) < len(models_in(folder)):
        # It may have other children, so it stays; nothing of it, e.g. a quantized input's scale, is inherited.
        return write_alone(folder, tables)
    shared = _shared([{key: table[key] for key in ("input", "output")} for table in tables])
    written = [_written(family, {**_HEAD, **shared})]
    for table in tables:
        own = {"extends": family.name, **_without(table, shared)}
        written.append(_written(folder / f"{table['name']}.toml", own))
    return written


def write_alone(folder: Path, tables: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write a manifest for each table that says all by itself: others may come into the folder, or go; as `write`."""
    return [_written(folder / f"{table['name']}.toml", {**_HEAD, **table}) for table in tables]


def _family_name(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", folder.resolve().name).strip("-.") or "models"


def _written(path: Path, table: Mapping[str, Any]) -> Path:
    files.write(path, tomli_w.dumps(table).encode())
    return path


def _shared(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the keys that have the same value in all tables, table by table."""
    shared: dict[str, Any] = {}
    for key, value in tables[0].items():
        values = [table.get(key) for table in tables]
        if isinstance(value, dict):
            shared[key] = _shared([entry for entry in values if isinstance(entry, dict)])
        elif all(entry == value for entry in values):
            shared[key] = value
    return shared


def _without(table: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table without what the family says already."""
    own: dict[str, Any] = {}
    for key, value in table.items():
        rest = _without(value, shared[key]) if isinstance(value, dict) and key in shared else value
        if rest != {} and (isinstance(value, dict) or shared.get(key) != value):
            own[key] = rest
    return own
