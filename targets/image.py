"""Images of machines: a kernel, what it starts with and a root disk, as one folder that is never written to again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgerig.errors import HostError, TargetRefused

INDEX = "MACHINE.json"
KERNEL, INITRAMFS, ROOT = "kernel", "initramfs", "root.ext4"


class Package(BaseModel):
    """A package of Debian that an image is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    sha256: str


class Contents(BaseModel):
    """What an image is made of; its digest is the image's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str  # digest of our own part: scripts, options
    machine: str  # as `uname -m` says it
    debian: str
    kernel: str  # version
    bundle: str  # name of the bundle that the device finds there
    packages: tuple[Package, ...]


class Image(BaseModel):
    """An image that is here: MACHINE.json in its folder.

    Attributes:
        name: of its folder, which says what it is made of.
        bytes: on this machine's disk.
        built: when, UTC, ISO 8601.
        contents: what it is made of.
        path: its folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes: int
    built: str
    contents: Contents
    path: Path = Field(default=Path(), exclude=True)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the image in a folder; raises HostError."""
        try:
            found = cls.model_validate_json((folder / INDEX).read_bytes())
        except (OSError, ValidationError) as error:
            raise HostError(
                f"{folder} is no machine's image: {error}", "Remove it, then: edgerig machine build"
            ) from error
        return found.model_copy(update={"path": folder})


def folder(devices: Path) -> Path:
    """Return the folder of images: $EDGERIG_MACHINES, or beside the folders of devices.

    No target's name begins with a dot.
    """
    return Path(os.environ.get("EDGERIG_MACHINES") or devices / ".machines")


def found(folder: Path) -> list[Image]:
    """Return the images in a folder, the newest first; raises HostError where one is damaged."""
    images = [Image.read(index.parent) for index in folder.glob(f"*/{INDEX}")]
    return sorted(images, key=lambda image: image.built, reverse=True)


def newest(folder: Path, machine: str) -> Image:
    """Return the newest image for an architecture; raises TargetRefused where there is none."""
    for image in found(folder):
        if image.contents.machine == machine:
            return image
    raise TargetRefused(
        f"there is no machine for {machine} here that could be booted.", "Build one: edgerig machine build"
    )
