"""The page of all keys of a recipe, made from the tables that check them, so that neither can forget the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from model_zoo.building import recipe

NAME = "recipe.md"
_ORDER = ("Recipe", *(table.__name__ for table in recipe.STEPS.values()), "Augment")
_HEAD = """# The keys of a recipe

Written by `python -m harness.schemas docs/schema`; [recipe.json](recipe.json) is the same as a JSON Schema for editors.
How a recipe is made of them: [zoo.md](../zoo.md). `[input]` is that of a [manifest](manifest.json), and so is
`[[authors]]`: `figure`, `value`, `data`, `source`.
"""


def text() -> str:
    """Return the page in Markdown."""
    schema = recipe.json_schema()
    tables = {"Recipe": schema, **schema["$defs"]}
    return "\n".join([_HEAD, *(line for name in _ORDER for line in _table(name, tables[name], schema["$defs"]))])


def _table(name: str, table: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    title = table["properties"].get("do", {}).get("const")
    yield f"## {f'Step `{title}`' if title else name}"
    yield ""
    yield " ".join(str(table["description"]).split("\n\n")[0].split())
    yield from ("", "| key | values | by default | |", "|---|---|---|---|")
    required = table.get("required", ())
    for key, entry in table["properties"].items():
        default = "needed" if key in required else _default(entry)
        yield f"| `{key}` | {_values(entry, known)} | {default} | {entry.get('description', '')} |"
    yield ""


def _default(entry: Mapping[str, Any]) -> str:
    value = entry.get("default")
    if value in (None, "", [], {}) or isinstance(value, dict):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    shown = value if not isinstance(value, list) else f"[{', '.join(repr(item) for item in value)}]"
    return f"`{shown}`"


def _values(entry: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{word}`" for word in entry["enum"])
    if "anyOf" in entry:
        return " or ".join(_values(part, known) for part in entry["anyOf"] if part.get("type") != "null")
    if "$ref" in entry:
        return f"a table, {str(entry['$ref']).rpartition('/')[2]}"
    if entry.get("type") == "array":
        return "a list" if "oneOf" in entry["items"] else f"a list of {_values(entry['items'], known)}"
    return (
        _number(entry)
        if entry.get("type") in ("number", "integer")
        else {"boolean": "true, false"}.get(str(entry.get("type")), "text")
    )


def _number(entry: Mapping[str, Any]) -> str:
    kind = "a whole number" if entry["type"] == "integer" else "a number"
    limits = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}
    said = [words.format(f"{entry[key]:g}") for key, words in limits.items() if key in entry]
    return " ".join([kind, *said])
