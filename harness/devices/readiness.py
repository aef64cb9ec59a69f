"""A device when it is reached, before anything is put there: how it was found, and whether it may be measured now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgerig.deadline import Deadline
from edgerig.errors import TargetRefused
from targets import cores, shell, vitals
from targets.profile import Target, Vital
from targets.transport import Transport

READ_S = 30.0  # for one reading; `dumpsys power` prints for a second


@dataclass(frozen=True)
class Found:
    """What a device was found as.

    Attributes:
        settings: for the report, e.g. {"cores": "big: 4,5,6,7", "screen": "asleep"}.
        affinity: processors to measure on, None: as found.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    affinity: tuple[int, ...] | None = None


def look(target: Target, transport: Transport) -> Found:
    """Return what a device is found as; raises TargetRefused where it may not be measured now."""
    profile = target.settings
    reading: vitals.Reading = {}
    for name, vital in profile.found.items():
        reading.update(_read(transport, name, vital))
    if profile.battery_min:
        _require_charge(target, reading)
    settings = {name.replace("_", " "): _shown(value) for name, value in reading.items()}
    if profile.cores is None:
        return Found(settings, profile.affinity)
    affinity = cores.resolved(profile.cores, cores.strengths_of(transport), target.name)
    kind = f"{profile.cores}: " if isinstance(profile.cores, str) else ""
    return Found({**settings, "cores": kind + ",".join(map(str, affinity))}, affinity)


def _read(transport: Transport, name: str, vital: Vital) -> vitals.Reading:
    argv = vital.command or ("cat", str(vital.file))
    done = shell.run(transport, argv, Deadline(READ_S))
    return vitals.parsed({name: done.out}, {name: vital.parser}) if done.status == 0 else {}


def _require_charge(target: Target, reading: vitals.Reading) -> None:
    least, charge = target.settings.battery_min, reading.get("battery_percent")
    if isinstance(charge, float) and charge < least:
        raise TargetRefused(
            f"the battery of {target.name} is at {charge:.0f} %, below the {least} % that it must have.",
            f"Charge it, then `edgerig resume`; or set [targets.{target.name}] battery_min.",
        )


def _shown(value: float | str | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
