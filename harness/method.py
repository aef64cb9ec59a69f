"""The method's numbers, in one place: how many rounds, of how many frames, for how long."""

from __future__ import annotations

from typing import Literal

from reports.records import Method

VERSION = 1
HALF_WIDTH = 0.01  # asked of p50's interval, relative
QUICK_FACES = 200
MEMORY_FRAMES = 16

# Rounds, frames and seconds of a round, frames and seconds of its warm-up.
_SETTINGS: dict[str, tuple[int, int, float, int, float]] = {
    "default": (5, 64, 1.0, 10, 0.5),
    "quick": (2, 16, 0.25, 10, 0.5),
    "full": (5, 1024, 60.0, 10, 0.5),
}


def method(setting: Literal["default", "quick", "full"], budget_s: float) -> Method:
    """Return the numbers of a setting."""
    rounds, frames, seconds, warmup_frames, warmup_s = _SETTINGS[setting]
    return Method(
        version=VERSION,
        setting=setting,
        rounds_min=rounds,
        round_frames=frames,
        round_s=seconds,
        warmup_frames=warmup_frames,
        warmup_s=warmup_s,
        half_width=HALF_WIDTH,
        budget_s=budget_s,
    )
