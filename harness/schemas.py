"""`python -m harness.schemas docs/schema`: the JSON Schemas of what people write and what edgerig writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgerig import files
from harness import config, recipe_page
from model_zoo import manifest
from model_zoo.building import recipe
from reports import deployment, records

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by file name."""
    found = {
        "edgerig.toml.json": ("edgerig.toml", config.json_schema()),
        "manifest.json": ("A variant's manifest", manifest.json_schema()),
        "choice.json": ("choice.json of edgerig pick", deployment.json_schema()),
        "recipe.json": ("A recipe of edgerig zoo", recipe.json_schema()),
        "run.json": ("run.json of a run", records.json_schema()),
    }
    return {name: {"$schema": DIALECT, **schema, "title": title} for name, (title, schema) in found.items()}


def text(schema: dict[str, Any]) -> str:
    """Return a schema as its file says it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Write the JSON Schemas, and the page of all keys of a recipe, into FOLDER."""
    for name, schema in schemas().items():
        path = files.make_folder(folder) / name
        files.write(path, text(schema).encode())
        click.echo(path)
    files.write(folder / recipe_page.NAME, recipe_page.text().encode())
    click.echo(folder / recipe_page.NAME)


if __name__ == "__main__":
    main()
