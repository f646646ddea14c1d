"""A table as a JSON list, written from its columns: a thousand reps are a few columns of texts and figures.

`serving.telling.json_kernel` is `written` compiled; where it could not be compiled, this serves in its place.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray


class Picked(NamedTuple):
    """A text for each row, out of a block of texts that lie there one after the other for many tables."""

    block: bytes
    starts: NDArray[np.intp]  # (n_texts + 1,), where each begins, and where the last one ends
    which: NDArray[np.intp]  # (n,), the text of each row

    @classmethod
    def all_of(cls, texts: Sequence[bytes]) -> "Picked":
        """All of them, in their order; others are picked by another `which`."""
        starts = np.cumsum([0, *map(len, texts)], dtype=np.intp)
        return cls(b"".join(texts), starts, np.arange(len(texts), dtype=np.intp))

    def texts(self) -> list[bytes]:
        """Each row's text."""
        ends = self.starts[self.which + 1].tolist()
        return [self.block[start:end] for start, end in zip(self.starts[self.which].tolist(), ends, strict=True)]


# What every row has alike, or a text for each row, or a figure for each row.
Column = bytes | list[bytes] | Picked | NDArray[np.float64]


def written(columns: Sequence[Column], n: int) -> bytes:
    """The list of n rows; a row is what its columns hold, one after the other.

    Figures have at least 16 decimals; one that is not finite is null. Raises ValueError for a column of another length.
    """
    told = [[column] * n if isinstance(column, bytes) else _texts(column) for column in columns]
    if any(len(column) != n for column in told):
        raise ValueError(f"Every column must have {n} rows.")
    return b"[" + b",".join(map(b"".join, zip(*told, strict=True))) + b"]"


def _texts(column: list[bytes] | Picked | NDArray[np.float64]) -> list[bytes]:
    if isinstance(column, Picked):
        return column.texts()
    return column if isinstance(column, list) else figures(column)


def figures(column: NDArray[np.float64]) -> list[bytes]:
    """Each figure with the digits that it needs."""
    if not len(column):
        return []
    return orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
