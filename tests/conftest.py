"""Fixtures for all rooms: a cache of the session's own, and a small face set."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import places
from harness.stock import machine
from tests.support import faces as small_faces


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep packs, agents and local devices of the tests away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGERIG_BUNDLES", str(places.bundles()))  # built before: tests only read them
        patch.setenv("EDGERIG_MACHINES", str(machine.machines_folder()))
        patch.setenv("EDGERIG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _can_be_interrupted() -> None:
    """Hear SIGINT, and have the processes of the tests hear it: a shell has what it starts with "&" ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with real/ and fake/, 20 pictures each; see tests.support.faces. Not to be written to."""
    return small_faces.make(tmp_path_factory.mktemp("faces") / "small", 40)
