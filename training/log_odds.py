"""Log-odds to probability, with numpy alone: scipy's own takes half a second to import, in every worker."""

import numpy as np

LARGEST = 709.0  # whose exponential is still finite


def expit(log_odds: float | np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), of the same shape."""
    odds = np.exp(np.minimum(log_odds, LARGEST))
    probability: np.ndarray = odds / (1.0 + odds)
    return probability
