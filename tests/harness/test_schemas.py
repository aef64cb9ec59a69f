"""The JSON Schemas are up to date, valid, refuse what the product refuses, and take the examples."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from edgerig.errors import ConfigError
from harness import config, recipe_page, schemas
from model_zoo import manifest
from model_zoo.building import recipe
from model_zoo.manifest import Table
from reports import files
from tests.support import models

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
RUN = ROOT / "tests" / "reports" / "data" / "run-v1.json"


def schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "docs" / "schema" / name).read_text(encoding="utf-8")))


def example(name: str) -> dict[str, Any]:
    return tomllib.loads((EXAMPLES / name).read_text(encoding="utf-8"))


def problems(name: str, content: object) -> list[str]:
    return [error.message for error in schema(name).iter_errors(content)]


@pytest.mark.parametrize("name", schemas.schemas())
def test_a_schema_is_up_to_date_and_valid(name: str) -> None:
    fresh = schemas.schemas()[name]
    stored = (ROOT / "docs" / "schema" / name).read_text(encoding="utf-8")
    assert stored == schemas.text(fresh), "run: python -m harness.schemas docs/schema"
    Draft202012Validator.check_schema(fresh)


def test_the_command_writes_them(tmp_path: Path) -> None:
    done = CliRunner().invoke(schemas.main, [str(tmp_path / "new")])
    assert done.exit_code == 0
    assert {Path(line).name for line in done.stdout.split()} == {*schemas.schemas(), recipe_page.NAME}


def test_the_page_of_a_recipes_keys_is_up_to_date() -> None:
    stored = (ROOT / "docs" / "schema" / recipe_page.NAME).read_text(encoding="utf-8")
    assert stored == recipe_page.text(), "run: python -m harness.schemas docs/schema"
    tables: list[type[Table]] = [recipe.Recipe, recipe.Augment, *recipe.STEPS.values()]
    for table in tables:
        keys = (field.alias or name for name, field in table.model_fields.items())
        assert all(f"| `{key}` |" in stored for key in keys)


@pytest.mark.parametrize("name", sorted(path.name for path in recipe.SHIPPED.glob("*.toml")))
def test_a_shipped_recipe(name: str) -> None:
    assert problems("recipe.json", tomllib.loads((recipe.SHIPPED / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "content",
    [
        {"backbon": "x"},
        {"backbone": "x", "steps": [{"do": "trian"}]},
        {"backbone": "x", "steps": [{"do": "train"}]},
        {"backbone": "x", "steps": [{"do": "prune", "amount": 1}]},
        {"backbone": "x", "exports": ["onxx"]},
    ],
    ids=str,
)
def test_what_a_recipe_may_not_say_its_schema_refuses(content: dict[str, Any]) -> None:
    assert problems("recipe.json", content)


def test_the_example_of_edgerig_toml() -> None:
    assert problems("edgerig.toml.json", example("edgerig.toml")) == []
    workspace = config.load(EXAMPLES / "edgerig.toml")
    assert workspace.target("pi").settings.address == "pi@pi4.local"
    assert workspace.run_table("nightly").threads == (1, 2, 4)


def test_the_example_shows_every_key_of_a_run() -> None:
    runs = example("edgerig.toml")["runs"]
    assert {key for table in runs.values() for key in table} == set(config.RunTable.model_fields)


def test_every_key_of_a_target_says_what_it_is() -> None:
    keys = schemas.schemas()["edgerig.toml.json"]["properties"]["targets"]["additionalProperties"]["properties"]
    assert [name for name, key in keys.items() if not key.get("description")] == []


def test_the_example_of_a_manifest(tmp_path: Path) -> None:
    assert problems("manifest.json", example("my-model.toml")) == []
    for name in ("my-model.toml", "detectors.family.toml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    models.onnx_model(tmp_path, "my-model", manifest=False)
    variant = manifest.load(tmp_path / "my-model.toml")
    assert (variant.manifest.input.size, variant.manifest.input.colour) == ((160, 160), "RGB")
    assert variant.manifest.threshold == 0.43


def test_a_stored_run() -> None:
    assert problems("run.json", json.loads(RUN.read_text(encoding="utf-8"))) == []
    assert files.read(RUN).schema_version == 1


BAD_CONFIGS = [
    {"target": {}},
    {"targets": {"a": {"emulatd": True}}},
    {"targets": {"a": {"vitals": {"heat": {"file": "x", "parser": "loadavg", "unit": "C"}}}}},
    {"targets": {"a": {"faults": [{"on": "put", "kind": "explode"}]}}},
    {"targets": {"a": {"extends": "x68"}}},
    {"targets": {"a b": {}}},
    {"runs": {"a": {"thread": [1]}}},
    {"runs": {"a": {"threads": [0]}}},
    {"runs": {"a": {"threads": []}}},
    {"runs": {"a": {"targets": []}}},
    {"runs": {"a": {"budget_s": 0}}},
    {"store": {"foldr": "x"}},
]


@pytest.mark.parametrize("content", BAD_CONFIGS, ids=str)
def test_what_the_configuration_refuses_its_schema_refuses(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "edgerig.toml").write_text(tomli_w.dumps(content))
    with pytest.raises(ConfigError):
        config.load(tmp_path / "edgerig.toml")
    assert problems("edgerig.toml.json", content)


@pytest.mark.parametrize(
    "content",
    [
        {"name": "a", "file": "a.onnx"},
        {"extends": "f.toml", "treshold": 0.5},
        {"extends": "f.toml", "input": {"sizes": [1, 1]}},
        {"extends": "f.toml", "threshold": 2},
        {"extends": 1},
    ],
    ids=str,
)
def test_what_a_manifest_may_not_say_its_schema_refuses(content: dict[str, Any]) -> None:
    assert problems("manifest.json", content)


def test_a_run_with_an_unknown_key_is_refused() -> None:
    run = json.loads(RUN.read_text(encoding="utf-8"))
    run["cells"][0]["speed"] = 1
    assert problems("run.json", run)
