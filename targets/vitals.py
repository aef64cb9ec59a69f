"""Parsers of what devices say about themselves: clocks, heat, load, memory.

The agent sends raw text; here it becomes numbers. A parser returns {} for text that it cannot read, so that an odd
device is "unwatched" and never wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

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


PARSERS: dict[str, Parser] = {
    "clock_khz": clock_khz,
    "governor": governor,
    "millicelsius": millicelsius,
    "loadavg": loadavg,
    "meminfo": meminfo,
}


def parsed(texts: Mapping[str, str], parsers: Mapping[str, str]) -> Reading:
    """Return all readings of one sample.

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
            reading.update(PARSERS[parsers[name]](contents))
    return reading
