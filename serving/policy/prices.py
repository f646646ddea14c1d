"""What a rep's next free slot is worth (shadow prices), and the best joint assignment of many leads.

Both are the same linear programme, a transportation problem solved by HiGHS: leads to reps, at most one rep a lead
and at most `capacity` leads a rep.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serving.policy.exploration import Flags, Floats
from serving.policy.stream_prices import SERVED, settled

# Cost of falling short of a floor by one lead: dearer than any lead's loss, so only true impossibility is accepted.
SHORTFALL: Final = 3.0
# Reps looked at for each lead and leads for each rep, at first and each time that others turn out to matter.
AT_ONCE: Final = 4
# Pairs from which on prices that come near the solution say which of them to begin with: they take a tenth of a second.
MANY: Final = 100_000


@dataclass(frozen=True)
class _Solution:
    share: Floats  # of each (lead, rep) pair, in the order of np.nonzero
    lead_price: Floats  # (n,)
    cap_price: Floats  # (m,)
    floor_price: Floats  # (m,)


def shadow_prices(
    probability: Floats, eligible: Flags, capacity: Floats, floors: Floats | None = None, *, within: float = 0.0
) -> Floats:
    """Price of each rep's next slot, shape (m,), in probability of conversion.

    probability, eligible : shape (n, m); leads of the recent past, or of a batch.
    capacity : shape (m,); leads that each rep can take of these n; inf for no limit.
    floors : shape (m,); leads that each rep should get at least; one who would otherwise get less has a price below 0.
    within : expected conversions a lead by which the best there is may exceed what these prices lead to; 0: exact.
    """
    solution, _ = _optimum(probability, eligible, capacity, floors, within)
    return solution.cap_price - solution.floor_price


def assign_jointly(
    probability: Floats, eligible: Flags, capacity: Floats, floors: Floats | None = None
) -> NDArray[np.int64]:
    """The assignment with the most expected conversions, shape (n,): index of a rep, or -1 where there was no slot.

    Arguments as for `shadow_prices`, capacity and floors whole numbers; exact. Where not every lead can be served,
    being served counts as SERVED.
    """
    chosen = np.full(len(probability), -1, dtype=np.int64)
    solution, considered = _optimum(probability, eligible, capacity, floors)
    lead, rep = np.nonzero(considered)
    # The vertices of a transportation problem are whole: every share is 0 or 1 up to rounding.
    taken = solution.share > 0.5
    chosen[lead[taken]] = rep[taken]
    return chosen


def prepare() -> None:
    """Load what solves them, which takes a second: the first solution comes when leads do."""
    from scipy import optimize, sparse  # noqa: F401


def _optimum(
    probability: Floats, eligible: Flags, capacity: Floats, floors: Floats | None, within: float = 0.0
) -> tuple[_Solution, Flags]:
    """The optimum over all eligible pairs, and the pairs that were looked at to find it."""
    near = np.zeros(len(capacity))
    if eligible.size > MANY:
        near = settled(probability, eligible, capacity, near if floors is None else floors)
    considered = _most_promising(probability - near, eligible)
    while True:
        solution = _solve(probability, considered, capacity, floors)
        price = solution.lead_price[:, None] + (solution.cap_price - solution.floor_price)[None, :]
        # A pair that was left out and would still pay its way: by duality, none left means optimal over all pairs, and
        # with some left the optimum is better by no more than what each lead would gain by its best one.
        gain = SERVED + probability - price
        missing = eligible & ~considered & (gain > 1e-9)
        if np.where(missing, gain, 0.0).max(axis=1, initial=0.0).sum() <= within * len(probability):
            return solution, considered
        # The best of them change the prices of the rest: with all at once the programme has hundreds times the pairs.
        considered |= _most_promising(gain, missing)


def _most_promising(value: Floats, among: Flags) -> Flags:
    """The few best pairs of each lead and of each rep."""
    known = np.where(among, value, -np.inf)
    return among & (_best(known, axis=0) | _best(known, axis=1))


def _best(value: Floats, *, axis: int) -> Flags:
    if value.shape[axis] <= 2 * AT_ONCE:
        return np.ones(value.shape, dtype=bool)
    places = np.argpartition(-value, AT_ONCE, axis=axis)
    best = np.zeros(value.shape, dtype=bool)
    np.put_along_axis(best, places.take(range(AT_ONCE), axis=axis), True, axis=axis)
    return best


def _solve(probability: Floats, pairs: Flags, capacity: Floats, floors: Floats | None) -> _Solution:
    """The programme over `pairs` alone, with its dual prices, all of them at least 0."""
    from scipy import sparse  # not above: a worker is ready before it solves its first prices
    from scipy.optimize import linprog

    n, m = pairs.shape
    lead, rep = np.nonzero(pairs)
    if not len(lead):
        return _Solution(np.zeros(0), np.zeros(n), np.zeros(m), np.zeros(m))
    column = np.arange(len(lead))
    ones = np.ones(len(lead))
    limited = np.flatnonzero(np.isfinite(capacity))
    row_of = np.full(m, -1)
    row_of[limited] = np.arange(len(limited))
    bounded = row_of[rep] >= 0
    blocks = [
        [sparse.csr_array((ones, (lead, column)), shape=(n, len(lead)))],
        [sparse.csr_array((ones[bounded], (row_of[rep[bounded]], column[bounded])), shape=(len(limited), len(lead)))],
    ]
    limit = [np.ones(n), capacity[limited]]
    worth = SERVED + probability[lead, rep]
    if floors is not None:  # leads of r + shortfall of r >= floor of r
        given = sparse.csr_array((-ones, (rep, column)), shape=(m, len(lead)))
        blocks = [[*row, sparse.csr_array((row[0].shape[0], m))] for row in blocks]
        blocks.append([given, -sparse.eye_array(m, format="csr")])
        limit.append(-floors)
        worth = np.concatenate([worth, np.full(m, -SHORTFALL)])
    # Of 600 leads and 1,000 reps the simplex takes a half of the time, of 3,000 leads and 300 reps seven times as long.
    method = "highs-ds" if 3 * n < 2 * m else "highs-ipm"
    table = sparse.block_array(blocks, format="csr")
    result = linprog(-worth, A_ub=table, b_ub=np.concatenate(limit), method=method)
    if result.status != 0:
        raise ValueError(f"The matching could not be solved: {result.message}")
    price = np.maximum(-result.ineqlin.marginals, 0.0)
    cap_price = np.zeros(m)
    cap_price[limited] = price[n : n + len(limited)]
    floor_price = price[n + len(limited) :] if floors is not None else np.zeros(m)
    return _Solution(result.x[: len(lead)], price[:n], cap_price, floor_price)
