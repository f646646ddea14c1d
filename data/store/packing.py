"""Vectors of a decision as one blob: a JSON header, then the numbers as they lie in memory."""

import json
from collections.abc import Mapping

import numpy as np

_KINDS = {"f": np.dtype("<f8"), "b": np.dtype("?"), "i": np.dtype("<i8")}
_LENGTH_BYTES = 4


def pack(vectors: Mapping[str, np.ndarray]) -> bytes:
    """The named vectors as bytes: floats as float64, exact; booleans a byte each; whole numbers as int64.

    Raises ValueError for what is not one-dimensional, or numbers of another kind.
    """
    header: list[tuple[str, str, int]] = []
    parts: list[bytes] = []
    for name, values in vectors.items():
        array = np.asarray(values)
        if array.ndim != 1 or array.dtype.kind not in _KINDS:
            raise ValueError(f"{name} must be a vector of floats, whole numbers or booleans, got {array.dtype}")
        header.append((name, array.dtype.kind, len(array)))
        parts.append(array.astype(_KINDS[array.dtype.kind], copy=False).tobytes())
    head = json.dumps(header, separators=(",", ":")).encode("ascii")
    return b"".join([len(head).to_bytes(_LENGTH_BYTES, "little"), head, *parts])


def unpack(blob: bytes) -> dict[str, np.ndarray]:
    """The named vectors; read-only. Raises ValueError for a blob that `pack` did not write."""
    end = _LENGTH_BYTES + int.from_bytes(blob[:_LENGTH_BYTES], "little")
    vectors: dict[str, np.ndarray] = {}
    for name, kind, length in json.loads(blob[_LENGTH_BYTES:end]):
        vectors[name] = np.frombuffer(blob, _KINDS[kind], length, end)
        end += vectors[name].nbytes
    if end != len(blob):
        raise ValueError(f"a packed decision ends after {len(blob)} bytes, its header says {end}")
    return vectors
