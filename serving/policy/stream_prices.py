"""Leads in their order under prices and counters: who takes which slot, and how the prices follow what is asked for."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from serving.policy.exploration import Flags, Floats

# Worth of being served at all, beside the probability: one lead more is nearly always worth a worse match elsewhere.
SERVED: Final = 1.0
# Of the usual lead of the best rep over the next: how far a price moves where twice the slots are asked for. On worlds
# of 6,000 leads and 60 reps, .3 kept .978 of the joint optimum's gain, 1 kept .964, and prices that stay .929.
STEP = 0.3
SETTLING = 80  # steps from no prices to those of a sample
PAIRS_AT_ONCE = 100_000  # leads x reps: what is worked out for them stays in the processor's cache


def serve_in_order(
    probability: Floats, prices: Floats, classes: NDArray[np.int64], left: Floats, *, always: bool
) -> tuple[NDArray[np.int64], Floats]:
    """Who gets each lead when one after another takes the best that is still free, (n,), and how many asked first.

    The first are indices of reps, -1: nobody; the second, (m,), how many leads had each rep for their best.

    probability : (n, m); prices : (n_classes, m), of a rep's slot to the leads of a class, inf: not for them;
    classes : int (n,); left : (m,) free slots; always : even a slot that is dearer than a lead is worth is taken.
    All leads ask for their best at once; where too many ask for one rep, the later ones ask again, and an earlier
    one that comes back takes the place of a later one (Gale & Shapley, 1962): the outcome is that of the queue.
    """
    n, m = probability.shape
    prices, least = np.where(left >= 1, prices, np.inf), -np.inf if always else 0.0
    asked = _best(probability, SERVED, prices, classes, least)
    refused = np.zeros((n, m), dtype=bool)
    count = first = np.bincount(asked[asked >= 0], minlength=m)
    while np.any(count > left):
        order = np.argsort(asked, kind="stable")
        among = asked[order]
        place = np.arange(n) - np.searchsorted(among, np.arange(m))[np.maximum(among, 0)]
        turned = order[(among >= 0) & (place >= left[np.maximum(among, 0)])]
        refused[turned, asked[turned]] = True
        others = np.where(refused[turned], -np.inf, probability[turned])
        asked[turned] = _best(others, SERVED, prices, classes[turned], least)
        count = np.bincount(asked[asked >= 0], minlength=m)
    return asked, first.astype(float)


def _best(
    probability: Floats, served: float, prices: Floats, classes: NDArray[np.int64], least: float
) -> NDArray[np.int64]:
    """The rep who is worth most to each lead after the price, (n,); -1: nobody is worth more than `least`.

    served : what being served at all is worth, beside the probability.
    """
    n, m = probability.shape
    best = np.empty(n, dtype=np.int64)
    rows = max(PAIRS_AT_ONCE // m, 1)
    for begin in range(0, n, rows):
        some = slice(begin, begin + rows)
        worth = probability[some] + served
        worth -= prices[classes[some]]
        found = np.argmax(worth, axis=1)
        best[some] = np.where(worth[np.arange(len(found)), found] > least, found, -1)
    return best


def settled(probability: Floats, eligible: Flags, capacity: Floats, floors: Floats) -> Floats:
    """Prices at which about as many leads ask for each rep as should, (m,): the stream's own steps, on a sample.

    For rosters too long for the linear programme, and for it to begin with. Arguments as for `prices.shadow_prices`.
    """
    worth = np.where(eligible, probability, -np.inf)
    prices, step = np.zeros(probability.shape[1]), usual_lead(worth)
    alike = np.zeros(len(worth), dtype=np.int64)
    for number in range(SETTLING):
        best = _best(worth, 0.0, prices[None], alike, -np.inf)
        asked = np.bincount(best[best >= 0], minlength=len(prices)).astype(float)
        # Large steps first, to come near; the last ones are those of the stream.
        prices = moved(prices, asked, floors, capacity, step * (STEP + 3 * (1 - number / SETTLING) ** 2))
    return prices


def usual_lead(worth: Floats) -> float:
    """By how much the best rep leads the next, the median over leads: the scale on which prices matter.

    worth : (n, m), -inf for who is not eligible.
    """
    if worth.shape[1] < 2 or not len(worth):
        return 0.0
    two = np.partition(worth, worth.shape[1] - 2, axis=1)[:, -2:]
    known = np.isfinite(two).all(axis=1)
    return float(np.median(two[known, 1] - two[known, 0])) if known.any() else 0.0


def moved(prices: Floats, asked: Floats, least: Floats, most: Floats, step: float) -> Floats:
    """The prices after leads asked for the reps so often, (m,): dearer above `most`, cheaper where that is not reached.

    asked, least, most : (m,) leads that would go to each rep at these prices, and how many should (inf: no limit).
    A price falls below 0 only where fewer than `least` ask.
    """
    with np.errstate(divide="ignore"):  # no limit: never over it
        over = np.maximum(np.log((asked + 1) / (most + 1)), -1.0)
    under = np.log((asked + 1) / (least + 1))
    falling = np.maximum(prices + step * over, 0.0)
    aided = np.where(under < 0, prices + step * under, np.minimum(prices + step * under, 0.0))
    return np.where(over > 0, prices + step * over, np.where(prices > 0, falling, aided))
