"""Leads in their order, each drawn among the reps who still have a slot: many at once, with the same outcome."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from serving.policy.exploration import Flags, Floats

Places = NDArray[np.int64]
MOST_AT_ONCE = 256  # leads; of more the drawn pairs no longer stay in the processor's cache


def draw_in_order(
    classes: Places, masks: Flags, left: Floats, points: Floats, chances: Callable[[Places, Places], Floats]
) -> tuple[Places, Floats, Floats]:
    """Who gets each lead, int (n,), -1: nobody is free; the chance of that, and the best that anybody had.

    Both chances (n,), NaN where nobody is free.

    classes : int (n,); masks : (n_classes, m), who may have a lead of a class; left : (m,) free slots;
    points : (n,), where in [0, 1) each draw falls; chances : of some leads (their rows) and some reps (their places,
    rising) the propensities, (rows, places), all above 0 and 1 together.

    Leads are drawn as if nobody's last slot were taken on the way, and those behind a lead that takes one again.
    """
    n, left = len(classes), left.copy()
    rep, chance, best = np.full(n, -1, dtype=np.int64), np.full(n, np.nan), np.full(n, np.nan)
    begin, many = 0, MOST_AT_ONCE
    while begin < n:
        rows = np.arange(begin, min(begin + many, n))
        drawn, likely, likeliest = _drawn(rows, classes[rows], masks & (left >= 1), points[rows], chances)
        good = _before_a_last_slot(drawn, left)
        taken = rows[:good]
        rep[taken], chance[taken], best[taken] = drawn[:good], likely[:good], likeliest[:good]
        left -= np.bincount(drawn[:good][drawn[:good] >= 0], minlength=len(left))
        begin, many = begin + good, min(2 * good, MOST_AT_ONCE)
    return rep, chance, best


def _drawn(
    rows: Places, classes: Places, available: Flags, points: Floats, chances: Callable[[Places, Places], Floats]
) -> tuple[Places, Floats, Floats]:
    rep = np.full(len(rows), -1, dtype=np.int64)
    chance, best = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for one in np.unique(classes):
        free = np.flatnonzero(available[one])
        if not len(free):
            continue
        here = np.flatnonzero(classes == one)
        each = chances(rows[here], free)
        total = each.cumsum(axis=1)
        place = (total <= (points[here] * total[:, -1])[:, None]).sum(axis=1)
        place = np.minimum(place, len(free) - 1)  # rounding may put the point on the very end
        rep[here], chance[here] = free[place], each[np.arange(len(here)), place]
        best[here] = each.max(axis=1)
    return rep, chance, best


def _before_a_last_slot(rep: Places, left: Floats) -> int:
    """How many leads there are up to the first who takes somebody's last slot, that one included."""
    order = np.argsort(rep, kind="stable")
    among = rep[order]
    taken = np.arange(len(rep)) - np.searchsorted(among, among) + 1
    last = order[(among >= 0) & (left[among] - taken < 1)]
    return int(last.min()) + 1 if len(last) else len(rep)
