"""The level and spread of the predicted log-odds, set by the newest matured rows."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from training.logistic import fit_ridge_logistic

LEAST_CONVERSIONS = 30
Value = TypeVar("Value", float, np.ndarray)
SLOPE_PRECISION = 100.0  # prior sd .1 around 1: a small window moves the level, hardly the slope


@dataclass(frozen=True)
class Calibration:
    """eta -> intercept + slope * eta, in log-odds."""

    intercept: float = 0.0
    slope: float = 1.0
    rows: int = 0  # that it was measured on; 0: left as it is

    def apply(self, log_odds: Value) -> Value:
        """Recalibrated log-odds, of the same shape."""
        return self.intercept + self.slope * log_odds


def recalibrate(converted: np.ndarray, log_odds: np.ndarray) -> Calibration:
    """Intercept and slope by penalised maximum likelihood; unchanged where fewer than 30 rows converted (or did not).

    converted : 0/1 (n,); log_odds : (n,), each from a fit that did not see its row.
    Source: Cox (1958), Two further applications of a model for binary regression, doi:10.1093/biomet/45.3-4.562.
    """
    if min(converted.sum(), len(converted) - converted.sum()) < LEAST_CONVERSIONS:
        return Calibration()
    design = np.column_stack([np.ones(len(log_odds)), log_odds])
    # The log-odds as offset: what is fitted, and drawn towards 0, is how far the slope lies from 1.
    (intercept, more), _ = fit_ridge_logistic(design, converted, log_odds, np.array([0.0, SLOPE_PRECISION]))
    return Calibration(float(intercept), float(1.0 + more), len(converted))
