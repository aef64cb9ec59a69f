"""The gate before a round: a device that is too hot waits, within a limit; what then is the profile's to say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.devices.session import Session
from harness.measuring import watch
from targets.profile import Target

LOOK_S = 5.0  # between looks at a device that cools: a Raspberry Pi with a heat sink loses about 1 °C in it


@dataclass
class Gate:
    """Lets a round begin when the device is cool enough.

    Attributes:
        target: whose profile says how cool, and how long to wait.
        session: with the device.
        told: given what is waited for.
        pause: sleeps; may raise to end the waiting.
        clock: seconds.
    """

    target: Target
    session: Session
    told: Callable[[str], object]
    pause: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def passed(self) -> bool:
        """Wait until the device is cool enough and return True; False where it is not and rounds are left out."""
        heat = self.target.settings.heat
        if heat is None:
            return True
        until = self.clock() + heat.wait_s
        while (degrees := self.temperature_c()) is not None and degrees > heat.start_c:
            if self.clock() >= until:
                return heat.otherwise == "as-throttled"
            self.told(f"cooling: {degrees:.0f} °C, a round begins at {heat.start_c:.0f} °C")
            self.pause(min(LOOK_S, max(0.0, until - self.clock())))
        return True

    def temperature_c(self) -> float | None:
        """Return the hottest sensor's reading in °C; None where nothing tells."""
        sample = self.session.look(watch.asked(self.target))
        if sample is None:
            return None
        return next(watch.readings(self.target, [sample])).temperature_c
