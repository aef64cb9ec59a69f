"""Layers, blocks and folded batch norms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgerig.errors import ModelError
from model_zoo.backbones import timm_nets
from model_zoo.building.trained import Trained
from model_zoo.defakeq import anatomy


class Elsewhere(nn.Module):
    """A convolution whose output goes past its batch norm, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean += 1
        self.classifier = nn.Linear(4, 2)

    def forward(self, pictures: Any) -> Any:
        inner = self.conv(pictures)
        return self.classifier((self.norm(inner) + inner).mean((2, 3)))


def test_folding_leaves_no_batch_norm_and_no_other_answer(trained: Trained) -> None:
    batch = torch.randn(2, 3, 32, 32)
    folded = anatomy.folded(trained.model, batch)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [module for module in trained.model.modules() if isinstance(module, nn.BatchNorm2d)], "a copy is folded"
    with torch.no_grad():
        torch.testing.assert_close(folded(batch), trained.model(batch), rtol=1e-4, atol=1e-5)


def test_a_batch_norm_that_cannot_be_folded_is_told() -> None:
    with pytest.raises(ModelError, match="answers otherwise"):
        anatomy.folded(Elsewhere().eval(), torch.randn(2, 3, 8, 8))


def test_a_net_of_timm_falls_into_its_blocks() -> None:
    torch.manual_seed(0)
    net = timm_nets.create("mobilenetv3_small_050", pretrained=False).eval()
    picture = torch.randn(1, 3, 32, 32)
    folded = anatomy.folded(net, picture)
    found = {layer.name: layer for layer in anatomy.layers(folded, picture)}
    assert (found["conv_stem"].pinned, found["classifier"].pinned) == ("stem", "classifier")
    assert found["blocks.1.0.conv_dw"].pinned == "depthwise"
    inner = found["blocks.4.1.se.conv_reduce"]
    assert (inner.block, inner.pinned, inner.fan_in) == ("blocks.4.1", "", inner.shape[1])
    assert next(iter(found)) == "conv_stem"
    assert found["conv_head"].block == "conv_head"
    assert (
        anatomy.passing(folded, "blocks.2.0", picture, output=False).shape[1] == found["blocks.1.1.conv_pwl"].shape[0]
    )
