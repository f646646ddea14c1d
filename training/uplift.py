"""Uplift over rotation: P(chosen) less the mean P over the eligible reps, with its interval from the posterior."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri


@dataclass(frozen=True)
class Interval:
    """An estimate in probability with the ends of its interval."""

    value: float
    low: float
    high: float


def uplift(probability: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Each rep's P less what rotation would give, shape (..., n_reps).

    probability : (..., n_reps); rotation : (..., n_reps) rotation's propensities, 1/m over the eligible, 0 elsewhere.
    """
    return probability - np.sum(probability * rotation, axis=-1, keepdims=True)


def uplift_interval(
    rep: int,
    *,
    probability: np.ndarray,
    eligible: np.ndarray,
    z: np.ndarray,
    covariance: np.ndarray,
    pairs: np.ndarray,
    beta_covariance: np.ndarray,
    slope: float,
    level: float = 0.9,
) -> Interval:
    """One pair's uplift with its interval, by the delta method from the posterior of the rep part.

    probability : (n_reps,); eligible : bool (n_reps,); z : (width,) of the lead; covariance : (n_reps, width, width);
    pairs : (n_reps, n_pairs) f(x, r); slope : of the recalibration. F is common to all reps: its uncertainty
    shifts every P alike and is left out, as it cancels in log-odds.
    Source: the Laplace posterior of training.rep_effects; var(g'theta) = g' S g.
    """
    share = eligible / eligible.sum()
    weight = (np.arange(len(probability)) == rep) - share
    gradient = weight * probability * (1 - probability) * slope  # of the uplift in each rep's log-odds
    own = (covariance @ z) @ z  # two products; einsum or a selection of reps would copy the whole array first
    common = gradient @ pairs
    variance = gradient**2 @ own + common @ beta_covariance @ common
    value = float(probability @ weight)
    half = float(ndtri(0.5 + level / 2) * np.sqrt(variance))
    return Interval(value, value - half, value + half)
