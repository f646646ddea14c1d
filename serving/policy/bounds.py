"""Reps who have just come, or come back: least and most of a chance, so that no method starves or floods them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from data.roster import Rep
from data.store.columns import to_microseconds
from serving.policy.exploration import Flags, Floats
from serving.policy.sections import Absence, Newcomers

LONGEST_RETURN = timedelta(days=30)
_MICROSECOND = timedelta(microseconds=1)
_UNKNOWN = -(2**62)  # before any moment, and far enough from the end of the whole numbers to be reckoned with


@dataclass(frozen=True)
class Bounds:
    """Least and most of each rep's chance, in equal shares, shape (m,); 0 and inf where nothing binds."""

    least: Floats
    most: Floats


class Comings:
    """When each rep of a roster came, and came back, laid out once a roster, in microseconds since 1970."""

    def __init__(self, reps: Sequence[Rep]) -> None:
        self._hired = _instants([rep.hired_at for rep in reps])
        self._back = _instants([rep.absent_until for rep in reps])
        gone = _instants([rep.absent_from for rep in reps])
        unknown = (self._back == _UNKNOWN) | (gone == _UNKNOWN)
        longest = LONGEST_RETURN // _MICROSECOND
        # Until when she takes part as one who has come back.
        self._settled = self._back + np.where(unknown, longest, np.minimum(self._back - gone, longest))
        self._newest, self._last_settled = self._hired.max(initial=_UNKNOWN), self._settled.max(initial=_UNKNOWN)

    def bounds(
        self, places: NDArray[np.int64], at: datetime, newcomers: Newcomers, absence: Absence, *, available: Flags
    ) -> Bounds | None:
        """The bounds of the reps at these places at a moment; None where nobody who is available is bound."""
        now = to_microseconds(at)
        grown = now - timedelta(days=newcomers.days) // _MICROSECOND  # who was hired by then is no newcomer
        if self._newest <= grown and self._last_settled <= now:
            return None
        new = available & (self._hired[places] > grown)
        returned = available & (self._back[places] <= now) & (now < self._settled[places])
        if not new.any() and not returned.any():
            return None
        least = np.where(new, newcomers.floor, 0.0)
        most = np.where(new, newcomers.ceiling, np.inf)
        if absence.on_return == "catch_up":
            least = np.where(returned, np.maximum(least, absence.catch_up_at_most), least)
            most = np.where(returned, absence.catch_up_at_most, most)
        else:
            most = np.where(returned, np.minimum(most, 1.0), most)
        if not least.any() and np.isinf(most).all():
            return None
        return Bounds(least, most)


def bounds_of(
    reps: Sequence[Rep], at: datetime, newcomers: Newcomers, absence: Absence, *, available: Flags
) -> Bounds | None:
    """The bounds of these reps at a moment; None where nobody who is available is bound."""
    return Comings(reps).bounds(np.arange(len(reps)), at, newcomers, absence, available=available)


def is_newcomer(rep: Rep, at: datetime, newcomers: Newcomers) -> bool:
    """Whether the rep was hired lately; one whose first day is not known was not."""
    return rep.hired_at is not None and at - rep.hired_at < timedelta(days=newcomers.days)


def settled(rep: Rep, at: datetime, newcomers: Newcomers) -> float:
    """How much of her first days a newcomer has behind her, 0 to 1."""
    if rep.hired_at is None or not newcomers.days:
        return 1.0
    return min(max((at - rep.hired_at) / timedelta(days=newcomers.days), 0.0), 1.0)


def _instants(moments: Sequence[datetime | None]) -> NDArray[np.int64]:
    """The moments in microseconds since 1970; long before all of them where there is none."""
    return np.array([_UNKNOWN if each is None else to_microseconds(each) for each in moments], dtype=np.int64)


def within(chances: Floats, bounds: Bounds, available: Flags, among: Callable[[Flags], Floats]) -> Floats:
    """Chances that keep to the bounds as far as they can be kept, and still add up to 1.

    among : the method's own chances where only these reps are available; it shares out what a ceiling takes away.
    """
    equal = 1.0 / np.count_nonzero(available)
    kept = _capped(chances, bounds.most * equal, available, among)
    floor = np.where(available, np.minimum(bounds.least * equal, bounds.most * equal), 0.0)
    short = kept < floor
    if not short.any():
        return kept
    # Those below their floor are lifted to it; the others give in proportion to what they have above theirs.
    spare = np.where(short, 0.0, kept - floor)
    needed = float((floor - kept)[short].sum())
    if spare.sum() <= 0:
        return kept
    given = min(needed / float(spare.sum()), 1.0)
    lifted = kept + (floor - kept) * min(float(spare.sum()) / needed, 1.0)
    return np.where(short, lifted, kept - given * spare)


def _capped(chances: Floats, cap: Floats, available: Flags, among: Callable[[Flags], Floats]) -> Floats:
    held = np.zeros(len(chances), dtype=bool)
    kept = chances
    while True:
        over = available & ~held & (kept > cap + 1e-15)
        if not over.any():
            return kept
        held |= over
        others = available & ~held
        if not others.any():  # everybody is bound and the caps do not add up to 1: in proportion to them
            return np.where(available, cap, 0.0) / cap[available].sum()
        left = 1.0 - float(cap[held].sum())
        kept = np.where(held, cap, left * among(others))
