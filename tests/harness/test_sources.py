"""Wheels of the user's own, from files and from an index: taken for what they are named for, and for nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgerig.errors import ConfigError, TargetRefused
from harness.config import Config, Workspace
from harness.devices.provision import ensure
from harness.stock import sources, wheels
from harness.stock.sources import Sources
from targets.local import LocalTransport
from targets.profile import Target
from tests.harness.test_provision import NAMES, facts
from tests.support.wheels import wheel


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of wheels that stands for pip's own index."""
    for name in NAMES:
        wheel(tmp_path / "pip", name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "none").as_uri())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "pip"))
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "pip"


def target(folder: Path, **keys: object) -> Target:
    table = {"box": {"architecture": "", "environment": "venv", "runtimes": ["onnxruntime"], **keys}}
    return Workspace(Config.model_validate({"targets": table}), folder / "edgerig.toml").target("box")


def packages(found: Target, folder: Path) -> set[str]:
    made = ensure(found, LocalTransport(folder / "device"))
    return {name.split("-py3")[0] for name in made.packages}


def test_a_wheel_of_the_users_stands_for_the_runtime(index: Path, tmp_path: Path) -> None:
    wheel(tmp_path / "mine", "onnxruntime-gpu", "2.0")
    found = packages(target(tmp_path, wheels=["mine/onnxruntime_gpu-*.whl"]), tmp_path)
    assert found == {"numpy-1.0", "opencv_python_headless-1.0", "onnxruntime_gpu-2.0"}


def test_an_index_of_the_users_is_asked_for_the_runtime_alone(index: Path, tmp_path: Path) -> None:
    for name in ("onnxruntime-gpu", "numpy"):  # newer there, and nobody's business
        place = tmp_path / "theirs" / name
        place.parent.mkdir(exist_ok=True)
        made = wheel(place, name, "3.0")
        (place / "index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
    keys = {"index": (tmp_path / "theirs").as_uri(), "packages": {"onnxruntime": "onnxruntime-gpu"}}
    found = packages(target(tmp_path, **keys), tmp_path)
    assert found == {"numpy-1.0", "opencv_python_headless-1.0", "onnxruntime_gpu-3.0"}


def test_another_file_is_another_archive(index: Path, tmp_path: Path) -> None:
    path = wheel(tmp_path / "mine", "onnxruntime", "2.0")
    first = wheels.wheelhouse(facts(), list(NAMES), sources=Sources(files=(path,)))
    shutil.copy(wheel(tmp_path / "other", "onnxruntime", "2.0", extra="x"), path)
    assert wheels.wheelhouse(facts(), list(NAMES), sources=Sources(files=(path,))) != first
    assert wheels.wheelhouse(facts(), list(NAMES)) not in (first,)


def test_a_wheel_that_does_not_fit_is_named(index: Path, tmp_path: Path) -> None:
    wheel(tmp_path / "mine", "onnxruntime", "2.0", "cp38-cp38-win32")
    with pytest.raises(TargetRefused, match=r"onnxruntime-2.0-cp38-cp38-win32\.whl does not fit Python 3"):
        ensure(target(tmp_path, wheels=["mine/*.whl"]), LocalTransport(tmp_path / "device"))


def test_a_version_is_asked_for_under_the_other_name() -> None:
    renamed = Sources(packages={"onnxruntime": "onnxruntime-gpu"})
    assert renamed.asked("onnxruntime", "aarch64", "1.23.0") == ["onnxruntime-gpu==1.23.0"]
    assert renamed.asked("null", "aarch64") == []


def test_the_nearest_name_stands_for_a_package() -> None:
    files = tuple(Path(f"{name}-1.0-py3-none-any.whl") for name in ("onnxruntime_gpu", "numpy_quaternion", "onnx"))
    found = Sources(files=files)
    assert (found.file_of("onnxruntime"), found.file_of("onnx")) == (files[0], files[2])
    assert found.file_of("openvino") is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"wheels": ["absent/*.whl"]}, r"targets\.box\.wheels: there is no .*absent/\*\.whl"),
        ({"packages": {"onnx": "x"}}, r"targets\.box\.packages: there is no runtime 'onnx'"),
    ],
    ids=["wheels", "packages"],
)
def test_what_is_not_there_is_told_before_anything_is_measured(
    tmp_path: Path, keys: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        sources.of(target(tmp_path, **keys))


@pytest.mark.parametrize("keys", [{"index": "pypi"}, {"environment": "system", "index": "https://x/"}])
def test_what_makes_no_sense_is_refused(tmp_path: Path, keys: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="index"):
        target(tmp_path, **keys)
