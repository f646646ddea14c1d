"""Reps who have just come, or come back: least and most of a chance, so that no method starves or floods them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from data.roster import Rep
from serving.policy.exploration import Flags, Floats
from serving.policy.sections import Absence, Newcomers

LONGEST_RETURN = timedelta(days=30)


@dataclass(frozen=True)
class Bounds:
    """Least and most of each rep's chance, in equal shares, shape (m,); 0 and inf where nothing binds."""

    least: Floats
    most: Floats


def bounds_of(
    reps: Sequence[Rep], at: datetime, newcomers: Newcomers, absence: Absence, *, available: Flags
) -> Bounds | None:
    """The bounds at a moment; None where nobody who is available is bound."""
    least, most = np.zeros(len(reps)), np.full(len(reps), np.inf)
    for place, rep in enumerate(reps):
        if not available[place]:
            continue
        if is_newcomer(rep, at, newcomers):
            least[place], most[place] = newcomers.floor, newcomers.ceiling
        if returned(rep, at):
            if absence.on_return == "catch_up":
                least[place] = max(least[place], absence.catch_up_at_most)
                most[place] = absence.catch_up_at_most
            else:
                most[place] = min(most[place], 1.0)
    if not least.any() and np.isinf(most).all():
        return None
    return Bounds(least, most)


def is_newcomer(rep: Rep, at: datetime, newcomers: Newcomers) -> bool:
    """Whether the rep was hired lately; one whose first day is not known was not."""
    return rep.hired_at is not None and at - rep.hired_at < timedelta(days=newcomers.days)


def settled(rep: Rep, at: datetime, newcomers: Newcomers) -> float:
    """How much of her first days a newcomer has behind her, 0 to 1."""
    if rep.hired_at is None or not newcomers.days:
        return 1.0
    return min(max((at - rep.hired_at) / timedelta(days=newcomers.days), 0.0), 1.0)


def returned(rep: Rep, at: datetime) -> bool:
    """Whether the rep came back from an absence no longer ago than she was away."""
    if rep.absent_until is None or rep.absent_until > at:
        return False
    away = rep.absent_until - rep.absent_from if rep.absent_from else LONGEST_RETURN
    return at - rep.absent_until < min(away, LONGEST_RETURN)


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
