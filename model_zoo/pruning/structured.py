"""`do = "prune"`: whole channels are taken out in rounds, each followed by training that recovers what was lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgerig.errors import ConfigError, ModelError
from model_zoo.backbones import registry
from model_zoo.building.counts import counted
from model_zoo.building.recipe import Prune
from model_zoo.building.trained import Context, Trained
from model_zoo.pruning import channels, gradients
from model_zoo.pruning.goal import Goal, fewest
from model_zoo.pruning.kept import kept
from model_zoo.training import fit


def check(table: Prune, backbone: str) -> None:
    """Raise ConfigError where a backbone has no channels that can be taken out."""
    registry.require_net(backbone, table.do)
    reason = registry.named(backbone).unprunable
    if reason:
        raise ConfigError(f"{backbone} cannot be pruned: {reason}.", "Leave the step out, or take another backbone.")


def apply(table: Prune, trained: Trained, context: Context) -> Trained:
    """Return a pruned net; raises ModelError where not one channel can go."""
    return _Pruning(table, trained, context).done()


class _Pruning:
    """One `prune` step. What each round left is kept in the step's folder, so that a killed build goes on from it."""

    def __init__(self, table: Prune, trained: Trained, context: Context) -> None:
        self._table, self._trained, self._context = table, trained, context
        self._spec = trained.input
        self._goal = Goal(table, trained, context)
        self._figures: Mapping[str, float] = {}
        self._met = True
        self._first = channels.Graph(trained.model, self._spec).counts()

    def done(self) -> Trained:
        net = self._trained.model
        start = self._kept("start", lambda: self._goal.amount(net))
        for number in range(1, self._table.rounds + 1):
            net = self._round(net, number, start)
        if counted(net, self._spec) == counted(self._trained.model, self._spec):
            raise ModelError(
                f"no channel of {self._trained.backbone} can go: each layer keeps {self._table.round_to} channels, and "
                f"{1 - self._table.most:.0%} of its own.",
                "Lower 'round_to', or raise 'most'.",
            )
        reached = self._kept("reached", lambda: self._goal.amount(net))
        return self._described(net, start, reached)

    def _round(self, net: Any, number: int, start: float) -> Any:
        """Return the net after a round; of one in which nothing goes, the net itself."""
        smaller, self._met = self._kept(f"cut-{number}", lambda: self._cut(net, number, start))
        if smaller is None:
            return net
        if self._table.recover is None:
            return smaller
        net, self._figures = self._kept(f"round-{number}", lambda: self._recovered(smaller, number))
        return net

    def _cut(self, net: Any, number: int, start: float) -> tuple[Any | None, bool]:
        """Return a copy of a net that is as small as a round wants it, and whether it could be made so small.

        The copy is None where nothing need go, or can.
        """
        title = f"pruning, round {number} of {self._table.rounds}"
        if self._table.importance == "taylor":
            gradients.fill(net, self._faces(number), self._context, f"{title}: gradients")
        slices = channels.order(net, self._spec, self._table, self._first)
        self._context.teller.step(f"{title}: which channels go", len(slices).bit_length() + 1)
        trials = itertools.count(1)

        def small_enough(count: int) -> bool:
            amount = self._goal.amount(channels.without(net, self._spec, slices[:count]))
            self._context.teller.advance(next(trials), f"{self._goal.told(amount)} {self._goal.unit}")
            return amount <= self._goal.after(number, start)

        count, met = fewest(len(slices), small_enough)
        return (channels.without(net, self._spec, slices[:count]) if count else None), met

    def _faces(self, number: int) -> Any:
        recover = self._table.recover
        faces = self._context.faces_on(recover.on if recover else "faces")
        return faces.balanced(self._table.calibration, self._context.seed + number, self._spec)

    def _recovered(self, net: Any, number: int) -> tuple[Any, Mapping[str, float]]:
        assert self._table.recover is not None
        name = f"recovery {number} of {self._table.rounds}"
        return net, fit.train(net, self._table.recover, self._context, self._spec, name=name)

    def _kept(self, name: str, make: Callable[[], Any]) -> Any:
        return kept(self._context.work / f"{name}.pt", make)

    def _described(self, net: Any, start: float, reached: float) -> Trained:
        """Return the net with its figures, and in a sentence what was asked for and what was reached."""
        table = self._table
        note = (
            f"Structured pruning took {1 - reached / start:.1%} of the {self._goal.unit} away ({table.amount:.0%} "
            f"were asked for): {self._goal.told(start)} before, {self._goal.told(reached)} after"
        )
        if not self._met:
            note += "; no more channels may go"
        before, after = counted(self._trained.model, self._spec), counted(net, self._spec)
        figures = {
            "parameters_before": before.parameters,
            "parameters": after.parameters,
            "macs_before": before.macs,
            "macs": after.macs,
            "channels_before": sum(self._first.values()),
            "channels": channels.channels(net, self._spec),
            **({"ms_before": start, "ms": reached} if table.of == "latency" else {}),
        }
        rounds = "one shot" if table.rounds == 1 else f"{table.rounds} rounds"
        technique = f"structured pruning ({table.importance}, {table.scope}, {rounds})"
        done = replace(self._trained, model=net).then(technique, f"{note}.", **figures, **self._figures)
        return done.then("distillation") if table.recover and table.recover.teacher else done
