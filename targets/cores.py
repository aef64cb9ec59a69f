"""Which processors a target's `cores` names: asked of the device, as every phone numbers them in its own way."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgerig.deadline import Deadline
from edgerig.errors import TargetRefused
from targets import shell
from targets.transport import Transport

LOOK_S = 30.0

# One line a processor that is on: number, capacity, most kHz; "-" where the kernel does not tell.
_SCRIPT = r"""
for folder in /sys/devices/system/cpu/cpu[0-9]*; do
    if [ "$(cat "$folder/online" 2> /dev/null)" = 0 ]; then continue; fi
    read -r capacity < "$folder/cpu_capacity" || capacity=-
    read -r most < "$folder/cpufreq/cpuinfo_max_freq" || most=-
    echo "${folder##*/cpu} $capacity $most"
done 2> /dev/null
"""
_LINE = re.compile(r"([0-9]{1,4}) ([0-9]{1,9}|-) ([0-9]{1,12}|-)")


def strengths(text: str) -> dict[int, int]:
    """Return each processor's strength, by number: its capacity where all have one, else its highest clock, else 0."""
    rows = [match.groups() for line in text.splitlines() if (match := _LINE.fullmatch(line.strip()))]
    for column in (1, 2):
        if rows and all(row[column] != "-" for row in rows):
            return {int(row[0]): int(row[column]) for row in rows}
    return {int(row[0]): 0 for row in rows}


def strengths_of(transport: Transport) -> dict[int, int]:
    """Return the strengths of a device's processors; raises TargetError."""
    return strengths(shell.run(transport, ["sh", "-c", _SCRIPT], Deadline(LOOK_S)).out)


def resolved(cores: str | Sequence[int], known: dict[int, int], name: str) -> tuple[int, ...]:
    """Return the processors that are meant.

    Args:
        cores: "little", "big", "all", a mask, or numbers.
        known: strength by processor.
        name: of the target, for sentences.

    Raises:
        TargetRefused: the device has none of them.
    """
    if isinstance(cores, str) and cores.startswith("0x"):
        wanted = tuple(number for number in range(int(cores, 16).bit_length()) if int(cores, 16) >> number & 1)
    elif isinstance(cores, str):
        least = min(known.values(), default=0)
        kinds = {"all": known, "little": [core for core in known if known[core] == least]}
        # Where all are alike, all are both.
        kinds["big"] = [core for core in known if known[core] > least] or list(known)
        wanted = tuple(sorted(kinds[cores]))
    else:
        wanted = tuple(sorted(set(cores)))
    absent = [core for core in wanted if core not in known]
    if absent or not wanted:
        raise TargetRefused(
            f"{name} has no processor {absent[0] if absent else 'that it tells of'}.",
            f"It has {', '.join(map(str, sorted(known))) or 'none that can be read'}: [targets.NAME] cores = …",
        )
    return wanted


def described(known: dict[int, int]) -> str:
    """Return the processors of a device in a few words: "6 little and 2 big cores", or "8 cores"."""
    least = min(known.values(), default=0)
    little = sum(strength == least for strength in known.values())
    return f"{len(known)} cores" if little == len(known) else f"{little} little and {len(known) - little} big cores"
