"""The step `defakeq`: plan the bits, round, tune, and pack."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edgerig import files
from edgerig.errors import ConfigError, ModelError
from model_zoo.backbones import registry
from model_zoo.building.recipe import Defakeq
from model_zoo.building.trained import Context, Trained
from model_zoo.defakeq import allocation, anatomy, calibrating, keeping, packing, plan, rounded, tuning
from model_zoo.defakeq.anatomy import Layer
from model_zoo.defakeq.calibrating import Calibration
from model_zoo.defakeq.packing import Coded, Floats
from model_zoo.defakeq.plan import Plan
from model_zoo.defakeq.rounded import Rounded
from model_zoo.training import validating
from model_zoo.training.batches import Album
from model_zoo.training.device import deterministic

PACKED = "weights.edgq"  # an extra of the outcome
ALLOCATED = "allocated.json"  # what a killed build finds again


def check(table: Defakeq, backbone: str) -> None:
    """Raise ConfigError where a backbone is no net."""
    registry.require_net(backbone, table.do)


def apply(table: Defakeq, trained: Trained, context: Context) -> Trained:
    """Return the net with rounded weights, its plan and its packed weights as extras.

    Raises:
        ConfigError: the budget is below what the fewest bits take.
    """
    with deterministic(context.device) as device:
        faces = calibrating.gathered(context.faces, table.calibration, context.seed, trained.input, device)
        whole = anatomy.folded(trained.model.to(device), faces.pictures[:2])
        trained.model.cpu()
        whole.requires_grad_(False)
        planned = _planned(whole, faces, table, context)
        net, layers = _rounded(whole, planned)
        if table.veft:
            tuning.tune(whole, net, layers, planned, faces, table, context)
        auc = validating.auc(net, Album(context.faces.val), trained.input, device)
    if auc is None:
        raise ModelError("the net answers NaN on validation faces once its weights are rounded.", "Try more bits.")
    net.cpu().requires_grad_(True)
    _write(net, layers, planned, context)
    figures = {"val_auc": auc, "packed_bytes": float(planned.size), "bits_per_weight": planned.bits_per_weight}
    extras = {**trained.extras, plan.FILE: context.work / plan.FILE, PACKED: context.work / PACKED}
    done = replace(trained, model=net, extras=extras)
    for word in _techniques(table)[:-1]:
        done = done.then(word)
    return done.then(_techniques(table)[-1], _note(table, planned), **figures)


def _planned(net: Any, faces: Calibration, table: Defakeq, context: Context) -> Plan:
    """Return bits and kept channels."""
    layers = anatomy.layers(net, faces.pictures[:1])
    if not table.pin:
        layers = [replace(layer, pinned="") for layer in layers]
    seen = calibrating.looked(net, layers, faces) if table.haq or table.channels == "distinct" else {}
    kept = _kept(layers, table, seen, context.seed)
    few = allocation.STEPS[0] if table.haq else int(table.bits)
    lowest = Plan(tuple(layers), plan.uniform(layers, few), kept, plan.rest(net, layers))
    if not table.haq:
        return lowest
    _require_budget(lowest, table)
    return _allocated(net, lowest, faces, table, context, seen)


def _kept(layers: Sequence[Layer], table: Defakeq, seen: Mapping[str, calibrating.Seen], seed: int) -> keeping.Kept:
    if not table.veft:
        return {}
    if table.channels == "distinct":
        return keeping.distinct(layers, table.kept, seen)
    return keeping.drawn(layers, table.kept, seed)


def _require_budget(lowest: Plan, table: Defakeq) -> None:
    if lowest.bits_per_weight > table.bits:
        least = math.ceil(lowest.bits_per_weight * 100) / 100
        raise ConfigError(
            f"{table.bits:g} bits a weight cannot be met: with 2 bits wherever there may be so few, scales, biases, "
            f"kept channels and pinned layers make it {least:.2f}.",
            f"Ask for bits = {least:.2f} or more" + (", or keep fewer channels." if table.veft else "."),
        )


def _allocated(
    net: Any,
    lowest: Plan,
    faces: Calibration,
    table: Defakeq,
    context: Context,
    seen: Mapping[str, calibrating.Seen],
) -> Plan:
    """Return the plan with its budget spent; a killed build finds the bits again."""
    known = context.work / ALLOCATED
    if known.exists():
        return replace(lowest, bits=json.loads(known.read_text()))
    lost = allocation.errors(net, lowest, faces, context.teller)
    found = allocation.allocated(lowest, lost, allocation.worth(net, lowest, seen), table.bits * lowest.weights / 8)
    files.write(known, json.dumps(found.bits).encode())
    return found


def _rounded(whole: Any, planned: Plan) -> tuple[Any, dict[str, Rounded]]:
    net = copy.deepcopy(whole)
    layers = {layer.name: rounded.of(layer, net.get_submodule(layer.name), planned) for layer in planned.layers}
    rounded.put(net, layers)
    return net, layers


def _write(net: Any, layers: Mapping[str, Rounded], planned: Plan, context: Context) -> None:
    rest = {entry.name for entry in planned.rest}
    values: dict[str, Coded | Floats] = {
        name: value.detach().numpy() for name, value in net.state_dict().items() if name in rest
    }
    values |= {f"{layer.name}.weight": layer.coded() for layer in layers.values()}
    packing.write(context.work / PACKED, planned.entries, values)
    files.write(context.work / plan.FILE, planned.json())


def _techniques(table: Defakeq) -> list[str]:
    bits = f"{table.bits:g}-bit" if table.haq else f"uniform {int(table.bits)}-bit"
    words = [word for word, there in (("haq", table.haq), ("veft", table.veft)) if there]
    return [*(["defakeq"] if words else []), *words, bits]


def _note(table: Defakeq, planned: Plan) -> str:
    what = "DeFakeQ as we read it" if table.haq or table.veft else f"All layers rounded to {int(table.bits)} bits"
    return (
        f"{what}: packed, the weights take {planned.size:,} bytes ({planned.bits_per_weight:.2f} bits each, scales "
        "and all counted). What runs has the same values as floats, where the runtime knows no such few bits."
    )
