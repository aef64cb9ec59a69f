"""What a run must keep: [budgets] and [runs.NAME.budgets] of edgerig.toml, --require, and who outranks whom.

    [budgets]                   every target
    p95_ms = 33.3
    [budgets.pi4]               one target
    p95_ms = 50

A run's own outrank those of all runs, --require outranks both; inside each, one target's outrank every target's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgerig import toml
from edgerig.errors import ConfigError
from reports.budgets import BUDGETS

Table = Mapping[str, Any]  # name of a budget -> limit, or name of a target -> such a table


def check(table: Table, targets: Iterable[str], where: str) -> None:
    """Refuse a table with an unknown budget or target, or with a limit that is no number.

    Args:
        table: what was asked for.
        targets: names that a target may have.
        where: the file and the table, for the sentence.

    Raises:
        ConfigError: with the nearest match.
    """
    known = tuple(targets)
    for name, value in table.items():
        if isinstance(value, Mapping):
            _check_target(name, known, where)
            _check_limits(value, f"{where}.{name}", ())
        else:
            _check_limits({name: value}, where, known)


def _check_target(name: str, known: Sequence[str], where: str) -> None:
    if name not in known:
        hint = toml.nearest(name, known) or f"Targets: {', '.join(known)}."
        raise ConfigError(f"{where}: there is no target '{name}'.", hint)


def _check_limits(limits: Table, where: str, targets: Sequence[str]) -> None:
    for name, limit in limits.items():
        if name not in BUDGETS:
            hint = toml.nearest(name, [*BUDGETS, *targets]) or f"Known: {', '.join(BUDGETS)}."
            raise ConfigError(f"{where}: unknown budget '{name}'.", hint)
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
            raise ConfigError(f"{where}: the limit of '{name}' must be a number, not {limit!r}.")


def on(target: str, tables: Iterable[Table]) -> dict[str, float]:
    """Return the limits of a target; later tables outrank earlier ones, and both must have been checked."""
    found: dict[str, float] = {}
    for table in tables:
        found |= {name: float(limit) for name, limit in table.items() if not isinstance(limit, Mapping)}
        found |= {name: float(limit) for name, limit in table.get(target, {}).items()}
    return {name: found[name] for name in BUDGETS if name in found}


def over(table: Table, above: Table) -> dict[str, Any]:
    """Return a table with another on top of it: what that says of every target, it says of each."""
    everywhere = {name: limit for name, limit in above.items() if not isinstance(limit, Mapping)}
    merged: dict[str, Any] = {}
    for name, value in table.items():
        one = isinstance(value, Mapping)
        merged[name] = {key: limit for key, limit in value.items() if key not in everywhere} if one else value
    merged |= everywhere
    for name, value in above.items():
        if isinstance(value, Mapping):
            merged[name] = {**merged.get(name, {}), **value}
    return merged


_REQUIREMENT = re.compile(r"^(?:(?P<target>[\w.-]+):)?\s*(?P<name>\w+)\s*(?P<sign><=|>=)\s*(?P<limit>\S+)$")


def parsed(words: Iterable[str]) -> dict[str, Any]:
    """Return requirements like "p95_ms<=33.3" and "pi4:auc>=.9" as a table; raises ConfigError."""
    table: dict[str, Any] = {}
    for word in words:
        target, name, limit = _requirement(word)
        place = table.setdefault(target, {}) if target else table
        place[name] = limit
    return table


def _requirement(word: str) -> tuple[str | None, str, float]:
    match = _REQUIREMENT.match(word.strip())
    number = _number(match["limit"]) if match else None
    if match is None or number is None:
        raise ConfigError(
            f"'{word}' is no requirement.", "Write e.g. --require 'p95_ms<=33.3', 'auc>=.9' or 'pi4:peak_mb<=300'."
        )
    name, target = match["name"], match["target"]
    _check_limits({name: number}, "--require", ())
    if target in BUDGETS:
        raise ConfigError(f"'{word}': {target} is a budget, and no target.", "Each budget has a --require of its own.")
    sign = "<=" if BUDGETS[name].at_most else ">="
    if match["sign"] != sign:
        raise ConfigError(f"'{word}' limits {name} from the wrong side.", f"Write '{name}{sign}{match['limit']}'.")
    return target, name, number


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a table of budgets."""
    limits = {
        name: {"type": "number", "description": f"{budget.text}, {'most' if budget.at_most else 'least'}"}
        for name, budget in BUDGETS.items()
    }
    of_target = {"type": "object", "additionalProperties": False, "properties": limits}
    return {
        "type": "object",
        "description": "limits for every target; a table of a target's name limits that one",
        "properties": limits,
        "additionalProperties": of_target,
    }
