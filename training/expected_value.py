"""What a lead is worth once it is won, from the lead alone: a ridge regression on the log of won values.

The exponential of a mean of logs is a typical value, not a mean one; Duan's smearing factor, the mean of the
exponentiated residuals, makes up for that without supposing that the residuals are normal.
Source: Duan (1983), Smearing estimate, doi:10.1080/01621459.1983.10478017.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from features.columns import ColumnContract
from training.plain_design import PlainDesign, PlainRow, measure_design
from training.ridge import fit_ridge

if TYPE_CHECKING:
    from training.metrics import Estimate  # brings scipy along, which a worker of the service does not need

LEAST_VALUES = 50  # won rows with a value: fewer say too little of what moves it
LEAST_JUDGED = 20  # later ones that its error is measured on


@dataclass(frozen=True)
class ValueModel:
    """E(value | lead, won) = positive share * smearing * exp(typical log), in the currency of the data."""

    design: PlainDesign
    coefficients: np.ndarray  # (k,), the intercept first
    smearing: float
    positive_share: float  # of the won rows: a deal of value 0 has no log
    least_log: float  # of the values it was fitted to: a prediction stays within what was ever won
    most_log: float
    rows: int

    def typical_log(self, leads: np.ndarray) -> np.ndarray:
        """The middle of the logs of what such leads were won for, shape (n,)."""
        return np.clip(self.design.matrix(leads) @ self.coefficients, self.least_log, self.most_log)

    def expected(self, leads: np.ndarray) -> np.ndarray:
        """The mean value of such leads when they are won, shape (n,)."""
        return self.positive_share * self.smearing * np.exp(self.typical_log(leads))

    def expected_of(self, row: Sequence[float] | np.ndarray) -> float:
        """The same for one lead, n_features long."""
        typical = min(max(self._one_row(row), self.least_log), self.most_log)
        return self.positive_share * self.smearing * math.exp(typical)

    @cached_property
    def _one_row(self) -> PlainRow:
        return PlainRow(self.design, self.coefficients)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping that `from_json` reads back."""
        apart = ("design", "coefficients")
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in apart}
        return {"design": self.design.to_json(), "coefficients": self.coefficients.tolist(), **plain}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ValueModel":
        """The model that `to_json` wrote."""
        rest = {name: each for name, each in value.items() if name not in ("design", "coefficients")}
        return cls(PlainDesign.from_json(value["design"]), np.array(value["coefficients"], dtype=float), **rest)


def fit_value_model(contract: ColumnContract, leads: np.ndarray, value: np.ndarray) -> ValueModel | None:
    """The value model of won leads; None where fewer than 50 of them say what they were worth.

    leads : (n, n_features), won ones; value : (n,), NaN where it was not recorded. A negative value says nothing.
    """
    told = value >= 0
    positive = value > 0
    if positive.sum() < LEAST_VALUES:
        return None
    rows, logs = leads[positive], np.log(value[positive])
    design = measure_design(contract, rows, tame_tails=True)
    coefficients = fit_ridge(design.matrix(rows), logs)
    fitted = np.clip(design.matrix(rows) @ coefficients, logs.min(), logs.max())
    return ValueModel(
        design=design,
        coefficients=coefficients,
        # Of the rows that were fitted: out of fold, the fit's own error would be counted twice.
        smearing=float(np.mean(np.exp(logs - fitted))),
        positive_share=float(positive.sum() / told.sum()),
        least_log=float(logs.min()),
        most_log=float(logs.max()),
        rows=int(told.sum()),
    )


def judge_value_model(
    model: ValueModel | None, leads: np.ndarray, value: np.ndarray, rng: np.random.Generator
) -> dict[str, "Estimate"]:
    """How good it is on won leads it has not seen, with bootstrap standard errors; empty where it cannot be told.

    `median_log_error`: of |log value - its typical log|, so exp of it is the factor by which half of the values
    are missed; `r2`: the share of the logs' variance that it explains; `level`: mean expected over mean seen.
    """
    from training.metrics import BOOTSTRAP_DRAWS, Estimate

    told = value > 0
    if model is None or told.sum() < LEAST_JUDGED:
        return {}
    seen, typical, expected = value[told], model.typical_log(leads[told]), model.expected(leads[told])
    expected = expected / model.positive_share  # only deals of some value are judged
    figures = _figures(seen, typical, expected)
    draws = [rng.integers(len(seen), size=len(seen)) for _ in range(BOOTSTRAP_DRAWS)]
    spread = np.std([list(_figures(seen[d], typical[d], expected[d]).values()) for d in draws], axis=0, ddof=1)
    return {name: Estimate(one, float(error)) for (name, one), error in zip(figures.items(), spread, strict=True)}


def _figures(seen: np.ndarray, typical: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    missed = np.log(seen) - typical
    variance = float(np.var(np.log(seen)))
    return {
        "median_log_error": float(np.median(np.abs(missed))),
        "r2": 1 - float(np.mean(missed**2)) / variance if variance else float("nan"),
        "level": float(expected.mean() / seen.mean()),
    }
