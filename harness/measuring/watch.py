"""What is watched of a device: what its profile asks for, in the agent's words, and what came back, as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.agent import protocol
from reports.records import Vitals
from targets import vitals
from targets.profile import Target


def asked(target: Target) -> list[protocol.Vital]:
    """Return the readings that a target's profile asks for."""
    return [
        protocol.Vital(name, vital.file, list(vital.command) if vital.command else None, vital.during)
        for name, vital in target.settings.vitals.items()
    ]


def readings(target: Target, samples: Iterable[protocol.VitalSample]) -> Iterator[Vitals]:
    """Yield the readings of each sample."""
    parsers = {name: vital.parser for name, vital in target.settings.vitals.items()}
    for sample in samples:
        reading = vitals.parsed(sample.texts, parsers)
        yield Vitals.model_validate({"when": sample.when, "seconds": sample.seconds, **reading})
