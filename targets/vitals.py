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


def dumpsys_battery(texts: list[str]) -> Reading:
    """Return a phone's charge in per cent, its battery's temperature in °C, and what powers it, from `dumpsys battery`.

    The temperature is told in tenths. Source: AOSP, BatteryService.dumpInternal.
    """
    fields = dict(re.findall(r"^  ([A-Za-z ]{1,40}): (-?[0-9]{1,9}|true|false)$", texts[0], re.M)) if texts else {}
    reading: Reading = {}
    level, scale = _field(fields, "level"), _field(fields, "scale") or 100
    if level is not None and 0 <= level <= scale:
        reading["battery_percent"] = 100.0 * level / scale
    tenths = _field(fields, "temperature")
    if tenths is not None and 0 < tenths < 1500:
        reading["battery_c"] = tenths / 10
    sources = [name for name in ("AC", "USB", "Wireless", "Dock") if fields.get(f"{name} powered") == "true"]
    if "AC powered" in fields:
        reading["powered_by"] = "+".join(sources) or "battery"
    return reading


def _field(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


_CPU_SENSOR, _SKIN_SENSOR = "0", "3"  # of Temperature.aidl


def dumpsys_thermal(texts: list[str]) -> Reading:
    """Return the hottest CPU sensor (else skin) in °C and whether Android throttles, from `dumpsys thermalservice`.

    Status 0 is "none", 1 "light throttling" and so on to 6, "shutdown". What the HAL says now outranks what is
    cached. Source: AOSP, ThermalManagerService.dumpInternal, Temperature.java.
    """
    text = texts[0] if texts else ""
    reading: Reading = {}
    if status := re.search(r"^Thermal Status: ([0-6])$", text, re.M):
        reading["throttled"] = status[1] != "0"
    sensors = re.findall(
        r"Temperature\{mValue=(-?[0-9]{1,4}(?:\.[0-9]{1,9})?), mType=([0-9]{1,2}), mName=",
        text.partition("Current temperatures from HAL")[2],
    )
    sane = {
        kind: [float(value) for value, of in sensors if of == kind and 0 < float(value) < 150] for _, kind in sensors
    }
    if degrees := sane.get(_CPU_SENSOR) or sane.get(_SKIN_SENSOR):
        reading["temperature_c"] = max(degrees)
    return reading


def dumpsys_screen(texts: list[str]) -> Reading:
    """Return whether a phone is awake, from `dumpsys power`: its screen is on then, or about to be.

    Source: AOSP, PowerManagerService.dumpInternal; Asleep, Awake, Dreaming, Dozing.
    """
    match = (
        re.search(r"^ {0,8}mWakefulness(?:Raw)?=(Asleep|Awake|Dreaming|Dozing)\b", texts[0], re.M) if texts else None
    )
    return {"screen": match[1].lower()} if match else {}


def android_release(texts: list[str]) -> Reading:
    """Return Android's version, from `getprop ro.build.version.release`."""
    match = re.fullmatch(r"([A-Za-z0-9._-]{1,20})\s*", texts[0]) if texts else None
    return {"android": match[1]} if match else {}


def android_model(texts: list[str]) -> Reading:
    """Return a phone's name, from `getprop ro.product.model`."""
    match = re.fullmatch(r"([\w .()+/-]{1,64}?)\s*", texts[0]) if texts else None
    return {"model": match[1]} if match else {}


# Parsers whose readings tell the device or how it was found, and not the state of one moment of a round.
OF_THE_DEVICE = ("dumpsys_screen", "android_release", "android_model")

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
    "dumpsys_battery": dumpsys_battery,
    "dumpsys_thermal": dumpsys_thermal,
    "dumpsys_screen": dumpsys_screen,
    "android_release": android_release,
    "android_model": android_model,
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
