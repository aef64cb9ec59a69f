"""The packed file: as long as its plan says, and what comes out is what went in."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerig.errors import ModelError
from model_zoo.defakeq import packing
from model_zoo.defakeq.packing import Coded, Entry

LEVELS = {2: 1, 4: 7, 8: 127}


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
        bits = draw(st.sampled_from([2, 4, 8, 16, 32]))
        kept = draw(st.sets(st.integers(0, shape[0] - 1))) if bits in packing.CODED else set()
        found.append(Entry(f"blocks.{number}.wärme", shape, bits, tuple(sorted(kept))))
    return found


def _values(entry: Entry, random: np.random.Generator) -> tuple[Coded | packing.Floats, packing.Floats]:
    """Return random values of an entry and the tensor that they make."""
    floats = random.normal(size=entry.shape).astype(np.float16).astype(np.float32)
    if entry.bits not in packing.CODED:
        return floats, floats
    most = LEVELS[entry.bits]
    codes = random.integers(-most, most + 1, entry.shape).astype(np.int8)
    scales = random.uniform(0.01, 1, entry.shape[0]).astype(np.float16).astype(np.float32)
    whole = codes.astype(np.float32) * scales.reshape(-1, *[1] * (len(entry.shape) - 1))
    kept = list(entry.kept)
    whole[kept] = floats[kept]
    return Coded(codes, scales, floats[kept]), whole


@settings(max_examples=60, deadline=None)
@given(entries(), st.integers(0, 1000))
def test_a_file_has_the_size_that_was_reckoned_and_gives_back_what_it_was_given(listed: list[Entry], seed: int) -> None:
    random = np.random.default_rng(seed)
    made = {entry.name: _values(entry, random) for entry in listed}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        packing.write(path, listed, {name: stored for name, (stored, _) in made.items()})
        assert path.stat().st_size == packing.size(listed)
        found = packing.read(path)
    assert list(found) == [entry.name for entry in listed]
    for name, (_, whole) in made.items():
        np.testing.assert_array_equal(found[name], whole, strict=True)


def test_few_bits_take_few_bytes() -> None:
    sizes = {bits: Entry("w", (64, 64), bits).bytes for bits in (2, 4, 8, 16)}
    assert [sizes[bits] - sizes[2] for bits in (4, 8)] == [64 * 64 // 4, 64 * 64 * 3 // 4]
    assert (
        Entry("w", (64, 64), 2, kept=(5,)).bytes - sizes[2] == 4 + 64 * 2 - 2 - 64 // 4
    )  # number, halves; scale, codes


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-1], "ends in the middle"),
        (lambda data: data[:5], "ends in the middle"),
        (lambda data: data + b"x", "goes on after"),
        (lambda data: b"PK" + data[2:], "no packed file"),
        (lambda data: data[:8] + b"\x03" + data[9:], "3 bits"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, damage, said: str) -> None:  # type: ignore[no-untyped-def]
    entry = Entry("w", (3, 4), 4)
    path = tmp_path / "weights"
    packing.write(path, [entry], {"w": _values(entry, np.random.default_rng(0))[0]})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=said):
        packing.read(path)
