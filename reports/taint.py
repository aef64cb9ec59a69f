"""Which rounds do not count, and why: the device was hot, its clock moved, or the processor was shared.

Nothing here looks at the times themselves. A rule that did would throw out slow rounds and keep fast ones, and so
make every variant look quicker than it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from reports import statistics
from reports.records import Outcome, Round

# A clock that moves by less is the reading's own noise: schedutil steps on a Raspberry Pi are 100 of 1,800 MHz.
CLOCK_MOVED = 0.05
# Of the time of the frames. A loop on the same core takes half of it; an idle system of two cores less than 1 %.
SHARED = 0.05
# Above the temperature at which a round may begin: a sensor's step on a Jetson is .5 °C.
TOLERANCE_C = 1.0


def judged(rounds: Sequence[Round], start_c: float | None = None, *, company: bool = True) -> tuple[Round, ...]:
    """Return the rounds of a cell, each with the reason why it does not count, "" where it does.

    Args:
        rounds: of one cell; a clock is held against the highest of them, so that the verdict on a round may change
            when another one is added.
        start_c: temperature above which no round should have begun.
        company: whether a shared processor voids a round.
    """
    usual = max((clock for entry in rounds if (clock := clock_mhz(entry)) is not None), default=None)
    return tuple(entry.model_copy(update={"tainted": _why(entry, usual, start_c, company)}) for entry in rounds)


def clean(rounds: Sequence[Round]) -> list[Round]:
    """Return the rounds that went well and count."""
    return [entry for entry in rounds if entry.outcome is Outcome.OK and not entry.tainted]


def clock_mhz(entry: Round) -> float | None:
    """Return the median clock while a round ran; the reading after it where the round was too short for one."""
    during = [v.clock_mhz for v in entry.vitals if v.when == "during" and v.clock_mhz is not None]
    after = [v.clock_mhz for v in entry.vitals if v.when == "after" and v.clock_mhz is not None]
    return statistics.percentile(during or after, 50) if during or after else None


def _why(entry: Round, usual: float | None, start_c: float | None, company: bool) -> str:
    if entry.outcome is not Outcome.OK:
        return ""
    return "; ".join(filter(None, (_heat(entry, start_c), _clock(entry, usual), _company(entry) if company else "")))


def _heat(entry: Round, start_c: float | None) -> str:
    if any(vitals.throttled for vitals in entry.vitals if vitals.when != "before"):
        return "throttled"
    before = max((v.temperature_c for v in entry.vitals if v.when == "before" and v.temperature_c), default=None)
    if start_c is not None and before is not None and before > start_c + TOLERANCE_C:
        return f"as throttled: it began at {before:.0f} °C, asked was {start_c:.0f} °C"
    return ""


def _clock(entry: Round, usual: float | None) -> str:
    during = [v.clock_mhz for v in entry.vitals if v.when == "during" and v.clock_mhz]
    if during and min(during) < (1 - CLOCK_MOVED) * max(during):
        return f"the clock moved between {min(during):.0f} and {max(during):.0f} MHz"
    clock = clock_mhz(entry)
    if clock is not None and usual and during and clock < (1 - CLOCK_MOVED) * usual:
        return f"the clock was {clock:.0f} MHz, in another round {usual:.0f} MHz"
    return ""


def _company(entry: Round) -> str:
    if entry.waited_share is not None and entry.waited_share > SHARED:
        return f"other processes had its processor for {entry.waited_share:.0%} of the time".replace("%", " %")
    if entry.stolen_share is not None and entry.stolen_share > SHARED:
        return f"the hypervisor took {entry.stolen_share:.0%} of its processor".replace("%", " %")
    return ""
