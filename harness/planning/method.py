"""The method's numbers, in one place: how many rounds, of how many frames, for how long."""

from __future__ import annotations

from typing import Literal

from reports.records import Method

VERSION = 1
HALF_WIDTH = 0.01  # asked of p50's interval, relative
QUICK_FACES = 200
EMULATED_FACES = 64
MEMORY_FRAMES = 16
REALTIME_S = 10.0  # of frames as cameras send them: 300 at 30 a second carry a 95th percentile

# Rounds, frames and seconds of a round, frames and seconds of its warm-up.
_SETTINGS: dict[str, tuple[int, int, float, int, float]] = {
    "default": (5, 64, 1.0, 10, 0.5),
    "quick": (2, 16, 0.25, 10, 0.5),
    "full": (5, 1024, 60.0, 10, 0.5),
}


def method(
    setting: Literal["default", "quick", "full"],
    budget_s: float,
    fewest: int | None = None,
    half_width: float = HALF_WIDTH,
) -> Method:
    """Return the numbers of a setting, with more rounds where more are asked for than it has."""
    rounds, frames, seconds, warmup_frames, warmup_s = _SETTINGS[setting]
    return Method(
        version=VERSION,
        setting=setting,
        rounds_min=max(fewest or 0, rounds),
        round_frames=frames,
        round_s=seconds,
        warmup_frames=warmup_frames,
        warmup_s=warmup_s,
        half_width=half_width,
        budget_s=budget_s,
    )


def emulated(plan: Method) -> Method:
    """Return the numbers for an emulator, whose scores and counts are valid and whose times are not."""
    frames = {"round_frames": 8, "round_s": 0.0, "warmup_frames": 3, "warmup_s": 0.0}
    return plan.model_copy(update={"setting": "emulated", "rounds_min": 1, **frames})


def counting(plan: Method) -> Method:
    """Return the numbers for an emulator that counts instructions.

    The first eight frames take up to 3e-4 more than those that follow, as caches of the runtime and pages of memory
    fill; of 8 frames that count, the median moved by up to 3e-4 from process to process, of 24 by up to 1e-4.
    """
    return emulated(plan).model_copy(update={"round_frames": 48, "warmup_frames": 8})


def slower(plan: Method) -> float:
    """Return how many times as long as elsewhere a process takes under an emulator, roughly: for what is foreseen."""
    return 5.0 if plan.setting == "emulated" else 1.0


def goes_on(plan: Method) -> bool:
    """Return whether rounds go on beyond the fewest while p50 is not known well enough."""
    return plan.setting in ("default", "full")
