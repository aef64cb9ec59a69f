"""Budgets as they are asked for: tables, requirements, who outranks whom, and what cannot be decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgerig.errors import ConfigError
from harness import config
from harness.config import RunTable
from harness.planning import foresee, limits, plan
from harness.planning.plan import Plan, PlannedCell, PlannedVariant
from tests.support import models

TOML = """
[budgets]
p95_ms = 33.3
auc = 0.9
[budgets.x86]
p95_ms = 20
[runs.a.budgets]
auc = 0.95
[runs.b.budgets.x86]
p50_ms = 3
"""


@pytest.fixture
def space(tmp_path: Path) -> config.Workspace:
    (tmp_path / "edgerig.toml").write_text(TOML)
    return config.load(tmp_path / "edgerig.toml")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (None, {"p95_ms": 20.0, "auc": 0.9}),
        ("a", {"p95_ms": 20.0, "auc": 0.95}),
        ("b", {"p50_ms": 3.0, "p95_ms": 20.0, "auc": 0.9}),
    ],
)
def test_the_nearest_budget_holds(space: config.Workspace, run: str | None, expected: dict[str, float]) -> None:
    assert space.limits(space.run_table(run), ["x86"])["x86"] == expected


def test_another_target_has_those_of_all(space: config.Workspace) -> None:
    assert space.limits(space.run_table("b"), ["other"])["other"] == {"p95_ms": 33.3, "auc": 0.9}


def test_a_requirement_outranks_what_a_run_says_of_one_target() -> None:
    above = limits.parsed(["p50_ms<=2", "x86: auc >= .8"])
    table = limits.over({"p50_ms": 5, "x86": {"p50_ms": 3, "auc": 0.9, "size_mb": 2}}, above)
    assert limits.on("x86", [table]) == {"p50_ms": 2.0, "size_mb": 2.0, "auc": 0.8}


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("p95<=3", "unknown budget 'p95'", "Did you mean 'p95_ms'?"),
        ("p95_ms<3", "'p95_ms<3' is no requirement", "Write e.g."),
        ("p95_ms<=fast", "is no requirement", "Write e.g."),
        ("p95_ms>=3", "from the wrong side", "Write 'p95_ms<=3'."),
        ("auc<=.9", "from the wrong side", "Write 'auc>=.9'."),
        ("p95_ms:auc>=.9", "p95_ms is a budget, and no target", "Each budget has a --require"),
        ("p95_ms<=nan", "must be a number", ""),
    ],
)
def test_a_wrong_requirement_is_refused(word: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        limits.parsed([word])
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[budgets]\np95 = 3\n", "budgets: unknown budget 'p95'.", "Did you mean 'p95_ms'?"),
        ("[budgets.x68]\np95_ms = 3\n", "budgets: there is no target 'x68'.", "Did you mean 'x86'?"),
        ("[budgets.x86]\npeak = 3\n", "budgets.x86: unknown budget 'peak'.", "Did you mean 'peak_mb'?"),
        ("[budgets]\nauc = '.9'\n", "budgets: the limit of 'auc' must be a number, not '.9'.", ""),
        (
            "[runs.a.budgets]\nauc_dorp = 0.1\n",
            "runs.a.budgets: unknown budget 'auc_dorp'.",
            "Did you mean 'auc_drop'?",
        ),
    ],
)
def test_a_wrong_table_is_refused_when_the_file_is_read(tmp_path: Path, text: str, message: str, hint: str) -> None:
    path = tmp_path / "edgerig.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert caught.value.message == f"{path}: {message}"
    assert caught.value.hint == hint


def planned(folder: Path, faces: Path, **keys: Any) -> Plan:
    models.null_model(folder / "models", "small", keys={"parent": "big"})
    table = RunTable.model_validate({"variants": (str(folder / "models"),), "faces": str(faces), **keys})
    return plan.make(config.Workspace(config.Config(), None), table, packs=folder / "packs")


def test_a_grandparent_serves_where_the_parent_is_not_measured(tmp_path: Path, faces: Path) -> None:
    models.null_model(tmp_path / "models", "big")
    models.null_model(tmp_path / "models", "middle", keys={"parent": "big"})
    there = planned(tmp_path, faces, budgets={"auc_drop": 0.2})
    small = there.model_copy(
        update={
            "variants": tuple(_made_of_middle(entry) for entry in there.variants),
            "cells": tuple(_unsupported(cell, "middle") for cell in there.cells),
        }
    )
    assert foresee.undecidable(small) == []
    none = small.model_copy(update={"cells": tuple(_unsupported(cell, "big") for cell in small.cells)})
    assert foresee.undecidable(none) == ["auc_drop of small is not measured: its parent middle is not measured here."]


def _made_of_middle(entry: PlannedVariant) -> PlannedVariant:
    update = {"parent": "middle"} if entry.info.name == "small" else {}
    return entry.model_copy(update={"info": entry.info.model_copy(update=update)})


def _unsupported(cell: PlannedCell, variant: str) -> PlannedCell:
    return cell.model_copy(update={"unsupported": "no runtime"}) if cell.key.variant == variant else cell


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"budgets": {"auc": 0.9}}, ["40 faces leave an AUC within about 0.1"]),
        ({"budgets": {"auc_drop": 0.01}}, ["cannot be decided near 0.01", "its parent big is not in this run"]),
        ({"budgets": {"auc_drop": 0.2}}, ["its parent big is not in this run"]),
        (
            {"budgets": {"p99_ms": 33}},
            ["p99_ms needs 662 frames, a cell near 33 ms gives 320: --rounds 11, or --full."],
        ),
        ({"budgets": {"p99_ms": 33}, "rounds": 11}, []),
        ({"budgets": {"p99_ms": 33}, "setting": "full"}, []),
        ({"budgets": {"p95_ms": 33}}, []),
        ({"budgets": {"p50_ms": 33}, "setting": "quick"}, ["a quick run has two rounds"]),
        ({"budgets": {"size_mb": 3}, "setting": "quick"}, []),
        ({"budgets": {"sustained_p95_ms": 40}}, ["sustained_p95_ms is not measured: --sustain 30m measures it."]),
        ({"budgets": {"sustained_p95_ms": 40}, "sustain_s": 60}, []),
    ],
)
def test_a_dry_run_says_what_cannot_be_decided(
    tmp_path: Path, faces: Path, keys: dict[str, Any], said: list[str]
) -> None:
    told = foresee.undecidable(planned(tmp_path, faces, **keys))
    assert len(told) == len(said)
    assert all(part in text for part, text in zip(said, told, strict=True))
