"""Small models whose answer on `tests.support.faces` is known, and their manifests.

    onnx_model(folder, "teacher")                               NCHW, RGB, ImageNet's scaling, two logits
    keras_model(folder, "mobile")                               NHWC, pixels / 255, one sigmoid that means "real"
    null_model(folder, "fast", latency_ms=2.0)                  a script of the agent's null runtime
    crashing_model(folder), hanging_model(folder), hungry_model(folder)

All return the path of the model file and write NAME.toml beside it, except with `manifest=False`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import tomli_w
from onnx import TensorProto, helper, numpy_helper

from tests.support.faces import FAKE_RED

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std in RGB order, on pixels / 255
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
OPSET, IR = 17, 8  # what onnxruntime 1.17 reads as well

Three = tuple[float, float, float]
Head = Literal["logits", "softmax", "sigmoid", "logit"]


def write_manifest(model: Path, **keys: Any) -> Path:
    """Write the manifest of a model beside it, with `name` and `file` by default, and return its path."""
    path = model.with_suffix(".toml")
    path.write_text(tomli_w.dumps({"name": model.stem, "file": model.name, **keys}), encoding="utf-8")
    return path


def onnx_model(
    folder: Path,
    name: str,
    *,
    layout: Literal["NCHW", "NHWC"] = "NCHW",
    colour: Literal["RGB", "BGR"] = "RGB",
    scaling: tuple[Three, Three] = IMAGENET,
    head: Head = "logits",
    means: Literal["fake", "real"] = "fake",
    size: int | None = 24,
    blur: float = 0.0,
    manifest: bool = True,
    **keys: Any,
) -> Path:
    """Write an ONNX model that finds the fakes of `tests.support.faces` when it is fed as it says, and only then.

    Args:
        folder: made where it is missing.
        name: of the variant and its file.
        layout: of the input.
        colour: the order that it wants.
        scaling: mean and std in RGB order, on pixels / 255.
        head: two logits or their softmax (fake at index 1), or one logit or its sigmoid.
        means: what a high single output says; for two outputs, what index 1 says.
        size: height and width; None takes any.
        blur: moves its bump away from the fakes: .1 brings the AUC from 1 to .86. The file keeps its shape.
        manifest: write NAME.toml.
        keys: more keys for the manifest, e.g. parent="teacher".
    """
    mean, std = (part if colour == "RGB" else part[::-1] for part in scaling)
    red = 0 if colour == "RGB" else 2
    path = _saved(folder, name, _graph(layout, head, _bump(red, mean, std, means, blur), size))
    if manifest:
        single = head in ("sigmoid", "logit")
        table = {
            "input": {"size": [size or 24] * 2, "layout": layout, "colour": colour, "mean": mean, "std": std},
            "output": {
                "kind": {"sigmoid": "probability", "logit": "logits"}.get(head, head),
                "index": 0 if single or means == "real" else 1,
                "inverted": single and means == "real",
            },
        }
        write_manifest(path, **{**table, **keys})
    return path


def keras_model(folder: Path, name: str, **keys: Any) -> Path:
    """Write the kind that is most often read wrongly: NHWC, pixels / 255, one sigmoid, and it means "real"."""
    return onnx_model(folder, name, layout="NHWC", scaling=PLAIN, head="sigmoid", means="real", **keys)


def _bump(red: int, mean: Three, std: Three, means: str, blur: float) -> tuple[Any, Any, float]:
    """Return centre, weights and bias so that bias - sum(weights * (x - centre)^2) is high for what it means."""
    # The logit is 4 at the centre and 0 halfway to the real faces, which are 60 of 255 away.
    sign = 1.0 if means == "fake" else -1.0
    centre, weights = np.zeros(3, np.float32), np.zeros(3, np.float32)
    centre[red] = (FAKE_RED / 255 + blur - mean[red]) / std[red]
    weights[red] = sign * 4.0 / (30 / 255 / std[red]) ** 2
    return centre, weights, sign * 4.0


def _graph(layout: str, head: Head, bump: tuple[Any, Any, float], size: int | None) -> onnx.GraphProto:
    centre, weights, bias = bump
    single = head in ("sigmoid", "logit")
    # Two outputs share the logit: the softmax of (-l/2, l/2) is the sigmoid of l.
    columns = [-weights] if single else [weights / 2, -weights / 2]
    biases = [bias] if single else [-bias / 2, bias / 2]
    constants = {
        "centre": centre,
        "weights": np.stack(columns, axis=1).astype(np.float32),
        "bias": np.array(biases, np.float32),
    }
    last = {"softmax": "Softmax", "sigmoid": "Sigmoid"}.get(head)
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3] if layout == "NCHW" else [1, 2], keepdims=0),
        helper.make_node("Sub", ["m", "centre"], ["d"]),
        helper.make_node("Mul", ["d", "d"], ["q"]),
        helper.make_node("Gemm", ["q", "weights", "bias"], ["l" if last else "y"]),
        *([helper.make_node(last, ["l"], ["y"])] if last else []),
    ]
    side: Sequence[int | str] = [size, size] if size else ["height", "width"]
    shape = ["batch", 3, *side] if layout == "NCHW" else ["batch", *side, 3]
    return helper.make_graph(
        nodes,
        "bump",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", len(columns)])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )


def _saved(folder: Path, name: str, graph: onnx.GraphProto) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    onnx.save(model, str(path))
    return path


def null_model(
    folder: Path, name: str, *, manifest: bool = True, keys: Mapping[str, Any] | None = None, **script: Any
) -> Path:
    """Write a script of the agent's null runtime; it scores by brightness (AUC about .95) unless told otherwise.

    Args:
        folder: made where it is missing.
        name: of the variant and its file.
        manifest: write NAME.toml: 8x8 pixels / 255, one probability.
        keys: more keys for the manifest.
        script: see harness/agent/runtimes/null.py, e.g. latency_ms=[2, 2, 9] or scores=["nan"].
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.null"
    path.write_text(json.dumps({"scores": {"mode": "mean"}, **script}), encoding="utf-8")
    if manifest:
        table = {"input": {"size": [8, 8]}, "output": {"kind": "probability", "index": 0}}
        write_manifest(path, **{**table, **(keys or {})})
    return path


def crashing_model(folder: Path, name: str = "crashing", at: str = "frame", frame: int = 0, how: str = "segv") -> Path:
    """Write a model whose process crashes when it is loaded, or at one frame."""
    return null_model(folder, name, fail={"how": how, "at": at, "frame": frame})


def hanging_model(folder: Path, name: str = "hanging", frame: int = 0) -> Path:
    """Write a model that never answers one frame."""
    return null_model(folder, name, fail={"how": "hang", "at": "frame", "frame": frame})


def hungry_model(folder: Path, name: str = "hungry") -> Path:
    """Write a model that takes memory until there is none; give its target a memory_limit_mb."""
    return null_model(folder, name, fail={"how": "oom", "at": "frame", "frame": 0})
