"""What becomes of an assigned lead, and when it shows."""

from dataclasses import dataclass

import numpy as np

from data.simulator.leads import size_band
from data.simulator.words import LOST_REASONS

DELAY_BY_BAND = np.array([0.7, 0.9, 1.1, 1.4])  # of the median delay: bigger firms decide later
DELAY_SPREAD = 0.7  # standard deviation of the log delay
LOSS_FACTOR = 1.3  # losses close on a clock of their own, a little later
RESPONSE_SPREAD = 0.5  # of the log hours around the rep's typical time
LEAST_HOURS_TO_CLOSE = 1.0  # after the first contact


@dataclass(frozen=True)
class Ends:
    """The outcome of each assignment, whether or not it has shown yet, all (n,)."""

    won: np.ndarray  # bool
    contacted_days: np.ndarray
    closed_days: np.ndarray
    value: np.ndarray  # of the deal, CNY; NaN where lost
    lost_reason: np.ndarray  # position in LOST_REASONS; -1 where won


def draw_outcomes(probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """True where the lead converts, one draw for each probability."""
    return rng.random(np.shape(probability)) < probability


def draw_response_hours(typical_hours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hours until the first contact of each assignment, around its rep's typical time."""
    return typical_hours * np.exp(rng.normal(0, RESPONSE_SPREAD, len(typical_hours)))


def draw_ends(
    won: np.ndarray,
    *,
    assigned_days: np.ndarray,
    response_hours: np.ndarray,
    size: np.ndarray,
    delay_days_median: float,
    rng: np.random.Generator,
) -> Ends:
    """When each outcome shows: lognormal delays, longer for bigger firms; and what the deal was worth."""
    n = len(won)
    median = delay_days_median * DELAY_BY_BAND[size_band(size)] * np.where(won, 1.0, LOSS_FACTOR)
    delay = median * np.exp(rng.normal(0, DELAY_SPREAD, n))
    contacted = assigned_days + response_hours / 24
    value = np.round(np.exp(10.0 + 0.55 * size + rng.normal(0, 0.6, n)), -1)
    return Ends(
        won=won,
        contacted_days=contacted,
        closed_days=np.maximum(assigned_days + delay, contacted + LEAST_HOURS_TO_CLOSE / 24),
        value=np.where(won, value, np.nan),
        lost_reason=np.where(won, -1, rng.integers(len(LOST_REASONS), size=n)),
    )
