"""Parsers of what devices say about themselves: clocks, heat, load, memory; power is in `targets/power.py`.

The agent sends raw text; here it becomes numbers. A parser returns {} for text that it cannot read, so that an odd
device is "unwatched" and never wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from targets import power

Reading = dict[str, float | str | bool]
Parser = Callable[[list[str]], Reading]


def _integers(texts: list[str]) -> list[int]:
    """Return those of the texts that are whole numbers of a bounded length; "²" is a digit to Python as well."""
    return [int(text) for text in texts if re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text)]


def clock_khz(texts: list[str]) -> Reading:
    """Return the mean clock of the cores in MHz, from cpufreq's scaling_cur_freq (kHz, one file a core)."""
    values = [value / 1000 for value in _integers(texts) if value > 0]
    return {"clock_mhz": sum(values) / len(values)} if values else {}


def governor(texts: list[str]) -> Reading:
    """Return the governor; several that differ are joined by "+"."""
    names = sorted({text.strip() for text in texts if re.fullmatch(r"[a-z_]+", text.strip())})
    return {"governor": "+".join(names)} if names else {}


def millicelsius(texts: list[str]) -> Reading:
    """Return the hottest zone in °C, from thermal_zone*/temp; sensors that read 0 or below absent are left out."""
    sane = [value / 1000 for value in _integers(texts) if 0 < value < 150_000]
    return {"temperature_c": max(sane)} if sane else {}


def loadavg(texts: list[str]) -> Reading:
    """Return the load of the last minute, from /proc/loadavg."""
    match = re.match(r"([0-9]{1,9}\.[0-9]{1,9}) ", texts[0]) if texts else None
    return {"load_1m": float(match[1])} if match else {}


def meminfo(texts: list[str]) -> Reading:
    """Return swap in use and memory available in MiB, from /proc/meminfo (kB)."""
    fields = dict(re.findall(r"^(\w+):\s+([0-9]{1,18}) kB", texts[0], re.M)) if texts else {}
    reading: Reading = {}
    if "SwapTotal" in fields and "SwapFree" in fields:
        reading["swap_used_mb"] = (int(fields["SwapTotal"]) - int(fields["SwapFree"])) / 1024
    if "MemAvailable" in fields:
        reading["memory_available_mb"] = int(fields["MemAvailable"]) / 1024
    return reading


def vcgencmd_throttled(texts: list[str]) -> Reading:
    """Return whether a Raspberry Pi runs slower than asked right now, from `vcgencmd get_throttled`.

    Bits 1 to 3: clock capped, throttled, soft temperature limit. Bit 0, under-voltage, slows nothing by itself: where
    it does, bit 2 is set as well. Bits 16 to 19 say the same of any time since boot, which is no news of this round.
    Source: raspberrypi/documentation, vcgencmd.
    """
    match = re.match(r"throttled=0x([0-9a-fA-F]{1,8})\s*$", texts[0]) if texts else None
    return {"throttled": bool(int(match[1], 16) & 0b1110)} if match else {}


def vcgencmd_temperature(texts: list[str]) -> Reading:
    """Return the temperature of a Raspberry Pi's chip in °C, from `vcgencmd measure_temp`."""
    match = re.match(r"temp=([0-9]{1,3}(\.[0-9]{1,3})?)'C\s*$", texts[0]) if texts else None
    return {"temperature_c": float(match[1])} if match else {}


def vcgencmd_clock(texts: list[str]) -> Reading:
    """Return the clock of a Raspberry Pi's cores in MHz, from `vcgencmd measure_clock arm` (Hz)."""
    match = re.match(r"frequency\([0-9]{1,3}\)=([0-9]{1,12})\s*$", texts[0]) if texts else None
    return {"clock_mhz": int(match[1]) / 1e6} if match and int(match[1]) else {}


# Sensors that are none: "PMIC" is a constant, 100 on most boards and 50 on TX2 NX.
_NO_SENSORS = {"pmic"}


def tegrastats(texts: list[str]) -> Reading:
    """Return the mean clock of the cores that are on, the hottest sensor and swap in use, from a line of tegrastats.

    A core reads "12%@1479" (MHz) or "off", a sensor "cpu@47.5C", of JetPack 7 on "cpu@52.968C/52.968C". A sensor of a
    part without power reads -256.
    """
    line = texts[0].splitlines()[0] if texts and texts[0].strip() else ""
    reading: Reading = {}
    cores = re.search(r" CPU \[([^\]]{1,4096})\]", line)
    clocks = [int(clock) for clock in re.findall(r"%@([0-9]{1,6})\b", cores[1])] if cores else []
    if any(clocks):
        reading["clock_mhz"] = sum(clocks) / len(clocks)
    sensors = re.findall(r"\b([A-Za-z]\w{0,31})@(-?[0-9]{1,4}(?:\.[0-9]{1,4})?)C\b", line)
    degrees = [float(value) for name, value in sensors if name.lower() not in _NO_SENSORS]
    if sane := [value for value in degrees if 0 < value < 150]:
        reading["temperature_c"] = max(sane)
    if swap := re.search(r" SWAP ([0-9]{1,9})/[0-9]{1,9}MB", line):
        reading["swap_used_mb"] = float(swap[1])
    return {**reading, **power.tegra_rails(line)}


def nvpmodel(texts: list[str]) -> Reading:
    """Return a Jetson's power mode, which says how many cores are on and how fast they may be, from `nvpmodel -q`."""
    match = re.search(r"^NV Power Mode: ?([A-Za-z0-9_ ]{1,64}?)\s*$", texts[0], re.M) if texts else None
    return {"governor": f"nvpmodel {match[1]}"} if match else {}


PARSERS: dict[str, Parser] = {
    "clock_khz": clock_khz,
    "governor": governor,
    "millicelsius": millicelsius,
    "loadavg": loadavg,
    "meminfo": meminfo,
    "vcgencmd_throttled": vcgencmd_throttled,
    "vcgencmd_temperature": vcgencmd_temperature,
    "vcgencmd_clock": vcgencmd_clock,
    "tegrastats": tegrastats,
    "nvpmodel": nvpmodel,
    "hwmon_rails": power.hwmon,
    "rapl": power.rapl,
    "battery": power.battery,
}


def parsed(texts: Mapping[str, str], parsers: Mapping[str, str]) -> Reading:
    """Return all readings of one sample; where two tell the same, the later one counts.

    Args:
        texts: what the agent sent, name (or name:path, for files found by a pattern) -> content.
        parsers: name -> name of its parser in PARSERS.
    """
    grouped: dict[str, list[str]] = {}
    for key, text in texts.items():
        grouped.setdefault(key.partition(":")[0], []).append(text)
    reading: Reading = {}
    for name, contents in grouped.items():
        if name in parsers:
            found = PARSERS[parsers[name]](contents)
            if "governor" in reading and "governor" in found:
                found["governor"] = f"{reading['governor']}, {found['governor']}"  # the kernel's, and a board's mode
            reading.update(found)
    return reading
