"""The fake transport breaks what it wraps as its script says, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgerig.deadline import Deadline
from edgerig.errors import LinkLost, TargetError, TargetFull, TargetUnreachable
from targets.fake import FakeTransport, Fault, Script
from targets.local import LocalTransport


def soon() -> Deadline:
    """Return a deadline that no program here needs."""
    return Deadline(60)


RAISED = {"drop": LinkLost, "full": TargetFull, "offline": TargetUnreachable}


def fake(folder: Path, *faults: dict[str, Any]) -> FakeTransport:
    (folder / "source").write_bytes(b"0123456789")
    return FakeTransport(LocalTransport(folder / "device"), [Fault.model_validate(fault) for fault in faults])


def do(device: FakeTransport, folder: Path, operation: str) -> None:
    """Do one thing with a device."""
    if operation == "put":
        device.put(folder / "source", "file", soon())
        return
    if operation == "get":
        (folder / "device" / "file").write_bytes(b"0123456789")
        device.get("file", folder / "back", soon())
        return
    channel = device.start(["cat"])
    try:
        channel.send(b"hello\n")
        assert channel.receive(soon()) == b"hello\n"
    finally:
        channel.close()


@pytest.mark.parametrize("operation", ["start", "put", "get", "send", "receive"])
@pytest.mark.parametrize("kind", RAISED)
def test_a_fault_raises_once_and_then_all_is_well(tmp_path: Path, operation: str, kind: str) -> None:
    device = fake(tmp_path, {"on": operation, "kind": kind})
    with pytest.raises(RAISED[kind]):
        do(device, tmp_path, operation)
    do(device, tmp_path, operation)


def test_which_faults_are_worth_another_try() -> None:
    assert {kind: error.transient for kind, error in RAISED.items()} == {"drop": True, "full": False, "offline": True}


def test_after_and_times_count_the_calls_of_one_operation(tmp_path: Path) -> None:
    device = fake(tmp_path, {"on": "put", "kind": "drop", "after": 1, "times": 2})
    outcomes = []
    for _ in range(5):
        do(device, tmp_path, "get")
        try:
            do(device, tmp_path, "put")
            outcomes.append("ok")
        except TargetError:
            outcomes.append("lost")
    assert outcomes == ["ok", "lost", "lost", "ok", "ok"]


def test_calls_are_counted_over_all_channels(tmp_path: Path) -> None:
    device = fake(tmp_path, {"on": "receive", "kind": "drop", "after": 1})
    do(device, tmp_path, "receive")
    with pytest.raises(LinkLost):
        do(device, tmp_path, "receive")


def test_a_truncated_put_is_half_a_file_and_leaves_nothing_here(tmp_path: Path) -> None:
    device = fake(tmp_path, {"on": "put", "kind": "truncate"})
    do(device, tmp_path, "put")
    assert (tmp_path / "device" / "file").read_bytes() == b"01234"
    assert {path.name for path in tmp_path.iterdir()} == {"source", "device"}
    do(device, tmp_path, "put")
    assert (tmp_path / "device" / "file").read_bytes() == b"0123456789"


def test_a_put_may_be_truncated_where_nothing_can_be_written_beside_the_source(tmp_path: Path) -> None:
    device = fake(tmp_path, {"on": "put", "kind": "truncate"})
    whole = Path("/proc/version").read_bytes()
    device.put(Path("/proc/version"), "file", soon())
    assert (tmp_path / "device" / "file").read_bytes() == whole[: len(whole) // 2]


def test_a_truncated_get_is_half_a_file(tmp_path: Path) -> None:
    do(fake(tmp_path, {"on": "get", "kind": "truncate"}), tmp_path, "get")
    assert (tmp_path / "back").read_bytes() == b"01234"


def test_truncated_words(tmp_path: Path) -> None:
    channel = fake(tmp_path, {"on": "receive", "kind": "truncate"}).start(["cat"])
    channel.send(b"hello\n")
    assert channel.receive(soon()) == b"hel"
    channel.close()
    channel = fake(tmp_path, {"on": "send", "kind": "truncate"}).start(["cat"])
    channel.send(b"hello\n")
    assert channel.receive(soon()) == b"hel"
    channel.close()


def test_a_stall_is_the_end_of_the_deadline(tmp_path: Path) -> None:
    channel = fake(tmp_path, {"on": "receive", "kind": "stall"}).start(["cat"])
    with pytest.raises(LinkLost, match="silent"):
        channel.receive(soon())
    channel.close()


def test_without_faults_it_is_what_it_wraps(tmp_path: Path) -> None:
    device = fake(tmp_path)
    for operation in ("put", "get", "start"):
        do(device, tmp_path, operation)
    assert device.root == str(tmp_path / "device")
    channel = device.start(["sh", "-c", "echo oh >&2"])
    assert channel.receive(soon()) == b""
    assert channel.errors() == "oh"
    channel.close()
    device.close()


def test_the_first_fault_that_fits_strikes() -> None:
    script = Script([Fault(on="get", kind="truncate"), Fault(on="get", kind="stall", times=2)])
    assert [script.strikes("get") for _ in range(3)] == ["truncate", "stall", ""]


@pytest.mark.parametrize("wrong", [{"kind": "explode"}, {"after": -1}, {"times": 0}, {"often": 1}], ids=str)
def test_an_impossible_fault_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate({"on": "put", "kind": "drop", **wrong})
