"""The steps of a recipe in a few words, for lists and model cards."""

from __future__ import annotations

from functools import singledispatch

from model_zoo.building.recipe import Defakeq, Fit, Prune, Qat, Quantize, Recipe, Sparsify, Step, Train

_METHODS = {
    "static": "int8",
    "mixed": "int8, layers given back to float",
    "dynamic": "int8, activations when it runs",
    "weights": "weights int8",
    "fp16": "fp16",
    "planned": "weights in the bits that were planned",
}


def of(recipe: Recipe) -> str:
    """Return the steps of a recipe in a line, what it goes on from first."""
    start = [f"from {recipe.origin}"] if recipe.origin else []
    return "; ".join([*start, *(step(entry) for entry in recipe.steps)]) or "not trained"


@singledispatch
def step(table: Step) -> str:
    """Return a step in a few words."""
    raise NotImplementedError(table.do)


@step.register
def _(table: Train) -> str:
    parts = [f"train {_epochs(table.epochs)}"]
    parts += ["on other faces"] if table.on == "other-faces" else []
    parts += ["backbone frozen"] if table.freeze == "backbone" else []
    parts += [f"taught by {table.teacher}"] if table.teacher else []
    return ", ".join(parts)


@step.register
def _(table: Prune) -> str:
    how = [] if table.importance == "taylor" else [f"by {table.importance}"]
    how += [] if table.scope == "global" else ["each layer alike"]
    return ", ".join([f"prune {_percent(table.amount)} of {table.of}", *how, _rounds(table)])


@step.register
def _(table: Sparsify) -> str:
    return ", ".join([f"{_percent(table.amount)} of weights to zero", _rounds(table)])


@step.register
def _(table: Qat) -> str:
    return f"train {_epochs(table.train.epochs)} in int8"


@step.register
def _(table: Defakeq) -> str:
    how = [name for name in ("haq", "veft") if getattr(table, name)]
    how += ["channels least alike"] if table.veft and table.channels == "distinct" else []
    how += [] if table.pin else ["no layer pinned"]
    return ", ".join([f"defakeq {table.bits:g} bits", *how])


@step.register
def _(table: Fit) -> str:
    return "fit on other faces" if table.on == "other-faces" else "fit"


@step.register
def _(table: Quantize) -> str:
    return _METHODS[table.method]


def _rounds(table: Prune | Sparsify) -> str:
    """Return how often, and how long it is trained after each time: "5 x 1 epoch"."""
    if table.recover is None:
        return "at once" if table.rounds == 1 else f"{table.rounds} rounds"
    often = "" if table.rounds == 1 else f"{table.rounds} x "
    return (
        often + _epochs(table.recover.epochs) + (f" taught by {table.recover.teacher}" if table.recover.teacher else "")
    )


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count > 1 else ''}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
