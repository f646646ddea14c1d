"""Permutation tests: values shuffled among rows that are exchangeable, and how often chance does as much."""

from collections.abc import Callable, Iterator

import numpy as np


def shuffles(strata: np.ndarray, rng: np.random.Generator, many: int) -> Iterator[np.ndarray]:
    """`many` random orders of the rows, each (n,): `values[order]` are values shuffled within their strata.

    strata : int (n,), rows of one number may be swapped.
    """
    sorted_rows = np.argsort(strata, kind="stable")
    for _ in range(many):
        order = np.empty_like(sorted_rows)
        order[sorted_rows] = sorted_rows[np.lexsort((rng.random(len(strata)), strata[sorted_rows]))]
        yield order


def permutation_p(
    statistic: Callable[[np.ndarray], float],
    values: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    *,
    many: int,
) -> float:
    """Share of shuffles whose statistic is at least what was seen, the true order counted in: in (0, 1].

    statistic : of the values, larger where they tell more; values : (n,), shuffled within strata.
    Source: Phipson & Smyth (2010), Permutation p-values should never be zero, doi:10.2202/1544-6115.1585.
    """
    seen = statistic(values)
    # Rounding must not let an equal split count as less.
    hits = sum(statistic(values[order]) >= seen - 1e-9 * abs(seen) for order in shuffles(strata, rng, many))
    return (1 + hits) / (1 + many)
