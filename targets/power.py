"""Parsers of what devices say of their power: rails, energy counters, batteries; and what it is that they measure.

A reading is power_w with power_of, or energy_j (a counter that only grows) with energy_of. Sensors measure different
things (a processor, a module, a whole phone), so that joules of two devices seldom mean the same: the name goes along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

Reading = dict[str, float | str | bool]

# Rails that carry all that a board takes. Source: NVIDIA Jetson Linux Developer Guide, "Software-Based Power
# Consumption Modeling" and "Jetson Module Power Rails", for Nano, TX2, Xavier NX, Orin Nano and NX, Thor.
INPUTS = ("VDD_IN", "POM_5V_IN", "VIN")
PARTS = {"VDDQ_VDD2_1V8AO": "VIN_SYS_5V0"}  # rail of an AGX Orin -> the rail that feeds it


def rails(watts: Mapping[str, float]) -> Reading:
    """Return the power of a board from its rails: the input's where one is known, else the sum of all others."""
    known = {name: value for name, value in watts.items() if name != "NC" and value >= 0}
    for name in INPUTS:
        if name in known:
            return {"power_w": known[name], "power_of": f"the board's input, {name}"}
    summed = {name: value for name, value in known.items() if PARTS.get(name) not in known}
    if not any(summed.values()):
        return {}
    return {"power_w": round(sum(summed.values()), 6), "power_of": f"the sum of {', '.join(sorted(summed))}"[:200]}


_TEGRA = re.compile(r" ([A-Z][A-Z0-9_]{1,31}) ([0-9]{1,7})(mW)?/[0-9]{1,7}(mW)?(/[0-9]{1,7}mW)?(?= |$)")


def tegra_rails(line: str) -> Reading:
    """Return the power of a Jetson from a line of tegrastats: "VDD_IN 4870mW/4702mW", now and on average."""
    return rails({match[1]: int(match[2]) / 1000 for match in _TEGRA.finditer(line)})


_HWMON = re.compile(r"(?:.*/)?(hwmon[0-9]{1,3})/(in|curr|power)([0-9]{1,2})_(label|input|average):(.{0,64})")


def hwmon(texts: list[str]) -> Reading:
    """Return the power of a board from the sensors of hwmon, a line a file: "PATH:VALUE", as grep prints them.

    in is mV, curr mA, power µW; a voltage and a current of one number are one rail. Source: the kernel's
    Documentation/hwmon/sysfs-interface.rst and ina3221.rst, whose numbers 4 to 6 of "in" are shunts.
    """
    chips: dict[str, dict[tuple[str, str], str]] = {}
    for line in "\n".join(texts).splitlines():
        if match := _HWMON.fullmatch(line):
            chip, kind, number, what, value = match.groups()
            chips.setdefault(chip, {})[kind + number, "label" if what == "label" else "value"] = value.strip()
    return rails(dict(rail for chip, entries in sorted(chips.items()) for rail in _rails_of(chip, entries)))


def _rails_of(chip: str, entries: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, float]]:
    values = {name: int(text) for (name, what), text in entries.items() if what == "value" and _whole(text)}
    for name, value in values.items():
        number = name.lstrip("abcdefghijklmnopqrstuvwxyz")
        label = entries.get((f"power{number}", "label")) or entries.get((f"in{number}", "label")) or f"{chip} {number}"
        plain = re.sub(r"[^A-Za-z0-9_ ]", "", label)[:32]
        if name.startswith("power"):
            yield plain, value / 1e6
        elif name.startswith("curr") and f"power{number}" not in values and f"in{number}" in values:
            yield plain, abs(value) * values[f"in{number}"] / 1e6


def _whole(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,15}", text) is not None


def rapl(texts: list[str]) -> Reading:
    """Return the energy counter of a processor in J, from intel-rapl's energy_uj (µJ), which AMD's have as well."""
    if len(texts) == 1 and re.fullmatch(r"\s*[0-9]{1,18}\s*", texts[0], re.ASCII):
        return {"energy_j": int(texts[0]) / 1e6, "energy_of": "the processor's package (RAPL)"}
    return {}


def battery(texts: list[str]) -> Reading:
    """Return the power that is taken from a battery, from power_supply's uevent files (µV, µA, µW).

    Nothing while it is charged: the wall feeds the device then. A current's sign is the vendor's own; batteries of
    things that are attached (scope "Device") are not the device's. What is left of the charge is no use: it moves in
    steps of some J.
    """
    for text in texts:
        fields = dict(re.findall(r"^POWER_SUPPLY_(\w{1,32})=(.{1,64})$", text, re.M))
        own = fields.get("TYPE") == "Battery" and fields.get("SCOPE") != "Device"
        if own and fields.get("STATUS") == "Discharging" and (watts := _drawn(fields)):
            return {"power_w": watts, "power_of": "the battery"}
    return {}


def _drawn(fields: Mapping[str, str]) -> float | None:
    found = {key: abs(int(fields[key])) for key in ("POWER_NOW", "CURRENT_NOW", "VOLTAGE_NOW") if _in(fields, key)}
    if found.get("POWER_NOW"):
        return found["POWER_NOW"] / 1e6
    if found.get("CURRENT_NOW") and found.get("VOLTAGE_NOW"):
        return found["CURRENT_NOW"] / 1e6 * found["VOLTAGE_NOW"] / 1e6
    return None


def _in(fields: Mapping[str, str], key: str) -> bool:
    return _whole(fields.get(key, ""))
