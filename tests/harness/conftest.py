"""A workplace for commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.command import Workplace


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """Return an empty folder to run commands in."""
    return Workplace(tmp_path)
