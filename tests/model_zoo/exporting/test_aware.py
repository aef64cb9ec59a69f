"""Quantization-aware training: what is trained rounded is what the file computes."""

from __future__ import annotations

import copy
import io
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from edgerig.errors import ConfigError, ModelError
from harness.models import onnx_facts, openvino_facts
from model_zoo.building.counts import counted
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Qat, Train
from model_zoo.building.trained import Context, Trained
from model_zoo.exporting import parity
from model_zoo.exporting.workshop import Workshop
from model_zoo.ladder import fidelity
from model_zoo.quantizing import aware, rounding, tracing
from model_zoo.quantizing.rounding import Rounded, RoundedConv2d, RoundedLinear

STEP = Qat(do="qat", train=Train(epochs=1, batch=8, rate=1e-3))


def no_teacher(name: str) -> Trained:
    raise AssertionError(name)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, trained: Trained, training_faces: TrainingFaces) -> Trained:
    context = Context(training_faces, None, 0, "cpu", tmp_path_factory.mktemp("work"), no_teacher)
    return aware.apply(STEP, trained, context)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, done: Trained, training_faces: TrainingFaces) -> Workshop:
    return Workshop(done, training_faces, 0, tmp_path_factory.mktemp("workshop"))


def layers(net: Any) -> list[Any]:
    return [module for module in net.modules() if isinstance(module, RoundedConv2d | RoundedLinear)]


def test_training_leaves_the_parent_alone_and_says_what_it_did(done: Trained, trained: Trained) -> None:
    assert done.model is not trained.model
    assert not rounding.is_aware(trained.model)
    assert done.techniques == ("pruned", "int8 (QAT)")
    assert done.figures["val_auc"] > 0.9
    assert not done.model.training
    assert len(layers(done.model)) == 6
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in done.model.modules())
    assert counted(done.model, done.input).macs == counted(trained.model, trained.input).macs


def test_the_file_has_the_scales_that_were_trained(done: Trained, files: Workshop) -> None:
    model = onnx.load(files.float("onnx").path)
    stored = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    made = {node.output[0]: node for node in model.graph.node}
    convolutions = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(convolutions) == 6
    for node, layer in zip(convolutions, layers(done.model), strict=True):
        weight = made[node.input[1]]
        assert weight.op_type == made[node.input[0]].op_type == made[node.input[2]].op_type == "DequantizeLinear"
        whole, scale = (stored[name] for name in weight.input[:2])
        assert whole.dtype == np.int8
        assert stored[made[node.input[2]].input[0]].dtype == np.int32
        assert scale == pytest.approx(layer.scale().numpy())
        rounded = layer.rounded()[0].detach().numpy()
        assert whole * scale.reshape(-1, *[1] * (whole.ndim - 1)) == pytest.approx(rounded, abs=1e-6)
        assert stored[made[node.input[0]].input[1]] == pytest.approx(float(layer.source[0].levels()[0]))
    assert onnx_facts.read(files.float("onnx").path).techniques == ("static int8 (QDQ)",)


def test_onnx_runtime_computes_in_whole_numbers(files: Workshop, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "ran.onnx"), 4
    onnxruntime.InferenceSession(str(files.float("onnx").path), options, providers=["CPUExecutionProvider"])
    ran = [node.op_type for node in onnx.load(tmp_path / "ran.onnx").graph.node]
    assert (ran.count("QLinearConv"), ran.count("QGemm"), ran.count("Conv"), ran.count("Gemm")) == (5, 1, 0, 0)


def test_decisions_of_the_files_are_those_of_the_net(
    done: Trained, files: Workshop, training_faces: TrainingFaces
) -> None:
    fed = training_faces.validation(done.input)
    with torch.no_grad():
        logits = done.model(torch.from_numpy(np.concatenate(list(fed.tensors())))).double().numpy()
    decided = logits[:, 1] > logits[:, 0]
    assert 8 < decided.sum() < 24
    for kind in ("onnx", "openvino"):
        scores = files.float(kind).scores(training_faces, 0)
        assert np.sum((scores >= 0.5) != decided) <= 1
    facts = openvino_facts.read(files.float("openvino").path)
    assert facts.techniques == ("static int8",)


def test_a_file_that_decides_otherwise_is_refused(
    done: Trained, training_faces: TrainingFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = copy.deepcopy(done.model)
    for module in wrong.modules():
        if isinstance(module, Rounded):
            module.largest.mul_(0.05)
    monkeypatch.setattr(rounding, "frozen", lambda net, frozen=rounding.frozen: frozen(wrong))
    with pytest.raises(ModelError, match="disagrees with the net that was trained for it"):
        Workshop(done, training_faces, 0, tmp_path).float("onnx")


def test_it_is_kept_and_copied_whole(done: Trained) -> None:
    stream = io.BytesIO()
    torch.save(copy.deepcopy(done.model), stream)
    stream.seek(0)
    again = torch.load(stream, weights_only=False)
    picture = torch.rand(2, 3, *done.input.size)
    assert torch.equal(again(picture), done.model(picture))
    assert all(layer.source[0] in set(again.modules()) for layer in layers(again))


def test_folding_keeps_the_answers(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    for layer in (RoundedConv2d, RoundedLinear):
        monkeypatch.setattr(layer, "rounded", lambda self: (self.weight, self.bias))
    net = tracing.rounded(trained.model, trained.input.size)
    for module in net.modules():
        if isinstance(module, Rounded):
            module.watching = True
    picture = torch.rand(2, 3, *trained.input.size)
    assert net(picture).detach().numpy() == pytest.approx(trained.model(picture).detach().numpy(), abs=1e-5)


def test_ranges_hold_zero_follow_training_and_stand_still_else() -> None:
    layer = Rounded().train()
    layer(torch.full((4,), 2.0))
    assert float(layer.least) == 0
    assert float(layer.largest) == pytest.approx(0.04)
    layer.eval()(torch.full((4,), -9.0))
    assert float(layer.least) == 0
    layer.watching = True
    layer(torch.tensor([-1.0, 5.0]))
    layer.watching = False
    scale, zero = layer.levels()
    assert float(scale) == pytest.approx(6 / 255, rel=1e-4)
    assert int(zero) == 42
    x = torch.tensor([-8.0, 0.0, 1.0], requires_grad=True)
    y = layer(x)
    y.sum().backward()
    rounded = y.detach().tolist()
    assert rounded[1] == 0
    assert rounded[2] == pytest.approx(1, abs=float(scale) / 2)
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1]  # outside of the range nothing is learnt


def test_what_decides_by_what_it_is_fed_is_refused() -> None:
    class Branching(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    class Other(torch.nn.Conv2d):
        pass

    with pytest.raises(ModelError, match="cannot be made aware of int8"):
        tracing.rounded(Branching(), (8, 8))
    with pytest.raises(ModelError, match="conv is a Other"):
        tracing.rounded(torch.nn.Sequential(OrderedDict(conv=Other(3, 4, 1))), (8, 8))


def test_a_classifier_is_refused() -> None:
    with pytest.raises(ConfigError, match="'qat' is for nets"):
        aware.check(STEP, "svm")


def test_decisions_are_held_to_a_few() -> None:
    labels = np.arange(40) % 2 == 1
    net = np.where(labels, 0.8, 0.2)
    turned = net.copy()
    turned[[0, 2]] = 0.6
    parity.require_decisions(turned, net, labels, "it")
    turned[4] = 0.6
    with pytest.raises(ModelError, match="3 of 40 decisions flip"):
        parity.require_decisions(turned, net, labels, "it")
    assert fidelity.Bound(0.02, 0.05) == parity.ROUNDED
