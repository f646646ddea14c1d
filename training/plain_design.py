"""The lead matrix as a linear model sees it: one-hot levels, standardised numbers, marks of missing numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.columns import ColumnContract
from features.leads import skewed

CLIP = 4.0  # standard deviations, so that one odd number cannot carry a prediction away


@dataclass(frozen=True)
class PlainDesign:
    """How to lay out leads; measured once on the rows of a fit and saved with it."""

    categorical: tuple[int, ...]
    levels: tuple[int, ...]  # level count of each categorical feature
    means: np.ndarray  # (n_numbers,)
    scales: np.ndarray  # (n_numbers,)
    logarithms: np.ndarray  # bool (n_numbers,): taken as log(1 + x), as its tail is long

    def matrix(self, leads: np.ndarray) -> np.ndarray:
        """Shape (n, k): 1, levels, numbers, marks of missing numbers. A level not known has no column."""
        plain = [i for i in range(leads.shape[1]) if i not in self.categorical]
        codes = [leads[:, [f]] == np.arange(n) for f, n in zip(self.categorical, self.levels, strict=True)]
        values = _with_logs(leads[:, plain], self.logarithms)
        # Clipped first: an odd number must not overflow.
        near = np.clip(values, self.means - CLIP * self.scales, self.means + CLIP * self.scales)
        scaled = np.nan_to_num((near - self.means) / self.scales, nan=0.0)
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
        logarithms = np.array(value["logarithms"], dtype=bool)
        return cls(tuple(value["categorical"]), tuple(value["levels"]), **numbers, logarithms=logarithms)


class PlainRow:
    """A linear predictor over a PlainDesign, laid out for one lead at a time."""

    def __init__(self, design: PlainDesign, coefficients: np.ndarray) -> None:
        coded = 1 + sum(design.levels)
        numbers = len(design.means)
        starts = 1 + np.concatenate([[0], np.cumsum(design.levels)]).astype(int)
        self._levels = [
            (feature, coefficients[start : start + many].tolist())
            for feature, start, many in zip(design.categorical, starts, design.levels, strict=False)
        ]
        n_features = len(design.categorical) + numbers
        plain = [i for i in range(n_features) if i not in design.categorical]
        self._numbers = list(
            zip(
                plain, design.logarithms.tolist(), design.means.tolist(), design.scales.tolist(),
                coefficients[coded : coded + numbers].tolist(), coefficients[coded + numbers :].tolist(),
                strict=True,
            )
        )  # fmt: skip
        self._intercept = float(coefficients[0])

    def __call__(self, row: Sequence[float] | np.ndarray) -> float:
        """What the predictor gives a lead, encoded, n_features long; a list is quicker to read than an array."""
        total = self._intercept
        for feature, weights in self._levels:
            code = row[feature]
            if 0 <= code < len(weights) and code == int(code):
                total += weights[int(code)]
        for feature, logarithm, mean, scale, slope, missing in self._numbers:
            value = row[feature]
            if value != value:
                total += missing
                continue
            taken = math.log1p(max(value, 0.0)) if logarithm else value
            total += slope * min(max((taken - mean) / scale, -CLIP), CLIP)
        return total


def measure_design(contract: ColumnContract, leads: np.ndarray, *, tame_tails: bool = False) -> PlainDesign:
    """The design of a contract's lead matrix, with the means and spreads of its numbers.

    tame_tails : take numbers with a long tail as logs. What deals are worth follows the logs of what firms are;
    for the chance to convert, the logs gained nothing on six data sets.
    """
    plain = [i for i in range(leads.shape[1]) if i not in contract.categorical]
    raw = leads[:, plain]
    logarithms = np.array([tame_tails and skewed(column[~np.isnan(column)]) for column in raw.T], dtype=bool)
    values = _with_logs(raw, logarithms)
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, values, 0.0).sum(axis=0) / counts
    spread = np.sqrt(np.where(known, (values - means) ** 2, 0.0).sum(axis=0) / counts)
    levels = tuple(len(contract.features[i].levels) for i in contract.categorical)
    return PlainDesign(contract.categorical, levels, means, np.where(spread > 0, spread, 1.0), logarithms)


def _with_logs(values: np.ndarray, logarithms: np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed[:, logarithms] = np.log1p(np.maximum(values[:, logarithms], 0.0))
    return changed
