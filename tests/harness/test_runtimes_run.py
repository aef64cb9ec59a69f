"""Several runtimes, and several versions of one, in one run: from the command line to the report."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import pytest

from tests.harness.command import Workplace
from tests.support import faces, models, openvino, tflite
from tests.support.wheels import wheel

HERE = '[targets.here]\narchitecture = ""\ndeadline_s = 30\n'
SITE = Path(cv2.__file__).parents[1]

# Of a wheel that stands for the package that is installed here, which it imports instead of itself.
STANDS_FOR = f"""
import importlib, sys
sys.modules.pop(__name__)
path, sys.path = sys.path, [{str(SITE)!r}, *sys.path]
real = importlib.import_module(__name__)
sys.path = path
"""


class Measured(NamedTuple):
    """A run and its workplace."""

    workplace: Workplace
    record: dict[str, Any]

    def scores(self, cell: dict[str, Any]) -> list[float]:
        path = self.workplace.folder / self.record["folder"] / "scores" / cell["accuracy"]["scores"]
        return [float(row["score"]) for row in csv.DictReader(path.read_text().splitlines())]

    def cells(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(cell["key"]["variant"], cell["key"]["runtime"]): cell for cell in self.record["cells"]}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Return a run of the same net in three formats, each with its own runtime."""
    workplace = Workplace(tmp_path_factory.mktemp("three"))
    faces.make(workplace.folder / "faces", 24)
    source = models.keras_model(workplace.folder / "models", "plain")
    openvino.openvino_model(source)
    tflite.tflite_model(workplace.folder / "models", "lite-int8", quantized=True, parent="plain")
    (workplace.folder / "edgerig.toml").write_text(HERE)
    words = ("--variants", "models", "--faces", "faces", "--target", "here", "--quick")
    return Measured(workplace, workplace.json("run", *words))


def test_each_format_is_measured_with_its_runtime_in_one_run(three: Measured) -> None:
    cells = three.cells()
    assert {key: cell["outcome"] for key, cell in cells.items()} == {
        ("plain", "onnxruntime"): "ok",
        ("plain-ir", "openvino"): "ok",
        ("lite-int8", "tflite"): "ok",
    }
    numbers = {variant: cell["fingerprint"]["precision"] for (variant, _), cell in cells.items()}
    assert numbers == {"plain": "float32", "plain-ir": "float32", "lite-int8": "int8"}
    assert all(cell["fingerprint"]["runtime_version"] for cell in cells.values())
    assert all(cell["memory"]["outcome"] == "ok" for cell in cells.values())


def test_runtimes_agree_on_the_scores(three: Measured) -> None:
    scores = {variant: three.scores(cell) for (variant, _), cell in three.cells().items()}
    for other, tolerance in (("plain-ir", 1e-5), ("lite-int8", 0.05)):
        assert scores[other] == pytest.approx(scores["plain"], abs=tolerance)
    assert max(scores["plain"]) > 0.9
    assert min(scores["plain"]) < 0.1


def test_a_converted_variant_is_held_against_its_parent(three: Measured) -> None:
    (held,) = (entry for entry in three.record["agreement"] if entry["here"]["variant"] == "lite-int8")
    assert (held["kind"], held["reference"]["variant"], held["faces"]) == ("parent", "plain", 24)
    assert (held["identical"], 0 < held["largest_difference"] < 0.05) == (False, True)
    assert {"runtime", "precision"} <= {confounder["name"] for confounder in held["confounders"]}


def test_the_report_names_the_runtimes(three: Measured) -> None:
    page = (three.workplace.folder / three.record["folder"] / "report.html").read_text()
    assert all(word in page for word in ("onnxruntime", "tflite", "openvino", "lite-int8"))


def test_versions_of_a_runtime_are_measured_side_by_side(tmp_path: Path) -> None:
    workplace, index = Workplace(tmp_path), tmp_path / "index"
    wheel(index, "numpy", **{"numpy.py": STANDS_FOR, "here.pth": f"{SITE}\n"})
    wheel(index, "opencv-python-headless")
    for version in ("1.2.0", "1.3.0"):
        wheel(index, "onnxruntime", version, **{"onnxruntime.py": f"{STANDS_FOR}real.__version__ = {version!r}\n"})
    workplace.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    faces.make(tmp_path / "faces", 8)
    models.onnx_model(tmp_path / "models", "net")
    (tmp_path / "edgerig.toml").write_text(HERE)
    specs = [f"onnxruntime=={version}" for version in ("1.2.0", "1.3.0", "9.9.9")]
    words = ("--variants", "models", "--faces", "faces", "--target", "here", "--quick", "--runtime", ",".join(specs))
    measured = Measured(workplace, workplace.json("run", *words))
    cells = measured.cells()
    for version in ("1.2.0", "1.3.0"):
        cell = cells["net", f"onnxruntime=={version}"]
        assert (cell["outcome"], cell["fingerprint"]["runtime_version"]) == ("ok", version)
    (held,) = measured.record["agreement"]  # the same library by two names: to the bit
    assert (held["identical"], held["reference"]["runtime"]) == (True, "onnxruntime==1.2.0")
    assert [confounder["name"] for confounder in held["confounders"]] == ["runtime", "runtime_version"]
    absent = cells["net", "onnxruntime==9.9.9"]
    assert absent["outcome"] == "unsupported"
    assert "there is no wheel of onnxruntime==9.9.9" in absent["reason"]
    assert "The newest versions that have one: 1.2.0, 1.3.0." in absent["reason"]
