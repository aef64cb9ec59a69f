"""Devices side by side: queues that run at the same time, end together, and pass on what went wrong in them."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edgerig.deadline import Deadline
from edgerig.errors import DiskFull, LinkLost, TargetUnreachable
from harness import config, state, workflow
from harness.config import RunTable, Workspace
from harness.devices import queues
from harness.devices.queues import Stop, Stopped, side_by_side
from harness.findings import collect
from harness.journal import Journal
from harness.planning import plan
from harness.progress import Silent
from harness.state import State
from targets import connect, profile
from targets.local import LocalTransport
from targets.profile import Target
from targets.transport import Transport
from tests.harness.command import Workplace
from tests.support import faces, models

TIMEOUT_S = 10


def target(name: str, **keys: object) -> Target:
    return profile.resolve(name, {name: {"architecture": "", **keys}})


def test_queues_run_at_the_same_time_and_in_order() -> None:
    both, done = threading.Barrier(2, timeout=TIMEOUT_S), []

    def work(item: str) -> None:
        if item in ("a1", "b1"):
            both.wait()  # broken, and so raising, where one had to wait for the other
        done.append(item)

    side_by_side([["a1", "a2"], ["b1", "b2", "b3"]], work, Stop())
    assert [item for item in done if item[0] == "a"] == ["a1", "a2"]
    assert [item for item in done if item[0] == "b"] == ["b1", "b2", "b3"]


def test_what_goes_wrong_in_one_stops_all_and_is_raised() -> None:
    stop, stopped, started = Stop(), threading.Event(), threading.Event()

    def work(item: str) -> None:
        if item == "full":
            started.wait(TIMEOUT_S)
            raise DiskFull("the disk is full")
        started.set()
        try:
            stop.pause(TIMEOUT_S)
        except Stopped:
            stopped.set()
            raise

    with pytest.raises(DiskFull):
        side_by_side([["full", "never"], ["slow", "never"]], work, stop)
    assert stopped.is_set()


def test_an_interrupt_stops_workers_that_wait_for_a_device(tmp_path: Path) -> None:
    """The main thread is interrupted while workers wait for answers; agents that hear "bye" end."""
    stop, ended = Stop(), []
    waiting = threading.Barrier(3, timeout=TIMEOUT_S)

    def work(name: str) -> None:
        channel = stop.over(LocalTransport(tmp_path / name)).start(["sh", "-c", "read line; echo $line >&2"])
        try:
            waiting.wait()
            channel.receive(Deadline(60))
        finally:
            ended.append(channel.errors())
            channel.close()

    def interrupt() -> None:
        waiting.wait()
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        side_by_side([["one"], ["two"]], work, stop)
    assert time.monotonic() - begin < TIMEOUT_S
    assert [text[:24] for text in ended] == ['{"v":1,"kind":"bye","id"'] * 2


def test_a_worker_on_a_silent_device_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "GRACE_S", 0.1)
    forever = threading.Event()

    def work(item: str) -> None:
        if item == "bad":
            raise DiskFull("full")
        forever.wait(TIMEOUT_S)

    begin = time.monotonic()
    with pytest.raises(DiskFull):
        side_by_side([["silent"], ["bad"]], work, Stop())
    assert time.monotonic() - begin < TIMEOUT_S / 2
    forever.set()


@pytest.mark.parametrize(
    "use",
    [
        lambda way: way.start(["true"]),
        lambda way: way.put(Path(__file__), "x", Deadline(1)),
        lambda way: way.get("x", Path("x"), Deadline(1)),
    ],
    ids=["start", "put", "get"],
)
def test_nothing_begins_after_a_stop(tmp_path: Path, use: Callable[[Transport], None]) -> None:
    stop = Stop()
    way = stop.over(LocalTransport(tmp_path))
    stop.now()
    with pytest.raises(Stopped):
        use(way)


def test_what_is_received_goes_through(tmp_path: Path) -> None:
    way = Stop().over(LocalTransport(tmp_path))
    channel = way.start(["cat"])
    channel.send(b"hello")
    assert channel.receive(Deadline(5)) == b"hello"
    with pytest.raises(LinkLost):
        channel.receive(Deadline(0.05))
    channel.close()


# -- which targets share a queue


def test_targets_of_one_physical_device_share_a_queue() -> None:
    targets = [
        target("here"),
        target("pi", transport="ssh", address="pi@10.0.0.4"),
        target("flaky", transport="fake"),
        target("pi-int8", transport="ssh", address="root@10.0.0.4:22"),
        target("pi-2", transport="ssh", address="pi@10.0.0.4:2222"),
        target("odd", transport="ssh", address="a b"),
    ]
    names = [[entry.name for entry in queue] for queue in workflow.by_device(targets)]
    assert names == [["here", "flaky"], ["pi", "pi-int8"], ["pi-2"], ["odd"]]


# -- whole runs on several devices, which all are this machine: only the grouping is told otherwise


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., plan.Plan]:
    """Return what plans a quick run of one scripted model on targets of that many names, each a device of its own."""
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(connect, "device", lambda target: target.name)
    monkeypatch.setattr(connect, "leases", lambda target: "{root}/lease")
    monkeypatch.setattr(workflow, "render", lambda folder: collect.collect(state.read(folder), folder))
    faces.make(tmp_path / "faces", 8)
    models.null_model(tmp_path / "models", "fast")

    def made(**tables: dict[str, object]) -> plan.Plan:
        all_of_them = {name: {"architecture": "", **table} for name, table in tables.items()}
        space = Workspace(config.Config(targets=all_of_them), None)
        asked = {"variants": (str(tmp_path / "models"),), "faces": str(tmp_path / "faces"), "setting": "quick"}
        return plan.make(space, RunTable.model_validate({**asked, "targets": tuple(tables)}), packs=tmp_path)

    return made


class Watched(Silent):
    """Notes which targets are at work when."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, name: str, text: str) -> None:
        self.steps.append(name)


def test_devices_are_measured_side_by_side(several: Callable[..., plan.Plan], tmp_path: Path) -> None:
    teller = Watched()
    run, _ = workflow.start(several(one={}, two={}), tmp_path / "runs", teller)
    assert {(cell.key.target, cell.outcome.value) for cell in run.cells} == {("one", "ok"), ("two", "ok")}
    (held,) = run.agreement
    assert (held.here.target, held.reference.target, held.identical, held.confounders) == ("two", "one", True, ())
    turns = sum(before != after for before, after in zip(teller.steps, teller.steps[1:], strict=False))
    assert turns > 2  # one after the other is a single turn


def test_a_device_that_comes_back_in_time_is_measured(
    several: Callable[..., plan.Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "PAUSE_S", 0.01)
    asked = []

    def connected(target: Target, devices: Path) -> Transport:
        asked.append(target.name)
        if len(asked) == 1:
            raise TargetUnreachable("it does not answer")
        return LocalTransport(devices / target.name)

    monkeypatch.setattr(connect, "connect", connected)
    run, _ = workflow.start(several(one={}), tmp_path / "runs", Silent())
    assert [cell.outcome.value for cell in run.cells] == ["ok"]


def test_a_full_disk_here_ends_the_run_on_all_devices(
    several: Callable[..., plan.Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Journal.append

    def append(self: Journal, event: str, **fields: object) -> None:
        if event == "round" and str(fields["cell"]).find("two") >= 0:
            raise DiskFull("the disk is full")
        real(self, event, **fields)

    monkeypatch.setattr(Journal, "append", append)
    with pytest.raises(DiskFull):
        workflow.start(several(one={}, two={}), tmp_path / "runs", Silent())


def test_two_devices_that_want_the_same_pixels(
    several: Callable[..., plan.Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = several(one={}, two={})
    real = workflow._session

    def blind(target: Target, stop: Stop | None, wanted: Sequence[str]) -> object:
        session = real(target, stop, wanted)
        session.identity.packages.pop("cv2", None)
        return session

    monkeypatch.setattr(workflow, "_session", blind)
    run, _ = workflow.start(planned, tmp_path / "runs", Silent())
    assert {cell.outcome.value for cell in run.cells} == {"ok"}


def test_a_state_is_added_to_by_one_at_a_time(several: Callable[..., plan.Plan]) -> None:
    known = State(several(one={}))
    added = threading.Thread(target=known.add, args=({"event": "warning", "text": "x"},))
    with known.lock:
        added.start()
        added.join(0.1)
        assert known.warnings == []
    added.join(TIMEOUT_S)
    assert known.warnings == ["x"]


def test_a_run_on_two_devices_is_stopped_as_one(workplace: Workplace) -> None:
    faces.make(workplace.folder / "faces", 8)
    models.null_model(workplace.folder / "models", "slow", latency_ms=50, wait="sleep")
    (workplace.folder / "edgerig.toml").write_text("[targets.a]\narchitecture=''\n[targets.b]\narchitecture=''\n")
    start = (
        "from targets import connect\nconnect.device = connect.leases = lambda target: '{root}/../.' + target.name\n"
    )
    script = f"{start}import sys\nfrom harness.cli import main\nsys.exit(main(sys.argv[1:]))"
    words = ["run", "--variants", "models", "--faces", "faces", "--target", "a,b"]
    workplace._argv = lambda _: [sys.executable, "-c", script, *words]  # type: ignore[method-assign,assignment]
    process = workplace.start()
    folder = workplace.wait_for_rounds(1)
    begin = time.monotonic()
    code, said = workplace.stopped(process, signal.SIGTERM)
    assert (code, time.monotonic() - begin < TIMEOUT_S) == (143, True)
    assert f"edgerig resume runs/{folder.name}" in said
    assert (folder / "report.html").exists()
    workplace.wait_for_no_agents()
