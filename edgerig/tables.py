"""The table of a TOML file that a path of keys leads to, by the model that the file is validated with.

Pydantic's paths name more than the keys of the file: in a union of tables also which of them was meant. Such a part
tells which table it is, and is no key that anybody wrote.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel

_UNIONS = (Union, types.UnionType)


class Place(NamedTuple):
    """Where a path leads: the keys as they are written, and those that are known in the table at its end."""

    keys: tuple[str, ...]
    known: tuple[str, ...]


def place(model: type[BaseModel], path: Sequence[str | int]) -> Place:
    """Return where a path of pydantic's leads from a model; without known keys where that is no table."""
    annotation: Any = model
    keys: list[str] = []
    for part in path:
        annotation = _plain(annotation)
        if _is_union(annotation):  # the part tells which
            annotation = _member(annotation, part)
            continue
        keys.append(str(part))
        annotation = _inner(annotation, part)
    table = _plain(annotation)
    return Place(tuple(keys), tuple(_known(table)))


def _plain(annotation: Any) -> Any:
    """Return an annotation without metadata and without None."""
    while True:
        origin, arguments = get_origin(annotation), get_args(annotation)
        some = [one for one in arguments if one is not types.NoneType]
        if origin is Annotated or (origin in _UNIONS and len(some) == 1):
            annotation = some[0]
        else:
            return annotation


def _is_union(annotation: Any) -> bool:
    """Whether pydantic's paths name which member of this is meant: of several, not of one or nothing."""
    return get_origin(annotation) in _UNIONS


def _member(annotation: Any, name: str | int) -> Any:
    """Return the member of a union that a path names, by the value of a literal in it or by its class."""
    members = map(_plain, get_args(annotation))
    return next((one for one in members if name in _names(one)), None)


def _names(member: Any) -> Iterator[str | int]:
    yield getattr(member, "__name__", "")
    for field in _fields(member).values():
        if get_origin(field.annotation) is Literal:
            yield from get_args(field.annotation)


def _inner(annotation: Any, part: str | int) -> Any:
    """Return what is at a key or index of an annotation, None where nothing is known of it."""
    arguments = get_args(annotation)
    if isinstance(part, int):
        return arguments[0] if len(arguments) == 1 or arguments[1:] == (...,) else next(iter(arguments[part:]), None)
    if get_origin(annotation) in (dict, Mapping):
        return arguments[1]
    return next((field.annotation for name, field in _fields(annotation).items() if part in (name, field.alias)), None)


def _fields(annotation: Any) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(annotation, "model_fields", {})
    return fields


def _known(table: Any) -> Iterator[str]:
    for name, field in _fields(table).items():
        yield field.alias or name
