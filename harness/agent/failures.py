"""What can go wrong in a measurement, as outcomes of the protocol, and how an exception becomes one sentence.

OutcomeError
├── FailedError         "failed": the model, its manifest or the faces are at fault
└── UnsupportedError    "unsupported": this device cannot do what is asked
"""

from __future__ import annotations

import errno

LONGEST = 400  # characters of a reason: it ends up in a table's cell
MEMORY_WORDS = ("bad_alloc", "Cannot allocate memory", "Failed to allocate memory", "failed to map segment")


class OutcomeError(Exception):
    """Ends a measurement with an outcome and its reason."""

    outcome = "failed"


class FailedError(OutcomeError):
    """The model, its manifest or the faces are at fault."""


class UnsupportedError(OutcomeError):
    """This device cannot do what is asked."""

    outcome = "unsupported"


def sentence(error: object) -> str:
    """Return what `error` says as one line of bounded length."""
    said = str(error) if not isinstance(error, KeyError) else f"{error} is missing"
    text = " ".join(said.split()) or type(error).__name__
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def explain(error: BaseException) -> tuple[str, str]:
    """Return the outcome and the reason that an exception stands for."""
    if isinstance(error, OutcomeError):
        return error.outcome, sentence(error)
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return "out-of-memory", "no memory was left to allocate"
    if any(word in str(error) for word in MEMORY_WORDS):
        return "out-of-memory", sentence(error)
    return "failed", sentence(f"{type(error).__name__}: {error}")
