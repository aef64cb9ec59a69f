"""The packed file: what the weights of a net take when each has the bits that it was given, and nothing is left out.

All numbers are little-endian. A file is a head and one entry after the other until its end:

    head     "EDGQ", u16 version (1), u16 number of entries
    entry    u8 bits, u8 dimensions, u16 length of the name, u32 kept channels; the name in UTF-8; u32 sizes, output
             channels first; u32 kept channels; and then
      bits 2, 4, 8   f16 scales of the channels that are not kept; their codes, two's complement, the first in the
                     lowest bits, one channel after the other without gaps, filled up to a whole byte at the end;
                     f16 weights of the kept channels
      bits 16, 32    the values as f16 or f32

A weight is its code times the scale of its channel. Nothing here needs torch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerig import files
from edgerig.errors import ModelError

MAGIC = b"EDGQ"
VERSION = 1
CODED = (2, 4, 8)
_HEAD, _ENTRY = struct.Struct("<4sHH"), struct.Struct("<BBHI")
_FLOATS: dict[int, np.dtype[Any]] = {16: np.dtype("<f2"), 32: np.dtype("<f4")}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Entry:
    """How one tensor is stored.

    Attributes:
        name: of the tensor in the net.
        shape: its sizes, output channels first.
        bits: of a value: 2, 4 or 8 for codes with scales, 16 or 32 for floats.
        kept: output channels that stay float16, rising; of codes only.
    """

    name: str
    shape: tuple[int, ...]
    bits: int
    kept: tuple[int, ...] = ()

    @property
    def coded(self) -> list[int]:
        """The output channels that are not kept."""
        return [channel for channel in range(self.shape[0]) if channel not in set(self.kept)]

    @property
    def row(self) -> int:
        """Values of one output channel."""
        return int(np.prod(self.shape[1:], dtype=np.int64))

    @property
    def bytes(self) -> int:
        """What it takes in the file, its own description included."""
        described = _ENTRY.size + len(self.name.encode()) + 4 * (len(self.shape) + len(self.kept))
        if self.bits not in CODED:
            return described + int(np.prod(self.shape, dtype=np.int64)) * self.bits // 8
        rows, kept = self.shape[0] - len(self.kept), len(self.kept)
        return described + 2 * rows + -(-rows * self.row * self.bits // 8) + 2 * kept * self.row


@dataclass(frozen=True)
class Coded:
    """Values of an entry with codes.

    Attributes:
        codes: int8, of the entry's shape; what stands in kept channels is not stored.
        scales: float [output channels], each a number that float16 holds.
        kept: float weights of the kept channels, [kept, ...], each a number that float16 holds.
    """

    codes: NDArray[np.int8]
    scales: Floats
    kept: Floats


def size(entries: Sequence[Entry]) -> int:
    """Return the size of a file of such entries, in bytes."""
    return _HEAD.size + sum(entry.bytes for entry in entries)


def write(path: Path, entries: Sequence[Entry], values: Mapping[str, Coded | Floats]) -> None:
    """Write a packed file; raises OutputError or DiskFull.

    Args:
        path: of the file.
        entries: what is in it, in this order.
        values: of each entry, by its name: Coded where its bits are 2, 4 or 8.
    """
    parts = [_HEAD.pack(MAGIC, VERSION, len(entries))]
    for entry in entries:
        value = values[entry.name]
        parts += [_described(entry), _coded(entry, value) if isinstance(value, Coded) else _plain(entry, value)]
    files.write(path, b"".join(parts))


def _described(entry: Entry) -> bytes:
    name = entry.name.encode()
    head = _ENTRY.pack(entry.bits, len(entry.shape), len(name), len(entry.kept))
    return head + name + struct.pack(f"<{len(entry.shape) + len(entry.kept)}I", *entry.shape, *entry.kept)


def _plain(entry: Entry, values: Floats) -> bytes:
    return np.asarray(values).astype(_FLOATS[entry.bits]).tobytes()


def _coded(entry: Entry, value: Coded) -> bytes:
    half = _FLOATS[16]
    packed = _packed(value.codes[entry.coded].reshape(-1), entry.bits)
    return value.scales[entry.coded].astype(half).tobytes() + packed + value.kept.astype(half).tobytes()


def _packed(codes: NDArray[np.int8], bits: int) -> bytes:
    """Return codes of so many bits side by side."""
    each = 8 // bits
    filled = np.zeros(-(-len(codes) // each) * each, np.uint8)
    filled[: len(codes)] = codes.view(np.uint8) & (2**bits - 1)
    shifted = filled.reshape(-1, each) << (np.arange(each, dtype=np.uint8) * bits)
    joined: NDArray[np.uint8] = np.bitwise_or.reduce(shifted, axis=1).astype(np.uint8)
    return joined.tobytes()


def _unpacked(data: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.int16]:
    each = 8 // bits
    small = (data[:, None] >> (np.arange(each, dtype=np.uint8) * bits)) & (2**bits - 1)
    found: NDArray[np.int16] = small.astype(np.int16).reshape(-1)[:count]
    found[found >= 2 ** (bits - 1)] -= 2**bits
    return found


class _Reader:
    """Takes one piece after the other from a file's bytes."""

    def __init__(self, path: Path) -> None:
        self._data, self._at, self._path = path.read_bytes(), 0, path

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        """Return the next bytes; raises ModelError where there are fewer."""
        if self._at + count > len(self._data):
            raise ModelError(f"{self._path} ends in the middle of an entry.", "It is damaged: build it again.")
        self._at += count
        return self._data[self._at - count : self._at]

    def floats(self, bits: int, count: int) -> Floats:
        """Return the next numbers, as float32."""
        kind = _FLOATS[bits]
        return np.frombuffer(self.take(count * kind.itemsize), kind).astype(np.float32)


def read(path: Path) -> dict[str, Floats]:
    """Return the tensors of a packed file by name, float32, exactly as the net has them.

    Raises:
        ModelError: it is no packed file, or a damaged one.
    """
    reader = _Reader(path)
    magic, version, count = _HEAD.unpack(reader.take(_HEAD.size))
    if (magic, version) != (MAGIC, VERSION):
        raise ModelError(f"{path} is no packed file of version {VERSION}.")
    found = {entry.name: _values(reader, entry) for entry in _entries(reader, count)}
    if reader:
        raise ModelError(f"{path} goes on after its last entry.", "It is damaged: build it again.")
    return found


def _entries(reader: _Reader, count: int) -> Iterator[Entry]:
    for _ in range(count):
        bits, dimensions, length, kept = _ENTRY.unpack(reader.take(_ENTRY.size))
        if bits not in (*CODED, *_FLOATS):
            raise ModelError(f"a packed file says of a tensor that it has {bits} bits.", "Known: 2, 4, 8, 16, 32.")
        name = reader.take(length).decode(errors="replace")
        numbers = struct.unpack(f"<{dimensions + kept}I", reader.take(4 * (dimensions + kept)))
        yield Entry(name, numbers[:dimensions], bits, numbers[dimensions:])


def _values(reader: _Reader, entry: Entry) -> Floats:
    if entry.bits not in CODED:
        return reader.floats(entry.bits, int(np.prod(entry.shape, dtype=np.int64))).reshape(entry.shape)
    coded = entry.coded
    scales, count = reader.floats(16, len(coded)), len(coded) * entry.row
    stored = np.frombuffer(reader.take(-(-count * entry.bits // 8)), np.uint8)
    values = np.empty((entry.shape[0], entry.row), np.float32)
    values[coded] = _unpacked(stored, entry.bits, count).reshape(len(coded), entry.row) * scales[:, None]
    values[list(entry.kept)] = reader.floats(16, len(entry.kept) * entry.row).reshape(len(entry.kept), entry.row)
    return values.reshape(entry.shape)
