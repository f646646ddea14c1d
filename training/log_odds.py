"""Log-odds to probability, with numpy alone: scipy's own takes half a second to import, in every worker."""

import numpy as np

LARGEST = 709.0  # whose exponential is still finite


def expit(log_odds: float | np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), of the same shape."""
    odds = np.asarray(np.minimum(log_odds, LARGEST))
    np.exp(odds, out=odds)  # in place, like the quotient: of a block of leads they are large
    probability = np.asarray(1.0 + odds)
    return np.divide(odds, probability, out=probability)
