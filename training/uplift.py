"""Uplift over rotation: P(chosen) less the mean P over the eligible reps, with its interval from the posterior."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.normal import quantile


@dataclass(frozen=True)
class Interval:
    """An estimate in probability with the ends of its interval."""

    value: float
    low: float
    high: float


class Intervals(NamedTuple):
    """Estimates of several reps in probability with the ends of their intervals, each of shape (k,)."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def one(self, place: int) -> Interval:
        """The estimate in one place."""
        return Interval(float(self.value[place]), float(self.low[place]), float(self.high[place]))


def uplift_errors(
    reps: np.ndarray,
    *,
    probability: np.ndarray,
    rotation: np.ndarray,
    variance: np.ndarray,
    pairs: np.ndarray,
    beta_covariance: np.ndarray,
    slope: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The uplift of `reps` (places, (k,)) and its standard error, by the delta method from the rep part's posterior.

    probability : (n_reps,); rotation : (n_reps,) as for `uplift`; variance : (n_reps,) of each rep's own part,
    z' S_r z; pairs : (n_pairs, n_reps) f(x, r); slope : of the recalibration. F is common to all reps: its uncertainty
    shifts every P alike and is left out, as it cancels in log-odds.

    The gradient of a rep's uplift is [i = r] - rotation_i in every P_i, so what the eligible contribute is summed once.
    Source: the Laplace posterior of training.rep_effects; var(g'theta) = g' S g.
    """
    gradient = probability * (1 - probability)  # of P in log-odds; the slope stands before all of it
    of_rotation, own = rotation * gradient, gradient[reps]
    common = own * pairs[:, reps] - (pairs @ of_rotation)[:, None]
    together = (common * (beta_covariance @ common)).sum(axis=0) + of_rotation**2 @ variance
    together += own**2 * variance[reps] * (1 - 2 * rotation[reps])
    error = slope * np.sqrt(np.maximum(together, 0.0))  # of one eligible rep alone it is 0, to rounding
    return probability[reps] - rotation @ probability, error


def intervals(value: np.ndarray, error: np.ndarray, level: float = 0.9) -> Intervals:
    """Estimates with their normal intervals, from their standard errors."""
    half = quantile(0.5 + level / 2) * error
    return Intervals(value, value - half, value + half)
