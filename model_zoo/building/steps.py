"""Which function does each step of a recipe; imported when it is used, as torch takes seconds.

A step is `apply(table, trained, context) -> Trained`, and may have `check(table, backbone) -> None` beside it, which
raises ConfigError before anything is built where a backbone cannot take the step.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from model_zoo.building.recipe import Step
from model_zoo.building.trained import Context, Trained

_MODULES = {
    "train": "model_zoo.training.step",
    "fit": "model_zoo.backbones.classical",
    "prune": "model_zoo.pruning.structured",
    "sparsify": "model_zoo.pruning.sparse",
    "qat": "model_zoo.quantizing.aware",
    "defakeq": "model_zoo.defakeq.step",
}


def _module(step: Step) -> ModuleType:
    return importlib.import_module(_MODULES[step.do])


def apply(step: Step, trained: Trained, context: Context) -> Trained:
    """Do a step that changes the net."""
    done: Trained = _module(step).apply(step, trained, context)
    return done


def check(step: Step, backbone: str) -> None:
    """Raise ConfigError, with the reason, where a backbone cannot take a step."""
    checked = getattr(_module(step), "check", None) if step.do in _MODULES else None
    if checked:
        checked(step, backbone)
