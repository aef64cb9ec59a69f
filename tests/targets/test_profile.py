"""Profiles: merged with what edgerig.toml says, refused with the key and the nearest match."""

from __future__ import annotations

from typing import Any

import pytest

from edgerig.errors import ConfigError
from targets import connect, profile
from targets.fake import FakeTransport


def refused(name: str, tables: dict[str, dict[str, Any]]) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        profile.resolve(name, tables)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize("name", profile.shipped())
def test_each_shipped_profile_is_valid(name: str) -> None:
    table = {"address": "pi@pi.local"}  # for those that need one
    target = profile.resolve("here", {"here": {"extends": name, **table}})
    assert target.profile == name
    assert target.settings.description


def test_the_default_is_shipped_and_needs_no_address() -> None:
    target = profile.resolve(profile.DEFAULT, {})
    assert (target.name, target.profile) == ("x86", "x86")


def test_a_table_is_put_on_top_of_its_profile() -> None:
    shipped = profile.resolve("x86", {})
    target = profile.resolve("bench", {"bench": {"extends": "x86", "affinity": [2], "tags": ["lab"]}})
    assert target.settings.affinity == (2,)
    assert target.settings.tags == ("lab",)
    assert target.settings.architecture == shipped.settings.architecture
    assert target.settings.vitals == shipped.settings.vitals


def test_a_vital_is_added_to_those_of_the_profile() -> None:
    shipped = profile.resolve("x86", {}).settings.vitals
    own = {"file": "/sys/class/hwmon/hwmon0/temp1_input", "parser": "millicelsius"}
    target = profile.resolve("bench", {"bench": {"vitals": {"temperature": own}}})
    assert target.settings.vitals["temperature"].file == own["file"]
    assert target.settings.vitals.keys() == shipped.keys()


def test_a_table_may_take_a_shipped_name() -> None:
    target = profile.resolve("x86", {"x86": {"affinity": [0]}})
    assert target.settings.affinity == (0,)


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ({"afinity": [0]}, "edgerig.toml: targets.a: unknown key 'afinity'.", "Did you mean 'affinity'?"),
        ({"extends": "x68"}, "edgerig.toml: targets.a extends 'x68', which is no profile.", "Did you mean 'x86'?"),
        ({"extends": ["x86"]}, "edgerig.toml: targets.a extends '['x86']', which is no profile.", ""),
        ({"transport": "telnet"}, "edgerig.toml: targets.a: 'transport': input should be ", ""),
        ({"transport": "ssh"}, "edgerig.toml: targets.a: The transport 'ssh' needs an address", ""),
        ({"memory_limit_mb": 1}, "edgerig.toml: targets.a: 'memory_limit_mb': input should be greater", ""),
        (
            {"vitals": {"heat": {"file": "x", "parser": "loadavg", "unit": "C"}}},
            "edgerig.toml: targets.a: unknown key 'vitals.heat.unit'.",
            "Known here: command, during, file, parser.",
        ),
        (
            {"vitals": {"heat": {"parser": "loadavg"}}},
            "edgerig.toml: targets.a: 'vitals.heat': a vital needs either file or command",
            "",
        ),
        (
            {"vitals": {"heat": {"file": "x", "parser": "celsius"}}},
            "edgerig.toml: targets.a: 'vitals.heat': unknown parser 'celsius'; known: clock_khz",
            "",
        ),
        ({"via": "ci@rack2"}, "edgerig.toml: targets.a: 'via' is for the transport 'adb'", ""),
        ({"cores": "bgi"}, "edgerig.toml: targets.a: 'cores': write big, little, all, a mask", ""),
        ({"cores": "0x00"}, "edgerig.toml: targets.a: 'cores': write big, little, all, a mask", ""),
        ({"cores": "big", "affinity": [0]}, "edgerig.toml: targets.a: 'cores' and 'affinity' say the same", ""),
        (
            {"vitals": {"screen": {"command": ["dumpsys", "power"], "parser": "dumpsys_screen"}}},
            "edgerig.toml: targets.a: vitals.screen: the parser 'dumpsys_screen' is for [found.screen]",
            "",
        ),
        (
            {"extends": "emulated-arm64", "cpu": "cortex-72"},
            "edgerig.toml: targets.a: no cpu 'cortex-72' is emulated; did you mean 'cortex-a72'.",
            "",
        ),
        ({"extends": "emulated-arm64", "cpu": "Z80"}, "edgerig.toml: targets.a: no cpu 'Z80' is emulated; known: ", ""),
        ({"cpu": "cortex-a72"}, "edgerig.toml: targets.a: 'cpu' names the processor of an emulator", ""),
        (
            {"extends": "emulated-arm64", "emulated": False},
            "edgerig.toml: targets.a: what an emulator runs is emulated = true",
            "",
        ),
        (
            {"extends": "emulated-arm64", "environment": "system"},
            "edgerig.toml: targets.a: qemu-user runs on this machine",
            "",
        ),
        (
            {"faults": [{"on": "put", "kind": "explode"}]},
            "edgerig.toml: targets.a: 'faults.0.kind': input should be 'drop'",
            "",
        ),
    ],
)
def test_what_is_wrong_is_named(table: dict[str, Any], message: str, hint: str) -> None:
    said, advice = refused("a", {"a": table})
    assert said.lower().startswith(message.lower())
    assert advice.startswith(hint)


def test_an_unknown_target_is_refused_with_the_nearest() -> None:
    assert refused("bnech", {"bench": {}}) == ("there is no target 'bnech'.", "Did you mean 'bench'?")
    assert refused("zzz", {"bench": {}})[1].startswith("Known: bench, ")


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", "", ".hidden", "x" * 65, "a\n"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    assert "'name'" in refused(name, {name: {}})[0]


def test_a_profile_says_how_it_is_reached(tmp_path: Any) -> None:
    faults = [{"on": "start", "kind": "offline"}]
    target = profile.resolve("flaky", {"flaky": {"transport": "fake", "faults": faults}})
    opened = connect.connect(target, tmp_path)
    assert isinstance(opened, FakeTransport)
    assert opened.root == str(tmp_path / "flaky")
    assert connect.connect(profile.resolve("x86", {}), tmp_path).root == str(tmp_path / "x86")


def test_targets_that_are_the_same_phone_are_one_device() -> None:
    def phone(**keys: str) -> profile.Target:
        return profile.resolve("a", {"a": {"extends": "android", **keys}})

    assert connect.device(phone(address="R58M")) == connect.device(phone(address="R58M", description="x"))
    others = (phone(), phone(address="R59M"), phone(address="R58M", via="ci@rack2"), profile.resolve("x86", {}))
    assert len({connect.device(other) for other in (phone(address="R58M"), *others)}) == 5
    assert connect.leases(phone()) == "{root}/lease"  # of all targets that are this phone


def test_the_python_of_a_device() -> None:
    own = profile.resolve("a", {"a": {"python": "/opt/python"}})
    there = profile.resolve("a", {"a": {"transport": "ssh", "address": "pi"}})
    assert connect.python_of(own) == "/opt/python"
    assert connect.python_of(there) == "python3"  # the controller's own path means nothing there
