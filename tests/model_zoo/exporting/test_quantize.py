"""Quantizing exported files: each method in each format, what breaks is refused, and what a format cannot do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import interpreter

from edgerig.errors import ConfigError, ModelError
from edgerig.preprocess import OutputSpec
from harness.models import onnx_facts, openvino_facts, tflite_facts
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Format, Quantize, Recipe
from model_zoo.building.trained import Trained
from model_zoo.exporting import possible
from model_zoo.exporting.export import Exporter, Order
from model_zoo.exporting.workshop import Workshop
from model_zoo.ladder import giving_back
from model_zoo.ladder.fidelity import Bound, Loss
from model_zoo.quantizing import exported, onnx_tools, openvino_tools, tflite_tools
from tests.support import exportable

FACTS = {"onnx": onnx_facts.read, "tflite": tflite_facts.read, "openvino": openvino_facts.read}
FORMATS: tuple[Format, ...] = ("onnx", "tflite", "openvino")


def step(method: str, **keys: Any) -> Quantize:
    return Quantize.model_validate({"do": "quantize", "method": method, "calibration": 16, **keys})


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("method", ["static", "dynamic", "weights", "fp16"])
def test_every_method_answers_and_is_what_it_says(
    method: str, kind: Format, workshop: Workshop, training_faces: TrainingFaces
) -> None:
    if (kind, method) in exported.REFUSED:
        with pytest.raises(ConfigError, match="take 'weights'"):
            workshop.quantized(kind, step(method))
        return
    made = workshop.quantized(kind, step(method))
    assert made.loss is not None
    assert (made.loss.faces, made.loss.reason) == (32, "")
    facts = FACTS[kind](made.path)
    assert facts is not None
    assert {word.removesuffix(" (QDQ)") for word in facts.techniques} == _shown(kind, method, made.techniques)
    integers = kind == "tflite" and method == "static"
    assert made.input.dtype == ("int8" if integers else "float32")
    assert (OutputSpec(**made.output).scale is not None) == integers
    assert made.scores(training_faces, 0).shape == (32,)


def _shown(kind: Format, method: str, techniques: tuple[str, ...]) -> set[str]:
    """Return what a reader of the file can tell of its techniques."""
    unseen = {("onnx", "weights"): set[str](), ("tflite", "dynamic"): {"weights int8"}}
    return unseen.get((kind, method), set(techniques))


def test_what_quantization_breaks_is_refused_and_removed(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(task: Any) -> None:
        task.target.write_bytes(task.prepared.read_bytes())

    monkeypatch.setattr(onnx_tools, "weights", zeros)
    monkeypatch.setattr(exported.Judge, "__call__", lambda *_: Loss(0.5, 0.5, 9, 32, 1.0, "9 of 32 decisions flip"))
    with pytest.raises(ModelError, match=r"'weights', no longer answers .* 9 of 32 decisions flip") as refused:
        workshop.quantized("onnx", step("weights"))
    assert refused.value.hint.startswith("Try the method 'mixed'")
    assert not (workshop._folder / "quantized.onnx").exists()


def test_the_bound_is_tight_where_layers_can_be_given_back() -> None:
    assert exported.bound(step("mixed")) == Bound(0.01, 0.03)
    assert exported.bound(step("static")) == Bound(0.05, 0.2)
    assert exported.bound(step("static", auc_drop=0.0, flips=0.1)) == Bound(0.0, 0.1)


def floats(path: Path) -> int:
    """Return how many layers of a file have float weights."""
    if path.suffix == ".onnx":
        nodes = onnx.load(path).graph.node
        made = {name: node.op_type for node in nodes for name in node.output}
        return sum(node.op_type in ("Conv", "Gemm") and made.get(node.input[1]) is None for node in nodes)
    if path.suffix == ".tflite":
        net = interpreter.Interpreter(model_path=str(path))
        types = {int(entry["index"]): entry["dtype"] for entry in net.get_tensor_details()}
        operators = [entry for entry in net._get_ops_details() if entry["op_name"] in tflite_tools.LAYERS]
        return sum(types[int(entry["inputs"][1])] == np.float32 for entry in operators)
    model = openvino_tools._read(path)
    layers = [entry for entry in model.get_ops() if entry.get_type_name() in openvino_facts.COUNTED]
    return sum("Convert" not in _above(entry.input_value(1).get_node()) for entry in layers)


def _above(node: Any) -> set[str]:
    """Return the types of an operator of OpenVINO and of all that it comes from."""
    return {node.get_type_name()}.union(*(_above(value.get_node()) for value in node.input_values()))


@pytest.mark.parametrize("kind", FORMATS)
def test_mixed_gives_back_the_fewest_layers_that_do(
    kind: Format, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def judged(_judge: exported.Judge, path: Path) -> Loss:
        tried.append(floats(path))
        return Loss(0.9, 0.1, 9, 32, 1.0, "" if len(tried) > 2 else "too much")

    monkeypatch.setattr(exported.Judge, "__call__", judged)
    made = workshop.quantized(kind, step("mixed"))
    before = floats(workshop.quantized(kind, step("mixed")).path)  # with the bound kept at once: none is given back
    back = int(made.techniques[1].removesuffix(" of 6 layers in float"))
    assert 2 <= back <= 4  # two, and those that feed them
    assert before == tried[0] == (kind == "openvino")  # NNCF leaves a layer of the gate in float by itself
    assert tried[0] < tried[2] <= tried[0] + back
    assert made.path.exists()


def test_mixed_that_cannot_be_mended_is_refused(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported.Judge, "__call__", lambda *_: Loss(0.5, 0.5, 9, 32, 1.0, "AUC 0.500 instead of 0.9"))
    with pytest.raises(ModelError, match=r"AUC 0\.500") as refused:
        workshop.quantized("onnx", step("mixed"))
    assert refused.value.hint.startswith("Allow more")


@pytest.mark.parametrize(("enough", "found"), [(1, 1), (3, 3), (4, 4), (7, 7), (10, 10), (11, None)])
def test_the_search_finds_the_least_number(enough: int, found: int | None) -> None:
    tried: list[int] = []

    def good(count: int) -> bool:
        tried.append(count)
        return count >= enough

    assert giving_back.fewest(20, good) == found
    assert len(tried) <= 8
    assert max(tried) <= 10


@pytest.mark.parametrize(("enough", "given"), [(1, 1), (3, 3), (7, 7), (10, 10), (11, 10)])
def test_the_file_that_stands_there_is_that_of_the_fewest_layers(enough: int, given: int) -> None:
    layers, made = [f"layer{place}" for place in range(20)], list[int]()

    def make(keep: Sequence[str]) -> int:
        made.append(len(keep))
        return len(keep)

    assert giving_back.mended(layers, make, lambda count: count >= enough) == (layers[:given], given)
    assert made[-1] == given


def test_layers_are_told_by_their_place_and_their_size(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite_tools, "_graph", lambda _path: ([("a", 1)], {}))
    monkeypatch.setattr(exported.Judge, "__call__", lambda *_: Loss(0.5, 0.5, 9, 32, 1.0, "much"))
    with pytest.raises(ModelError, match="not in the order"):
        workshop.quantized("tflite", step("mixed"))


def test_faces_of_calibration_are_training_faces(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []

    def watched(task: Any, _keep: tuple[str, ...] = ()) -> None:
        seen.append({face.split for face in task.calibration.faces.faces})
        task.target.write_bytes(task.prepared.read_bytes())

    monkeypatch.setattr(onnx_tools, "static", watched)
    workshop.quantized("onnx", step("static"))
    assert seen == [{"train"}]


def test_counts_and_notes_are_in_the_manifest(
    trained: Trained, training_faces: TrainingFaces, tmp_path: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(tmp_path, training_faces, quantization=step("weights"), about={"note": "Mine.", "parent": "small"})
    with Exporter(replace(trained, notes=("First.",)), order) as exporter:
        monkeypatch.setattr(exporter, "_workshop", workshop)
        table = exporter.write("small-w8", "onnx")
    assert table["techniques"] == ["pruned", "weights int8"]
    assert table["note"].startswith("First. By quantization, on 32 validation faces, AUC ")
    assert table["note"].endswith("decisions turned. Mine.")
    assert (table["parent"], table["parameters"]) == ("small", sum(p.numel() for p in exportable.small().parameters()))


def test_planned_bits_are_for_litert_and_need_a_plan() -> None:
    with pytest.raises(ConfigError, match="ONNX Runtime has no convolution with weights of less than 8 bits"):
        exported.check(step("planned"), "onnx")
    possible.check(*planned({}))
    with pytest.raises(ConfigError, match="needs a plan of bits"):
        possible.check(*planned(None))


@pytest.mark.parametrize(
    ("backbone", "keys", "refused"),
    [
        ("mobilenetv3-small", {"pin": False}, True),
        ("mobilenetv3-small", {"pin": False, "haq": False, "bits": 4}, True),
        ("mobilenetv3-small", {"pin": False, "haq": False, "bits": 8}, False),
        ("meso4", {"pin": False}, False),
    ],
)
def test_depthwise_convolutions_of_few_bits_are_refused_before_anything_is_trained(
    backbone: str, keys: dict[str, Any], refused: bool
) -> None:
    recipe, line = planned(keys, backbone)
    if not refused:
        return possible.check(recipe, line)
    with pytest.raises(ConfigError, match=f"'pin = false' lets those of {backbone} have fewer"):
        possible.check(recipe, line)
    return None


def planned(defakeq: dict[str, Any] | None, backbone: str = "mobilenetv3-small") -> tuple[Recipe, list[Recipe]]:
    """Return a recipe for LiteRT, and with it the one that it goes on from, which plans bits or not."""
    steps = [] if defakeq is None else [{"do": "defakeq", **defakeq}]
    first = Recipe.model_validate({"backbone": backbone, "input": {"size": [32, 32]}, "steps": steps})
    last = {"from": "first", "exports": ["tflite"], "steps": [{"do": "quantize", "method": "planned"}]}
    recipe = Recipe.model_validate(last)
    return recipe, [first, recipe]
