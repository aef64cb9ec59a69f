"""The faces of a build: train and validation. Test faces are dropped at the door and none of their pictures is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from edgerig.errors import FaceSetError
from model_zoo import faceset
from model_zoo.faceset import LABELS, FaceSet
from model_zoo.ladder.fidelity import Faces
from model_zoo.manifest import Input
from model_zoo.pictures import Pictures


class TrainingFaces:
    """Train and validation faces of a set.

    Args:
        everything: a face set with splits.

    Raises:
        FaceSetError: it has no splits, no training or no validation faces, or only one label in either.
    """

    def __init__(self, everything: FaceSet) -> None:
        if not any(face.split for face in everything.faces):
            raise FaceSetError(
                f"{everything.source} has no splits, so that training would use the faces that are measured.",
                "Add a column 'split' to labels.csv: train, val and test, by group.",
            )
        self.name, self.synthetic, self.note = everything.name, everything.synthetic, everything.note
        self.train, self.val = everything.split("train"), everything.split("val")
        for name, part in (("train", self.train), ("val", self.val)):
            faceset.require_both_labels(part, name)

    @cached_property
    def key(self) -> str:
        """Digest of the pictures and labels that are used; test faces do not change it."""
        digest = hashlib.sha256()
        for part in (self.train, self.val):
            pictures = Pictures(part)
            for face in part.faces:
                digest.update(repr((face.label, face.category, face.group, face.split)).encode())
                digest.update(hashlib.sha256(pictures.encoded(face)).digest())
        return digest.hexdigest()

    def require_pictures(self, progress: Callable[[int], object] = bool) -> None:
        """Raise FaceSetError, naming them, where pictures cannot be decoded; `progress` is given how many were."""
        for part, before in ((self.train, 0), (self.val, len(self.train.faces))):
            pictures = Pictures(part)
            pictures.each(pictures.decoded, _from(before, progress))

    @cached_property
    def paired(self) -> bool:
        """Whether a group of the training faces has an original and a fake of it."""
        labels: dict[str, set[str]] = {}
        for face in self.train.faces:
            labels.setdefault(face.group, set()).add(face.label)
        return any(len(found) > 1 for found in labels.values())

    def calibration(self, count: int, seed: int, spec: Input) -> Faces:
        """Return about so many training faces, both labels in their share, as the model is fed them."""
        return Faces(self.train.sample(count, seed), spec.spec())

    def balanced(self, count: int, seed: int, spec: Input) -> Faces:
        """Return so many training faces drawn at random, real and fake in turn, as the model is fed them.

        Where a label has too few of them, all of it come more than once.
        """
        random = np.random.default_rng(seed)
        drawn = []
        for label in LABELS:
            these = [face for face in self.train.faces if face.label == label]
            drawn.append([these[place] for place in np.resize(random.permutation(len(these)), count // 2)])
        turns = tuple(face for pair in zip(*drawn, strict=True) for face in pair)
        return Faces(replace(self.train, faces=turns), spec.spec())

    def validation(self, spec: Input, count: int | None = None, seed: int = 0) -> Faces:
        """Return the validation faces, or about so many of them, as the model is fed them."""
        return Faces(self.val.sample(count, seed) if count else self.val, spec.spec())


def _from(before: int, progress: Callable[[int], object]) -> Callable[[int], object]:
    return lambda done: progress(before + done)
