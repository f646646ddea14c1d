"""The standard normal's quantiles and tails, from the standard library: scipy.stats takes over a second to import."""

import math
from functools import lru_cache
from statistics import NormalDist


@lru_cache(maxsize=64)
def quantile(share: float) -> float:
    """Where the standard normal has `share`, in (0, 1), of its probability to the left."""
    return NormalDist().inv_cdf(share)


def two_sided(z: float) -> float:
    """The chance that a standard normal lies as far from 0 as `z`, on either side."""
    return math.erfc(abs(z) / math.sqrt(2))
