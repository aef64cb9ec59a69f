"""A running average of a net's weights and statistics: what is validated and kept where `average` is set."""

from __future__ import annotations

import copy
from typing import Any

import torch


class Average:
    """The average of a net over its training.

    Args:
        net: as it begins.
        decay: of the average once it is old; while it is young it forgets faster, or it would still be the random
            beginning after a short training.
    """

    def __init__(self, net: Any, decay: float) -> None:
        self.net = copy.deepcopy(net).eval()
        self._decay, self.steps = decay, 0

    def update(self, net: Any) -> None:
        """Take in the weights of a net after a step."""
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        own, new = self.net.state_dict(), net.state_dict()
        real = [name for name, value in own.items() if value.dtype.is_floating_point]
        with torch.no_grad():
            torch._foreach_lerp_([own[name] for name in real], [new[name] for name in real], 1 - decay)
            for name in own.keys() - set(real):
                own[name].copy_(new[name])
