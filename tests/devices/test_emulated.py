"""ARM under qemu-user: the real bundle, from push to report, by the command line."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.stock import archive, bundle
from harness.stock.bundle import Bundle
from tests import needs
from tests.harness.command import Workplace
from tests.support import faces
from tests.support.quantized import SIZE, quantized_model
from tests.support.tflite import tflite_model

TARGET = "arm"


@pytest.fixture(scope="module")
def built() -> Bundle:
    return needs.bundle()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, built: Bundle) -> Workplace:
    needs.require("qemu-aarch64-static", "qemu-user-static is missing")
    folder = tmp_path_factory.mktemp("emulated")
    tflite_model(folder / "models", "float", size=SIZE)
    quantized_model(folder / "models", "int8")
    faces.make(folder / "faces", 12, suffix=".npy", size=SIZE)  # packed pixels: nothing decodes, nothing resizes
    (folder / "edgerig.toml").write_text(f'[targets.{TARGET}]\nextends = "emulated-arm64"\ncpu = "cortex-a53"\n')
    return Workplace(folder)


@pytest.fixture(scope="module")
def first(workplace: Workplace) -> dict[str, Any]:
    """Return a run on the emulated device alone."""
    run: dict[str, Any] = workplace.json(
        *("run", "--target", TARGET, "--variants", "models", "--faces", "faces", "--sample", 8)
    )
    return run


@pytest.fixture(scope="module")
def second(workplace: Workplace, first: dict[str, Any]) -> dict[str, Any]:
    """Return a run of the int8 model there, again, and on this machine."""
    run: dict[str, Any] = workplace.json(
        *("run", "--target", f"{TARGET},x86", "--quick", "--fresh"),
        *("--variants", "models/int8.toml", "--faces", "faces", "--sample", 8),
    )
    return run


def cells(run: dict[str, Any], target: str = TARGET) -> list[dict[str, Any]]:
    return [cell for cell in run["cells"] if cell["key"]["target"] == target]


def figure(cell: dict[str, Any], metric: str, scope: str) -> float | None:
    found = [entry["value"] for entry in cell["metrics"] if (entry["metric"], entry["scope"]) == (metric, scope)]
    return found[0] if found else None


def rows(run: dict[str, Any], name: str) -> list[dict[str, str]]:
    with Path(run["folder"], name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def pushed(run: dict[str, Any], target: str) -> int:
    events = map(json.loads, Path(run["folder"], "journal.jsonl").read_text().splitlines())
    return sum(event["bytes"] for event in events if event["event"] == "pushed" and event["target"] == target)


def test_float_and_int8_are_measured_there_with_two_runtimes(first: dict[str, Any]) -> None:
    measured = cells(first)
    known = [(cell["key"]["variant"], cell["key"]["runtime"], cell["outcome"]) for cell in measured]
    assert known == [("float", "tflite", "ok"), ("int8", "onnxruntime", "ok")]
    assert figure(measured[0], "auc", "all") == 1.0  # it finds the fakes only where it is fed as it should be
    assert all(cell["fingerprint"]["cpu"] == "Cortex-A53" for cell in measured)


def test_the_device_is_the_emulated_one_and_not_this_machine(first: dict[str, Any]) -> None:
    target = first["targets"][0]
    assert (target["cpu"], target["device"]) == ("Cortex-A53", "qemu-user, cortex-a53")
    assert (target["memory_mb"], target["emulated"]) == (4096, True)
    assert target["os"] == "edgerig bundle under qemu-user"
    assert target["python"].startswith("3.11.")


def test_memory_is_not_measured_and_says_why(first: dict[str, Any]) -> None:
    for cell in cells(first):
        assert (cell["memory"]["phases"], figure(cell, "vm_hwm_mb", "all")) == ([], None)
        assert "under qemu-user" in cell["memory"]["reason"]
    assert {row["vm_hwm_mb"] for row in rows(first, "cells.csv")} == {""}


def test_times_are_marked_and_in_no_headline(first: dict[str, Any]) -> None:
    assert {cell["verdict"]["trust"] for cell in cells(first)} == {"emulated"}
    assert first["headline"].startswith("No time was measured on a real device")
    assert {row["emulated"] for row in rows(first, "cells.csv")} == {"true"}


def test_a_second_run_pushes_nothing(first: dict[str, Any], second: dict[str, Any], workplace: Workplace) -> None:
    assert pushed(first, TARGET) > 0
    assert pushed(second, TARGET) == 0
    again = workplace.json("provision", TARGET)[0]
    assert (again["environment"], again["reused"], again["sent_bytes"]) == ("bundle", True, 0)


def test_nothing_changed_is_not_run_again(first: dict[str, Any], workplace: Workplace) -> None:
    words = ("run", "--target", TARGET, "--variants", "models", "--faces", "faces", "--sample", 8)
    again = workplace.json(*words)
    assert all(cell["cached_from"] for cell in again["cells"])
    assert len(again["cells"]) == len(first["cells"])
    assert '"event":"pushed"' not in Path(again["folder"], "journal.jsonl").read_text()


def test_int8_scores_are_those_of_this_machine_bit_for_bit(second: dict[str, Any]) -> None:
    agreement = [row for row in rows(second, "agreement.csv") if row["kind"] == "place"]
    assert [(row["target"], row["reference_target"], row["identical"]) for row in agreement] == [
        (TARGET, "x86", "true")
    ]
    scores = {Path(second["folder"], "scores", cell["accuracy"]["scores"]).read_text() for cell in second["cells"]}
    assert len(scores) == 1
    told = {line.rpartition(",")[2] for line in scores.pop().splitlines()[1:]}
    assert len(told) > 5  # a model that says the same of all faces would agree with anything


def test_times_of_an_emulator_stand_apart_from_real_ones(second: dict[str, Any]) -> None:
    page = Path(second["folder"], "report.html").read_text()
    real, _, emulated = page.partition("Cells on emulated targets")
    assert f"{TARGET} (emulated)" not in real
    assert f"{TARGET} (emulated)" in emulated


# -- the bundle itself


def test_the_bundle_names_what_it_is_made_of(built: Bundle) -> None:
    archive.check(built.path)
    with tarfile.open(built.path) as tar:
        members = {entry.name: entry for entry in tar}
        contents = bundle.Contents.model_validate_json(tar.extractfile(members["BUNDLE.json"]).read())  # type: ignore[union-attr]
    assert contents == built.contents
    packages = {package.name: package for package in contents.packages}
    assert {"libc6", "python3.11-minimal", "numpy", "onnxruntime"} <= packages.keys()
    for package in contents.packages:
        assert package.licence
        assert package.kind == "wheel" or package.licence in members
    assert {(entry.uid, entry.mtime, entry.issym()) for entry in members.values()} == {(0, 0, False)}
    assert [name for name in members if name.startswith("lib/python3.11/test/")] == []


def test_bundles_are_listed(built: Bundle, workplace: Workplace) -> None:
    listed = workplace.json("bundle", "list")
    assert [built.sha256, built.contents.machine] in [[row["sha256"], row["contents"]["machine"]] for row in listed]
