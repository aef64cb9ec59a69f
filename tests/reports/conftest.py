"""The drawn run, made once a session: it is immutable."""

from __future__ import annotations

import pytest

from reports.records import Run
from tests.reports import synthetic


@pytest.fixture(scope="session")
def drawn() -> tuple[Run, synthetic.Arrays]:
    """Return the drawn run and its frame times by file name."""
    return synthetic.a_run()


@pytest.fixture(scope="session")
def run(drawn: tuple[Run, synthetic.Arrays]) -> Run:
    """Return the drawn run."""
    return drawn[0]
