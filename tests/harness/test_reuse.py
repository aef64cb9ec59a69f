"""Emulated cells are not measured again while nothing has changed; real ones always are."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgerig.errors import TargetRefused
from harness import config, places, workflow
from harness.config import RunTable, Workspace
from harness.devices.session import Session
from harness.planning import plan, reuse
from harness.planning.plan import Plan
from harness.progress import Silent
from reports.records import Run
from targets import emulator
from targets.profile import Target
from tests.support import faces, models

Planned = Callable[..., Plan]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planned]:
    """Return what plans a run of two variants on this machine, which says that it is emulated."""
    folder = tmp_path_factory.mktemp("reuse")
    faces.make(folder / "faces", 12, splits=("test",))
    models.null_model(folder / "models", "one")
    models.null_model(folder / "models", "two", latency_ms=0.1)

    def made(emulated: bool = True, **keys: Any) -> Plan:
        table = {"architecture": "", "emulated": emulated}
        space = Workspace(config.Config(targets={"board": table}), None)
        asked = {"variants": (str(folder / "models"),), "faces": str(folder / "faces"), "targets": ("board",)}
        return plan.make(space, RunTable.model_validate({**asked, "setting": "quick", **keys}), packs=places.packs())

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGERIG_CACHE", str(folder / "cache"))
        yield made


@pytest.fixture(scope="module")
def first(planned: Planned, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return workflow.start(planned(), tmp_path_factory.mktemp("first"), Silent())[0]


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(target: Target, *_: object) -> Session:
        raise TargetRefused(f"{target.name} was started")

    monkeypatch.setattr(workflow, "open_session", refused)


@pytest.mark.usefixtures("nothing_starts")
def test_nothing_changed_is_good_without_starting_anything(planned: Planned, first: Run, tmp_path: Path) -> None:
    again, folder = workflow.start(planned(), tmp_path, Silent())
    assert workflow.exit_code(again) == 0
    assert {cell.cached_from for cell in again.cells} == {first.id}
    assert [cell.metrics for cell in again.cells] == [cell.metrics for cell in first.cells]
    assert [cell.fingerprint for cell in again.cells] == [cell.fingerprint for cell in first.cells]
    assert any(text.startswith("2 cells of board not measured again") for text in again.warnings)
    assert again.finished
    # The run stands on its own: it can be rendered when the cache is gone.
    shutil.move(places.cells(), tmp_path / "away")
    try:
        assert workflow.render(folder).cells == again.cells
    finally:
        shutil.move(tmp_path / "away", places.cells())


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize("keys", [{"fresh": True}, {"emulated": False}, {"sample": 4}])
def test_what_changed_is_measured(planned: Planned, first: Run, tmp_path: Path, keys: dict[str, Any]) -> None:
    run, _ = workflow.start(planned(**keys), tmp_path, Silent())
    assert {cell.cached_from for cell in run.cells} == {""}
    assert [target.reason for target in run.targets] == ["board was started"]


def test_a_changed_model_alone_is_measured(planned: Planned, first: Run, tmp_path: Path) -> None:
    made = planned()
    model = made.variant("two").files[0].path
    content = model.read_bytes()
    model.write_bytes(content + b" ")
    try:
        run, _ = workflow.start(planned(), tmp_path, Silent())
    finally:
        model.write_bytes(content)
    assert [(cell.key.variant, bool(cell.cached_from)) for cell in run.cells] == [("one", True), ("two", False)]
    assert workflow.exit_code(run) == 0


@pytest.mark.parametrize("change", ["agent", "packages", "emulator", "threshold"])
def test_the_digest_knows_what_a_result_depends_upon(
    planned: Planned, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    made = planned()
    target, cell = made.targets[0], made.cells[0]
    before = reuse.digest_of(made, target, cell)
    assert before
    assert before == reuse.digest_of(planned(), target, cell)
    if change == "agent":
        monkeypatch.setattr("harness.devices.pack.archive", lambda: b"another")
    elif change == "packages":
        monkeypatch.setattr(reuse, "version", lambda name: "0")
    elif change == "emulator":
        monkeypatch.setattr(reuse, "_emulator", lambda target: ["cortex-a72", "99"])
    else:
        info = made.variants[0].info.model_copy(update={"threshold": 0.9})
        made = made.model_copy(
            update={"variants": (made.variants[0].model_copy(update={"info": info}), *made.variants[1:])}
        )
    assert reuse.digest_of(made, target, cell) not in (before, None)


def test_an_environment_that_only_the_target_knows_is_never_taken(planned: Planned) -> None:
    made = planned()
    settings = made.targets[0].settings.model_copy(update={"python": "/opt/python"})
    target = made.targets[0].model_copy(update={"settings": settings})
    assert reuse.digest_of(made, target, made.cells[0]) is None
    there = settings.model_copy(update={"python": None, "transport": "ssh", "address": "pi@pi4"})
    assert reuse.environment(target.model_copy(update={"settings": there}), []) is None
    absent = settings.model_copy(update={"python": None, "emulator": emulator.QEMU_USER, "cpu": "cortex-a72"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.which", lambda _: None)
        assert reuse.environment(target.model_copy(update={"settings": absent}), []) is None


def test_a_damaged_result_is_measured_again(planned: Planned, first: Run, tmp_path: Path) -> None:
    kept = places.cells()
    copy = shutil.copytree(kept, tmp_path / "copy")
    for path in kept.glob(f"*/{reuse.NAME}"):
        path.write_text("{")
    run, _ = workflow.start(planned(), tmp_path, Silent())
    assert {cell.cached_from for cell in run.cells} == {""}
    assert workflow.exit_code(run) == 0
    shutil.rmtree(kept)
    shutil.copytree(copy, kept)
