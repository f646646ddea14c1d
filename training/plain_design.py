"""The lead matrix as a linear model sees it: one-hot levels, standardised numbers, marks of missing numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.columns import ColumnContract

CLIP = 4.0  # standard deviations, so that one odd number cannot carry a prediction away


@dataclass(frozen=True)
class PlainDesign:
    """How to lay out leads; measured once on the rows of a fit and saved with it."""

    categorical: tuple[int, ...]
    levels: tuple[int, ...]  # level count of each categorical feature
    means: np.ndarray  # (n_numbers,)
    scales: np.ndarray  # (n_numbers,)

    def matrix(self, leads: np.ndarray) -> np.ndarray:
        """Shape (n, k): 1, levels, numbers, marks of missing numbers. A level not known has no column."""
        plain = [i for i in range(leads.shape[1]) if i not in self.categorical]
        codes = [leads[:, [f]] == np.arange(n) for f, n in zip(self.categorical, self.levels, strict=True)]
        values = leads[:, plain]
        scaled = np.clip(np.nan_to_num((values - self.means) / self.scales, nan=0.0), -CLIP, CLIP)
        return np.column_stack([np.ones(len(leads)), *codes, scaled, np.isnan(values)]).astype(float)

    def feature_of_column(self, n_features: int) -> list[int]:
        """The feature behind each column of the matrix after the first, in order."""
        plain = [i for i in range(n_features) if i not in self.categorical]
        coded = [f for f, n in zip(self.categorical, self.levels, strict=True) for _ in range(n)]
        return coded + plain + plain

    def to_json(self) -> dict[str, Any]:
        """A plain mapping that `from_json` reads back."""
        return {name: np.asarray(value).tolist() for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "PlainDesign":
        """The design that `to_json` wrote."""
        numbers = {name: np.array(value[name], dtype=float) for name in ("means", "scales")}
        return cls(tuple(value["categorical"]), tuple(value["levels"]), **numbers)


def measure_design(contract: ColumnContract, leads: np.ndarray) -> PlainDesign:
    """The design of a contract's lead matrix, with the means and spreads of its numbers."""
    plain = [i for i in range(leads.shape[1]) if i not in contract.categorical]
    values = leads[:, plain]
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, values, 0.0).sum(axis=0) / counts
    spread = np.sqrt(np.where(known, (values - means) ** 2, 0.0).sum(axis=0) / counts)
    levels = tuple(len(contract.features[i].levels) for i in contract.categorical)
    return PlainDesign(contract.categorical, levels, means, np.where(spread > 0, spread, 1.0))
