"""Vectors of a decision as one blob: a JSON header, then the numbers as they lie in memory."""

import json
from collections.abc import Mapping

import numpy as np

_KINDS = {"f": np.dtype("<f8"), "b": np.dtype("?"), "i": np.dtype("<i8")}
_ALIKE = {"F": "f", "B": "b", "I": "i"}  # kinds of vectors that hold one value throughout, which is kept once
_LENGTH_BYTES = 4


def pack(vectors: Mapping[str, np.ndarray]) -> bytes:
    """The named vectors as bytes: floats as float64, exact; booleans a byte each; whole numbers as int64.

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
        bits = own.view(np.int64) if kind == "f" else own  # so that -0.0 stays another value than 0.0
        if len(own) > 1 and (bits == bits[0]).all():
            kind, own = kind.upper(), own[:1]
        header.append((name, kind, len(array)))
        parts.append(own.tobytes())
    head = json.dumps(header, separators=(",", ":")).encode("ascii")
    return b"".join([len(head).to_bytes(_LENGTH_BYTES, "little"), head, *parts])


def unpack(blob: bytes) -> dict[str, np.ndarray]:
    """The named vectors; read-only. Raises ValueError for a blob that `pack` did not write."""
    end = _LENGTH_BYTES + int.from_bytes(blob[:_LENGTH_BYTES], "little")
    vectors: dict[str, np.ndarray] = {}
    for name, kind, length in json.loads(blob[_LENGTH_BYTES:end]):
        alike = kind in _ALIKE
        stored = np.frombuffer(blob, _KINDS[_ALIKE.get(kind, kind)], 1 if alike else length, end)
        vectors[name] = np.broadcast_to(stored, (length,)) if alike else stored
        end += stored.nbytes
    if end != len(blob):
        raise ValueError(f"a packed decision ends after {len(blob)} bytes, its header says {end}")
    return vectors
