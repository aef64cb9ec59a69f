"""One way to say in what numbers a model computes, for all runtimes."""

from __future__ import annotations

from typing import Iterable

# Runtimes' words -> numpy's, and "bfloat16", which numpy has not. int8 is what quantized means, signed or not.
WORDS = {
    "f64": "float64",
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "i8": "int8",
    "u8": "int8",
    "uint8": "int8",
    "i4": "int4",
    "u4": "int4",
}
ORDER = ("float64", "float32", "bfloat16", "float16", "int16", "int8", "int4")


def told(computed: Iterable[str], held: Iterable[str] = ()) -> str:
    """Return the types of what operators answer, the widest first, and of the weights where those are narrower.

    Types that do no arithmetic on pixels, such as int64 of shapes, are left out: "float32", "float32, int8",
    "float32, weights int8". "as modelled" where none is known.
    """
    answers, weights = ([WORDS.get(word, word) for word in words] for words in (computed, held))
    known = [name for name in ORDER if name in answers]
    narrower = [name for name in ORDER if name in weights and known and ORDER.index(name) > ORDER.index(known[-1])]
    return ", ".join([*known, *(f"weights {name}" for name in narrower[-1:])]) or "as modelled"
