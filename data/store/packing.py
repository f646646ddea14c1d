"""Vectors of a decision as one blob: a JSON header, then the numbers as they lie in memory."""

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

_KINDS: dict[str, np.dtype[Any]] = {"f": np.dtype("<f8"), "b": np.dtype("?"), "i": np.dtype("<i8")}
# Whole numbers that fit into less, as counts of leads do; the smallest first.
_NARROW: dict[str, np.dtype[Any]] = {"t": np.dtype("i1"), "s": np.dtype("<i2")}
_STORED = {**_KINDS, **_NARROW}
_ALIKE = {"F": "f", "B": "b", "I": "i"}  # kinds of vectors that hold one value throughout, which is kept once
_LENGTH_BYTES = 4


def pack(vectors: Mapping[str, np.ndarray]) -> bytes:
    """The named vectors as bytes: floats as float64, exact; booleans a byte each; whole numbers as few as they need.

    Of a thousand reps' vectors half say the same of everybody: such a one takes the place of one value.

    Raises ValueError for what is not one-dimensional, or numbers of another kind.
    """
    header: list[tuple[str, str, int]] = []
    parts: list[bytes] = []
    for name, values in vectors.items():
        array = np.asarray(values)
        if array.ndim != 1 or array.dtype.kind not in _KINDS:
            raise ValueError(f"{name} must be a vector of floats, whole numbers or booleans, got {array.dtype}")
        kind: str = array.dtype.kind
        own = array.astype(_KINDS[kind], copy=False)
        told = own.tobytes()
        first = told[: own.itemsize]
        # Bytes, so that -0.0 stays another value than 0.0; where the last one differs there is no need to look at all.
        if len(own) > 1 and told.endswith(first) and told == first * len(own):
            kind, told = kind.upper(), first
        elif kind == "i" and len(own):
            kind, told = _narrowed(own)
        header.append((name, kind, len(own)))
        parts.append(told)
    head = _head(tuple(header))
    return b"".join([len(head).to_bytes(_LENGTH_BYTES, "little"), head, *parts])


def _narrowed(numbers: np.ndarray) -> tuple[str, bytes]:
    for kind, dtype in _NARROW.items():
        narrow = numbers.astype(dtype)
        if (narrow == numbers).all():
            return kind, narrow.tobytes()
    return "i", numbers.tobytes()


@lru_cache(maxsize=64)
def _head(header: tuple[tuple[str, str, int], ...]) -> bytes:
    return json.dumps(header, separators=(",", ":")).encode("ascii")


def unpack(blob: bytes, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The named vectors, or those of them that are asked for; read-only.

    Raises ValueError for a blob that `pack` did not write.
    """
    start = _LENGTH_BYTES + int.from_bytes(blob[:_LENGTH_BYTES], "little")
    places, size = _layout(blob[_LENGTH_BYTES:start])
    if start + size != len(blob):
        raise ValueError(f"a packed decision ends after {len(blob)} bytes, its header says {start + size}")
    return {name: place.vector(blob, start) for name, place in places.items() if names is None or name in names}


class _Place(NamedTuple):
    """Where a vector lies."""

    begin: int  # bytes after the header
    end: int
    dtype: np.dtype[Any]
    length: int
    step: int  # bytes from one value to the next; none where one value stands for all

    def vector(self, blob: bytes, start: int) -> np.ndarray:
        # A copy of its own lies even, which the arithmetic needs; one value throughout is looked at n times.
        own = blob[start + self.begin : start + self.end]
        stored: np.ndarray = np.ndarray((self.length,), self.dtype, own, 0, (self.step,))
        if self.dtype.kind == "i" and self.dtype != _KINDS["i"]:
            stored = stored.astype(_KINDS["i"])
            stored.flags.writeable = False
        return stored


@lru_cache(maxsize=64)
def _layout(head: bytes) -> tuple[dict[str, _Place], int]:
    """Where each vector lies, and how long they all are."""
    places, end = {}, 0
    for name, kind, length in json.loads(head):
        dtype = _STORED[_ALIKE.get(kind, kind)]
        begin, step = end, 0 if kind in _ALIKE else dtype.itemsize
        end += dtype.itemsize * (1 if kind in _ALIKE else length)
        places[name] = _Place(begin, end, dtype, length, step)
    return places, end
