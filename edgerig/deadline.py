"""Deadlines, not timeouts: one object that is passed down, so that the parts share what is left."""

from __future__ import annotations

import math
import time


class Deadline:
    """A moment on the monotonic clock after which waiting is pointless.

    Args:
        seconds: from now; None never expires.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._end = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def remaining(self) -> float | None:
        """Seconds left, never below 0; None where there is no end (what `select` and friends take)."""
        return None if math.isinf(self._end) else max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return time.monotonic() >= self._end

    def sooner(self, seconds: float) -> Deadline:
        """Return a deadline `seconds` from now, but no later than this one."""
        earlier = Deadline(seconds)
        earlier._end = min(earlier._end, self._end)
        return earlier
