"""Permutation tests: values shuffled among rows that are exchangeable, and how often chance does as much."""

from collections.abc import Callable, Iterator

import numpy as np


def shuffles(strata: np.ndarray, rng: np.random.Generator, many: int) -> Iterator[np.ndarray]:
    """`many` random orders of the rows, each (n,): `values[order]` are values shuffled within their strata.

    strata : int (n,), rows of one number may be swapped.
    """
    sorted_rows = np.argsort(strata, kind="stable")
    stratum = strata[sorted_rows].astype(float)
    for _ in range(many):
        order = np.empty_like(sorted_rows)
        order[sorted_rows] = sorted_rows[np.argsort(stratum + rng.random(len(stratum)))]
        yield order


def permutation_p(
    statistic: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    *,
    many: int,
) -> np.ndarray:
    """For each statistic the share of shuffles in which it is at least what was seen, in (0, 1], shape (k,).

    statistic : values -> (k,), larger where they tell more; values : (n,), shuffled within strata. The true order
    counts as one of the shuffles.
    Source: Phipson & Smyth (2010), Permutation p-values should never be zero, doi:10.2202/1544-6115.1585.
    """
    seen = statistic(values)
    hits = np.zeros(len(seen))
    for order in shuffles(strata, rng, many):
        hits += statistic(values[order]) >= seen - 1e-9 * np.abs(seen)  # an equal split counts as equal
    return np.asarray((1 + hits) / (1 + many))
