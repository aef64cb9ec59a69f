"""Doctor names the runtimes of a device, their versions, and how it gets the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import doctor
from targets import profile
from tests.support import devices

PACKAGES = {"numpy": "1.26.4", "onnxruntime": "1.23.2", "tflite_runtime": "2.14.0"}


@pytest.mark.parametrize(
    ("keys", "refused", "standing", "todo"),
    [
        ({}, {}, "ok", "/usr/bin/python3 -m pip install 'openvino'"),
        ({"environment": "venv"}, {}, "ok", "A run that needs one of those sends it there."),
        ({}, {"onnxruntime==9": "there is none."}, "failed", "onnxruntime==9: there is none."),
    ],
    ids=["system", "venv", "refused"],
)
def test_runtimes_of_a_device(
    tmp_path: Path, keys: dict[str, Any], refused: dict[str, str], standing: str, todo: str
) -> None:
    target = profile.resolve("box", {"box": {"architecture": "", **keys}})
    with devices.session(tmp_path) as session:
        session.identity = replace(session.identity, packages=PACKAGES, python_executable="/usr/bin/python3")
        session.refused = refused
        step = doctor._runtimes(target, session)
    found = "onnxruntime 1.23.2, tflite 2.14.0; not there: openvino"
    assert (step.standing, step.found) == (standing, found)
    assert step.todo.endswith(todo)
