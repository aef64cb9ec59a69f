"""How people name cells: `VARIANT/TARGET/RUNTIME/PROVIDER/THREADS`, wildcards in each part, parts left out at the end.

int8                     all cells of the variant int8
*/pi4                    all cells on pi4
int8*/pi4/onnxruntime/*/1
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from reports.records import Key

PARTS = 5


def path(key: Key) -> str:
    """Return the name of one cell, all five parts."""
    return "/".join(_parts(key))


def _parts(key: Key) -> tuple[str, ...]:
    return key.variant, key.target, key.runtime, key.provider, str(key.threads)


def matches(pattern: str, key: Key) -> bool:
    """Return whether a cell is meant; "" means all."""
    return all(word == part or fnmatchcase(part, word or "*") for word, part in zip(_words(pattern), _parts(key)))  # noqa: B905


def _words(pattern: str) -> list[str]:
    """Return the parts of a pattern; a provider's options may hold a "/", so that what is too much is its."""
    words = pattern.split("/")
    return words if len(words) <= PARTS else [*words[:3], "/".join(words[3:-1]), words[-1]]


def chosen(pattern: str, keys: Iterable[Key]) -> list[Key]:
    """Return the cells that are meant, each once, in their order."""
    return [key for key in dict.fromkeys(keys) if matches(pattern, key)]
