"""How unequally something is shared out."""

import numpy as np


def gini(shares: np.ndarray) -> float:
    """Gini's coefficient: 0 where all have the same, near 1 where one has everything; NaN where nobody has anything.

    shares : (n,), none negative. Source: Gini (1912), by the mean absolute difference over twice the mean.
    """
    if not len(shares) or shares.sum() <= 0:
        return float("nan")
    ordered = np.sort(shares)
    rank = np.arange(1, len(ordered) + 1)
    # Rounding may leave equal shares a hair below 0, which a page would show as -0.00.
    return max(0.0, float((2 * rank - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum())))
