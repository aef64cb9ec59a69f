from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.agent.protocol import Job, StoredFile
from tests.harness.agent.client import ALONE, SMALL, Client

PICTURES = 6
Pictures = list[np.ndarray[Any, np.dtype[np.uint8]]]
JobMaker = Callable[..., Job]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An agent for the tests that leave it as they found it."""
    client = Client(tmp_path_factory.mktemp("shared"))
    yield client
    client.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Client]:
    """An agent of one's own."""
    client = Client(tmp_path)
    client.ask("hello")  # its folders are there, and its signal handlers
    yield client
    client.close()


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    """Pictures as they are decoded: BGR."""
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(PICTURES)]


@pytest.fixture(scope="session")
def faces(pictures: Pictures) -> bytes:
    """A pack: pictures as PNG, the same as raw pixels, and one that is damaged."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("labels.csv", "path,label\n")
        for number, picture in enumerate(pictures):
            archive.writestr(f"{number}.png", cv2.imencode(".png", picture)[1].tobytes())
            raw = io.BytesIO()
            np.save(raw, picture)
            archive.writestr(f"{number}.npy", raw.getvalue())
        archive.writestr("bad.png", b"no picture")
        archive.writestr("flat.npy", b"no array")
    return stream.getvalue()


@pytest.fixture(scope="session")
def onnx_model() -> bytes:
    """A net of two logits: 0, and four times what the mean of the first channel is above a half."""
    weights = np.array([[0, 4], [0, 0], [0, 0]], np.float32)
    bias = np.array([0, -2], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["y"]),
        ],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    # An opset and an IR that every onnxruntime since 1.10 reads.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


_TOKENS = itertools.count()


@pytest.fixture
def job_for(faces: bytes) -> JobMaker:
    """Return what makes a job for an agent: `job_for(agent, kind, model, **fields)`."""

    def make(client: Client, kind: str, model: StoredFile, **fields: Any) -> Job:
        given = {
            "runtime": "null",
            "input": SMALL,
            "output": ALONE,
            "faces": client.put(faces),
            "images": [f"{number}.png" for number in range(PICTURES)],
            "warmup_frames": 3,
            "warmup_s": 0.0,
            "min_frames": 8,
            "min_s": 0.0,
            "deadline_s": 30.0,
        }
        return Job(f"job-{next(_TOKENS)}", kind, [model], **{**given, **fields})

    return make
