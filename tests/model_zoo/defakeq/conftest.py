"""A net and faces so small that a block is tuned in a blink."""

from __future__ import annotations

import pytest
import torch

from model_zoo.building.trained import Trained
from tests.model_zoo.training.conftest import INPUT, _one_thread, context, small
from tests.support.nets import Tiny

__all__ = ["_one_thread", "context", "small"]


@pytest.fixture
def trained() -> Trained:
    """Return a net whose batch norms have seen something: fresh ones change nothing when they are folded."""
    net = Tiny(width=16)
    torch.manual_seed(2)
    with torch.no_grad():
        for _ in range(10):
            net.train()(torch.randn(8, 3, 32, 32))
    return Trained(net.eval(), "mobilenetv3-small", INPUT)
