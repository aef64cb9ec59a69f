"""Faces drawn by a program: a set of real and forged portraits that needs no photograph and no licence.

They are stylised avatars, never taken for photographs: good for trying the rig and for comparing variants
of one net, and no evidence of accuracy on people. A sample is a pure function of (seed, index, category).
"""

from __future__ import annotations

from model_zoo.drawn.packing import write_set
from model_zoo.drawn.samples import CATEGORIES, REAL, Traits, draw, traits

__all__ = ["CATEGORIES", "REAL", "Traits", "draw", "traits", "write_set"]
