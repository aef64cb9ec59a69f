"""Phones that adb sees are probed by their shell alone, and become targets."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edgerig.errors import TargetRefused, TargetUnreachable
from harness.devices import phones
from targets import adb, cores
from tests.devices import adbd
from tests.devices.adbd import Phone
from tests.harness.command import Workplace


def test_a_phone_becomes_a_target(phone: Phone, tmp_path: Path) -> None:
    adbd.adb("connect", phone.address)
    place = Workplace(tmp_path)
    told = place.run("init", "--adb")
    table = tomllib.loads((tmp_path / "edgerig.toml").read_text())
    assert table["targets"]["test-phone"] == {
        "extends": "android",
        "description": "Edge Test Phone, Android 13, 1 little and 1 big cores",
        "address": phone.address,
        "cores": "big",
        "architecture": "x86_64",  # of the root's programs; a phone says aarch64
    }
    assert table["runs"]["test-phone"] == {"targets": ["test-phone"], "threads": [1]}
    assert "edgerig doctor test-phone" in told.stderr
    again = place.json("init", "--adb")
    assert again["known"] == {phone.address: "test-phone"}
    assert again["phones"] == []


def test_a_phone_that_is_locked_is_told(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb, "SETTLE_S", 0.3)
    phone.unauthorized = True
    adbd.adb("connect", phone.address)
    (found,) = phones.found("", [], [])
    assert "has not accepted the key" in found.unusable
    assert found.table == {}


def test_where_there_is_no_phone(phone: Phone) -> None:
    with pytest.raises(TargetUnreachable, match="adb sees no phone"):
        list(phones.found("", [], []))


@pytest.mark.parametrize(
    ("model", "taken", "name"),
    [("Pixel 6a", [], "pixel-6a"), ("Pixel 6a", ["pixel-6a", "pixel-6a-2"], "pixel-6a-3"), ("../..", [], "phone")],
)
def test_a_name_is_found(model: str, taken: list[str], name: str) -> None:
    assert phones._name(model, taken) == name


KNOWN = {0: 420, 1: 420, 2: 1024, 3: 900}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("little", (0, 1)), ("big", (2, 3)), ("all", (0, 1, 2, 3)), ("0xc", (2, 3)), ((3, 1, 3), (1, 3))],
)
def test_cores_are_found(wanted: str | tuple[int, ...], found: tuple[int, ...]) -> None:
    assert cores.resolved(wanted, KNOWN, "phone") == found


def test_where_all_cores_are_alike_all_are_big_and_little() -> None:
    assert cores.resolved("big", {0: 0, 1: 0}, "x") == cores.resolved("little", {0: 0, 1: 0}, "x") == (0, 1)


def test_clocks_tell_where_capacities_do_not() -> None:
    assert cores.strengths("0 - 1800000\n1 1024 2400000\nodd\n") == {0: 1800000, 1: 2400000}
    assert cores.strengths("0 - -\n1 - 5\n") == {0: 0, 1: 0}


def test_a_processor_that_is_not_there() -> None:
    with pytest.raises(TargetRefused, match="phone has no processor 4") as caught:
        cores.resolved("0x10", KNOWN, "phone")
    assert "It has 0, 1, 2, 3" in caught.value.hint
