"""What a test needs of its machine: without it a test is skipped, or fails where the gate says that nothing may be."""

from __future__ import annotations

import os
import shutil

import pytest


def require(there: object, why: str) -> None:
    """Go on where `there` is true; else skip the test, or fail it under EDGERIG_NO_SKIP=1.

    Args:
        there: a condition, or the name of a program that must be on the PATH.
        why: what is missing, as a sentence.
    """
    if shutil.which(there) if isinstance(there, str) else there:
        return
    if os.environ.get("EDGERIG_NO_SKIP") == "1":
        pytest.fail(f"{why} (EDGERIG_NO_SKIP=1)", pytrace=False)
    pytest.skip(why)
