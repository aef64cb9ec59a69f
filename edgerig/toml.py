"""TOML files that are refused with the file, the key's path and the nearest match.

Pydantic does the validation; it is imported only when something is validated, so that `edgerig --help` stays quick.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgerig import tables
from edgerig.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)
else:
    Model = TypeVar("Model")


def load(path: Path) -> dict[str, Any]:
    """Return a TOML file as a dictionary; raises ConfigError where it is missing, unreadable or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def validated(model: type[Model], data: Mapping[str, Any], where: str) -> Model:
    """Return `data` as `model`; `where` names the file (and table) in the sentence of a ConfigError."""
    from pydantic import ValidationError  # noqa: PLC0415 - see the module's docstring

    try:
        return model.model_validate(data)
    except ValidationError as error:
        # A misspelt key often makes a required one missing as well: the misspelling is the news.
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        raise ConfigError(*_sentence(problems[0], model, where)) from error


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "Did you mean X?" for the known word most like `word`, or "" where none is alike."""
    match = difflib.get_close_matches(word.lower(), {entry.lower(): entry for entry in known}, n=1, cutoff=0.5)
    names = {entry.lower(): entry for entry in known}
    return f"Did you mean '{names[match[0]]}'?" if match else ""


def _sentence(problem: Mapping[str, Any], model: type[BaseModel], where: str) -> tuple[str, str]:
    location = tuple(problem["loc"])
    key = ".".join(tables.place(model, location).keys)
    if problem["type"] == "extra_forbidden":
        known = tables.place(model, location[:-1]).known
        hint = nearest(str(location[-1]), known) or f"Known here: {', '.join(sorted(known))}."
        return f"{where}: unknown key '{key}'.", hint
    if problem["type"] == "missing":
        return f"{where}: the key '{key}' is missing.", ""
    text = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: '{key}': {text[:1].lower()}{text[1:]}, not {_shown(problem['input'])}." if key else (
        f"{where}: {text}."
    ), ""


def _shown(value: object) -> str:
    text = re.sub(r"://[^/\s@]+@", "://…@", repr(value))  # a password in an address is nobody's business
    return text if len(text) <= 60 else f"{text[:57]}..."
