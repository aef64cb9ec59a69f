"""Trains a net: the `train` step, and what pruning and quantization-aware training call to recover."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgerig.errors import ModelError
from model_zoo.backbones import heads
from model_zoo.building.recipe import Train
from model_zoo.building.trained import Context
from model_zoo.manifest import Input
from model_zoo.training import rates, saving, validating
from model_zoo.training.average import Average
from model_zoo.training.batches import Album, Batch, Loader
from model_zoo.training.device import deterministic
from model_zoo.training.losses import Objective
from model_zoo.training.where import Localiser

Held = Callable[[], None]


def train(
    net: Any, table: Train, context: Context, input: Input, *, name: str = "training", held: Held | None = None
) -> dict[str, float]:
    """Train a net in place and leave it on the CPU in eval mode, with the weights of the best validation AUC.

    Args:
        net: a torch module, input [n, 3, height, width], logits [n, 2].
        table: how.
        context: faces, seed, device; `context.work` holds the checkpoint, from which a killed training goes on.
        input: how pixels become the net's tensor.
        name: of the checkpoint and of what is told: one for each training of a step.
        held: called before the first and after each change of the weights, which are on `context.device` by then, e.g.
            to put masks back on.

    Returns:
        `val_auc`, and `epochs` that were trained.

    Raises:
        ConfigError: CUDA is asked for and not there.
        ModelError: the loss is no number any more.
    """
    with deterministic(context.device) as device:
        run = _Run(net, table, context, input, device, held)
        try:
            run.all_epochs(context.work / f"{name}.pt", name)
        finally:
            run.close()
        return run.outcome()


@dataclass
class _Standing:
    """How far a training is, and its best weights so far."""

    epoch: int = 0
    best_auc: float = -1.0
    best_epoch: int = 0
    best: dict[str, Any] | None = None

    def judged(self, auc: float, net: Any) -> None:
        """Take in an epoch."""
        self.epoch += 1
        if auc > self.best_auc:
            self.best_auc, self.best_epoch = auc, self.epoch
            self.best = {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}

    def over(self, table: Train) -> bool:
        """Whether nothing is left to do."""
        return self.epoch >= table.epochs or (
            table.patience is not None and self.epoch - self.best_epoch >= table.patience
        )


class _Run:
    """One training: all that changes during it."""

    def __init__(self, net: Any, table: Train, context: Context, input: Input, device: Any, held: Held | None) -> None:
        torch.manual_seed(context.seed)
        self.context, self.input, self.device = context, input, device
        self.held = held or (lambda: None)
        faces = context.faces_on(table.on)
        self.table = table = _as_paired(table, faces.paired)
        teacher = context.teacher(table.teacher) if table.teacher else None
        inputs = [input, *([teacher.input] if teacher and teacher.input != input else [])]
        self.loader = Loader(
            Album(faces.train), inputs, table.augment, table.batch, context.seed, where=bool(table.where)
        )
        self.validation = Album(faces.val)
        self.net = net.to(device, memory_format=torch.channels_last)
        self.learning = _freeze(net, table)
        self.held()
        self.average = Average(net, table.average) if table.average else None
        # After the average was copied, which must not carry the hooks.
        self.where = Localiser(net, (input.size[0], input.size[1]), device) if table.where else None
        weights = [*net.parameters(), *(self.where.heads.parameters() if self.where else ())]
        self.optimizer = rates.optimizer(table, weights)
        frozen = teacher.model.to(device, memory_format=torch.channels_last).eval() if teacher else None
        self.objective = Objective(table, frozen, self.where)
        self.standing = _Standing()

    def all_epochs(self, checkpoint: Path, name: str) -> None:
        """Train to the end, from the checkpoint where there is one."""
        self._restore(checkpoint)
        tell = self.context.teller
        tell.step(name, self.table.epochs * self.loader.batches)
        tell.advance(self.standing.epoch * self.loader.batches)
        while not self.standing.over(self.table):
            self._epoch(self.standing.epoch)
            self.standing.judged(self._auc(), self.deployed)
            self._save(checkpoint)
            tell.advance(
                self.standing.epoch * self.loader.batches, f"validation AUC {self.standing.best_auc:.4f} at best"
            )

    def _epoch(self, number: int) -> None:
        torch.manual_seed(self.context.seed * 1_000_003 + number)  # of dropout, the same after a resume
        self._training_mode()
        done = number * self.loader.batches
        for at, batch in enumerate(self.loader.epoch(number)):
            for group in self.optimizer.param_groups:
                group.update(rates.pace(self.table, done + at, self.loader.batches))
            loss = self._step(batch, number + at / self.loader.batches)
            if not math.isfinite(loss):
                raise ModelError(
                    f"the training went astray: its loss is {loss} at batch {at + 1} of epoch {number + 1}.",
                    "Try a smaller rate, or a warm-up: `warmup_epochs`.",
                )
            self.context.teller.advance(done + at + 1, f"epoch {number + 1}, loss {loss:.3f}")

    def _step(self, batch: Batch, done: float) -> float:
        tensors = [validating.placed(tensor, self.device) for tensor in batch.tensors]
        loss = self.objective(self.net(tensors[0]), tensors, batch, done)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.table.clip:
            torch.nn.utils.clip_grad_norm_(self.learning, self.table.clip)
        self.optimizer.step()
        self.held()
        if self.average:
            self.average.update(self.net)
        return float(loss.detach())

    def _training_mode(self) -> None:
        """A frozen backbone keeps the statistics of its batch norms, too."""
        if self.table.freeze == "backbone":
            self.net.eval()
            heads.of(self.net).train()
        else:
            self.net.train()

    @property
    def deployed(self) -> Any:
        """The net that is validated and kept."""
        return self.average.net if self.average else self.net

    def _auc(self) -> float:
        found = validating.auc(self.deployed.eval(), self.validation, self.input, self.device)
        if found is None:
            raise ModelError(
                "the training went astray: the net answers NaN on validation faces.", "Try a smaller rate."
            )
        return found

    def _parts(self) -> dict[str, Any]:
        found = {"net": self.net, "optimizer": self.optimizer}
        if self.average:
            found["average"] = self.average.net
        if self.where:
            found["heads"] = self.where.heads
        return found

    def _save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {
            "standing": vars(self.standing),
            "steps": self.average.steps if self.average else 0,
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
        }
        saving.save(state, path)

    def _restore(self, path: Path) -> None:
        if not path.exists():
            return
        saved = saving.load(path, device=self.device)
        self.standing = _Standing(**saved["standing"])
        for name, part in self._parts().items():
            part.load_state_dict(saved["parts"][name])
        if self.average:
            self.average.steps = saved["steps"]

    def close(self) -> None:
        """Leave the net as a step hands it on."""
        if self.where:
            self.where.remove()
        for weight in self.net.parameters():
            weight.requires_grad_(True)
            weight.grad = None
        self.net.cpu().to(memory_format=torch.contiguous_format).eval()

    def outcome(self) -> dict[str, float]:
        """Put the best weights into the net; returns the figures."""
        assert self.standing.best is not None
        self.net.load_state_dict({name: value.cpu() for name, value in self.standing.best.items()})
        return {"val_auc": self.standing.best_auc, "epochs": float(self.standing.epoch)}


def _freeze(net: Any, table: Train) -> list[Any]:
    """Return the weights that learn."""
    if table.freeze == "backbone":
        net.requires_grad_(False)
        heads.of(net).requires_grad_(True)
    return [weight for weight in net.parameters() if weight.requires_grad]


def _as_paired(table: Train, paired: bool) -> Train:
    """Return a table without what compares each fake with its own original, where no group of the faces has both.

    Not refused: one recipe serves faces of both kinds, and the step that trains notes what did not happen.
    """
    return table if paired else table.model_copy(update={"rank": 0.0, "where": 0.0, "where_alone": 0})
