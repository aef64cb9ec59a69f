"""What a test needs of its machine: without it a test is skipped, or fails where the gate says that nothing may be."""

from __future__ import annotations

import os
import shutil

import pytest

from edgerig.errors import TargetRefused
from harness.stock import bundle as bundles
from harness.stock.bundle import Bundle
from harness.stock.machine import machines_folder
from targets import image
from targets.image import Image


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


def bundle(machine: str = "aarch64") -> Bundle:
    """Return the bundle that a target gets, built here before; tests build none, for that needs Debian and an index."""
    try:
        return bundles.best(machine, bundles.DEFAULT_RUNTIMES)
    except TargetRefused as error:
        require(False, f"{error.message} {error.hint}")
        raise


def machine(architecture: str = "aarch64") -> Image:
    """Return the newest image of a machine that was built here before."""
    require("qemu-system-aarch64", "qemu-system-arm is missing")
    found = [entry for entry in image.found(machines_folder()) if entry.contents.machine == architecture]
    require(found, f"there is no machine for {architecture}: edgerig machine build")
    return found[0]
