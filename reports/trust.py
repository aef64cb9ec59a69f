"""How far a cell's times may be relied upon: which rounds count, and the verdict with reason and next step.

Several labels may hold at once; the first of these that does is given, from what voids a time to what only
leaves a doubt:

    emulated       the clock timed an emulator: not a time of any device
    throttled      the device slowed itself down in a round that counts, or left too few rounds that do
    under-sampled  a quick run, or fewer rounds or frames than the method's floor: no interval holds
    noisy          p50's interval is wider than NOISY times the half-width asked for
    unwatched      neither clock nor temperature nor a throttle flag could be read, so heat is not ruled out
    trusted        none of these
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reports.records import Method, Metric, Outcome, Round, Trust, Verdict
from reports.statistics import Interval, relative_half_width

# Measuring stops at the half-width asked for or at the end of the budget, so that many cells end just above
# it by chance, and a label that comes and goes by chance is soon ignored. The width itself is printed beside
# every p50; the label is for those at which near variants can no longer be ranked.
NOISY = 2.0


def counted(rounds: Sequence[Round]) -> list[Round]:
    """Return the rounds whose times count: those that went well and are untainted.

    Where every round that went well is tainted, all of those: a time that is marked is better than none.
    """
    good = [entry for entry in rounds if entry.outcome is Outcome.OK]
    return [entry for entry in good if not entry.tainted] or good


def verdict(rounds: Sequence[Round], method: Method, p50: Metric | None, emulated: bool) -> Verdict | None:
    """Return the trust in a cell's times, None where no time was measured.

    Args:
        rounds: all rounds of the cell, also those that do not count.
        method: the floors and the half-width that were asked for.
        p50: end-to-end p50 with its interval; n is the number of frames.
        emulated: whether the target is an emulator.
    """
    used = counted(rounds)
    if p50 is None or p50.value is None or not used:
        return None
    return (
        _emulated(emulated)
        or _throttled(rounds, used, method)
        or _under_sampled(rounds, used, method, p50.n)
        or _noisy(used, method, p50)
        or _unwatched(used)
        or Verdict(trust=Trust.TRUSTED, reason=_trusted_reason(used, p50))
    )


def half_width(metric: Metric | None) -> float | None:
    """Return the relative half-width of a metric's interval on a log scale; None where it has none."""
    if metric is None or not metric.ci_low or metric.ci_high is None:
        return None
    return relative_half_width(Interval(metric.ci_low, metric.ci_high))


def _emulated(emulated: bool) -> Verdict | None:
    if not emulated:
        return None
    return Verdict(
        trust=Trust.EMULATED,
        reason="times are those of an emulator; scores, crashes and counts are valid",
        next_step="measure on the device itself",
    )


def _throttled(rounds: Sequence[Round], used: Sequence[Round], method: Method) -> Verdict | None:
    seen = [entry for entry in used if any(vitals.throttled for vitals in entry.vitals)]
    tainted = [entry for entry in rounds if entry.outcome is Outcome.OK and "throttl" in entry.tainted.lower()]
    hot = {entry.number for entry in (*seen, *tainted)}
    if not hot or (not seen and len(used) >= method.rounds_min and not used[0].tainted):
        return None
    return Verdict(
        trust=Trust.THROTTLED,
        reason=f"{len(hot)} of {_count(rounds, 'round')} throttled{_hottest(rounds)}",
        next_step="cool the device, or let it rest longer between rounds",
    )


def _under_sampled(rounds: Sequence[Round], used: Sequence[Round], method: Method, frames: int) -> Verdict | None:
    whole = len(rounds) >= method.rounds_min  # then a resume has nothing to measure
    step = "quiet the device (governor, other processes) and run it again" if whole else "resume the run"
    has = f"{_count(used, 'round')} and {frames} frames"
    if method.setting == "quick":
        reason, step = f"a quick run: {has}", "run again without --quick"
    elif len(used) < method.rounds_min:
        reason = f"{has} count, the floor is {method.rounds_min} rounds"
    elif frames < len(used) * method.round_frames:
        reason = f"{has} count, the floor is {method.round_frames} frames a round"
    else:
        return None
    return Verdict(trust=Trust.UNDER_SAMPLED, reason=reason, next_step=step)


def _noisy(used: Sequence[Round], method: Method, p50: Metric) -> Verdict | None:
    taints = sorted({entry.tainted for entry in used if entry.tainted})
    if taints:
        reason = f"all of {_count(used, 'round')} are tainted: {_worst(taints)}"
        return Verdict(trust=Trust.NOISY, reason=reason, next_step="end what else runs on the device")
    width = half_width(p50)
    if width is not None and width <= NOISY * method.half_width:
        return None
    reach = "p50 has no interval" if width is None else f"p50 is known to ±{width:.1%}".replace("%", " %")
    asked = f"{method.half_width:.2%}".rstrip("0%").rstrip(".")
    return Verdict(
        trust=Trust.NOISY,
        reason=f"{reach} from {_count(used, 'round')}, asked was ±{asked} %",
        next_step=f"quiet the device (governor, other processes){_larger_budget(used, method, width)}",
    )


def _worst(taints: Sequence[str]) -> str:
    """Return one of several reasons, as they often differ in a number only; which is the worst is not compared."""
    more = len(taints) - 1
    return taints[-1] + (f" (and {more} like it)" if more else "")


def _larger_budget(used: Sequence[Round], method: Method, width: float | None) -> str:
    """Return what the asked width would cost: an interval's width goes down with the square root of the rounds."""
    if width is None:
        return ""
    needed = math.ceil(round(len(used) * (width / method.half_width) ** 2, 3))
    seconds = needed * sum(entry.seconds for entry in used) / len(used)
    return f", or give the cell about {needed} rounds: --budget {math.ceil(seconds)}"


def _unwatched(used: Sequence[Round]) -> Verdict | None:
    readings = (
        reading
        for entry in used
        for vitals in entry.vitals
        for reading in (vitals.clock_mhz, vitals.temperature_c, vitals.throttled)
    )
    if any(reading is not None for reading in readings):
        return None
    return Verdict(
        trust=Trust.UNWATCHED,
        reason="neither clock nor temperature could be read, so a throttled device would not show",
        next_step="name files or commands for the clock and the temperature in the target's profile",
    )


def _trusted_reason(used: Sequence[Round], p50: Metric) -> str:
    width = half_width(p50)
    reach = "" if width is None else f", p50 to ±{width:.1%}".replace("%", " %")
    return f"{_count(used, 'round')}, {p50.n} frames{reach}"


def _hottest(rounds: Sequence[Round]) -> str:
    known = [v.temperature_c for entry in rounds for v in entry.vitals if v.temperature_c is not None]
    return f", up to {max(known):.0f} °C" if known else ""


def _count(entries: Sequence[object], noun: str) -> str:
    return f"{len(entries)} {noun}" + ("s" if len(entries) != 1 else "")
