"""The standard normal's quantiles, from the standard library: scipy.stats takes over a second to import."""

from functools import lru_cache
from statistics import NormalDist


@lru_cache(maxsize=64)
def quantile(share: float) -> float:
    """Where the standard normal has `share`, in (0, 1), of its probability to the left."""
    return NormalDist().inv_cdf(share)
