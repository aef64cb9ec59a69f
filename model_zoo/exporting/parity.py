"""Whether a file answers as what it was made from; what does not is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerig.errors import ModelError
from model_zoo.ladder.fidelity import Bound, loss

Array = NDArray[Any]

FACES = 64
TOLERANCE = 1e-3
"""Of the largest answer: in float32 the three runtimes differ from torch by 1e-6 of it on a trained MobileNetV3-small,
by 3e-5 at most on eight more backbones, and weights of a stem that are wrong by a hundredth by more than this."""

ROUNDED = Bound(auc_drop=0.02, flips=0.05)


@dataclass(frozen=True)
class Parity:
    """How far a float file is from the net that it was made from, on the same pictures.

    Attributes:
        faces: how many pictures.
        difference: the largest between two answers, as a share of the largest answer.
        flips: decisions that differ, of those that rounding alone could not turn.
    """

    faces: int
    difference: float
    flips: int


def compared(own: Array, net: Array) -> Parity:
    """Return how far answers [faces, outputs] are from those of the net; two outputs, the larger one is decided."""
    if own.shape != net.shape:
        raise ModelError(f"the file answers {own.shape[1]} numbers a picture and the net {net.shape[1]}.")
    largest = float(np.max(np.abs(net))) or 1.0
    gaps = own - net
    margins = net[:, 1] - net[:, 0]
    decided = np.abs(margins) > 2 * TOLERANCE * largest
    flips = int(np.sum(decided & ((own[:, 1] >= own[:, 0]) != (margins >= 0))))
    return Parity(len(own), float(np.max(np.abs(gaps))) / largest, flips)


def require(own: Array, net: Array, what: str) -> Parity:
    """Return how far a file is from its net.

    Raises:
        ModelError: that is too far, or the file answers what is no number.
    """
    if not np.all(np.isfinite(own)):
        raise ModelError(f"{what} answers NaN or infinity: it was not written.")
    found = compared(own, net)
    if found.difference > TOLERANCE or found.flips:
        raise ModelError(
            f"{what} disagrees with the net that it was made from: answers differ by {found.difference:.2g} of the "
            f"largest ({TOLERANCE:g} is allowed), {found.flips} of {found.faces} decisions flip; it was not written.",
            "The exporter does not render this net rightly: try another format.",
        )
    return found


def require_decisions(own: Array, net: Array, labels: Array, what: str) -> None:
    """Hold a file of whole numbers against the net that was trained with them.

    Both round at every layer, and where one rounds up and the other down the next layers carry it on: on a
    MobileNetV3-small one in five of the last activations was another level, and 1 of 200 decisions turned.

    Args:
        own: scores of the file, [faces].
        net: scores of the net.
        labels: True for fakes.
        what: the file, for the error.

    Raises:
        ModelError: more than a few decisions turn, or the AUC is another.
    """
    found = loss(own, net, labels, 0.5, ROUNDED)
    if found.reason:
        raise ModelError(
            f"{what} disagrees with the net that was trained for it: {found.reason}; it was not written.",
            "Train longer with a smaller rate: its answers depend on how the last digit is rounded.",
        )
