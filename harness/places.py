"""Where edgerig keeps what it can make again: packed faces, packed agents, the folders of local devices."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache() -> Path:
    """Return the cache folder: $EDGERIG_CACHE, or the user's own."""
    return Path(os.environ.get("EDGERIG_CACHE") or platformdirs.user_cache_path("edgerig"))


def packs() -> Path:
    """Return the folder of packed faces."""
    return cache() / "packs"


def agents() -> Path:
    """Return the folder of packed agents."""
    return cache() / "agents"


def devices() -> Path:
    """Return the folder under which devices that are this machine have theirs."""
    return cache() / "devices"


def models() -> Path:
    """Return the folder of model files, by content, that a later run may be compared with."""
    return cache() / "models"


def cells() -> Path:
    """Return the folder of what emulated cells gave, by all that it depends upon."""
    return cache() / "cells"


def wheels() -> Path:
    """Return the folder of wheels that were found for devices."""
    return cache() / "wheels"


def bundles() -> Path:
    """Return the folder of bundles: $EDGERIG_BUNDLES, or in the cache."""
    return Path(os.environ.get("EDGERIG_BUNDLES") or cache() / "bundles")


def debian() -> Path:
    """Return the folder of packages of Debian, and of the apt state that finds them."""
    return cache() / "debian"


def zoo() -> Path:
    """Return the folder of what the steps of recipes gave, by all that it depends upon."""
    return cache() / "zoo"


def drawn() -> Path:
    """Return the folder of faces that were drawn to train on."""
    return cache() / "drawn"
