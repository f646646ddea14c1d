"""How many leads a rep may have: what she states, what the rule book states for others, and less in the first days."""

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from data.roster import Rep
from serving.policy.bounds import is_newcomer, settled
from serving.policy.exploration import Flags, Floats
from serving.policy.sections import RuleBook


class Limits:
    """The limits of one roster under one rule book."""

    def __init__(self, rules: RuleBook, reps: Sequence[Rep]) -> None:
        self._reps = tuple(reps)
        self._newcomers = rules.newcomers
        given = rules.capacity
        self._open = [given.open_leads if rep.capacity is None else rep.capacity for rep in reps]
        self._today = [given.daily_leads if rep.daily_limit is None else rep.daily_limit for rep in reps]
        self._most_open, self._most_today = _unlimited(self._open), _unlimited(self._today)

    def of(self, place: int, at: datetime) -> tuple[int | None, int | None]:
        """Most open leads and most leads a day of the rep at this place of the roster; None: no limit."""
        return self._growing(place, at), self._today[place]

    def has_room(self, held: NDArray[np.int64], today: NDArray[np.int64], at: datetime) -> Flags:
        """Who is below every limit, shape (n_reps,). held, today : each rep's open leads, and those of her day."""
        most_open = self._most_open
        if self._newcomers.open_leads is not None:
            most_open = _unlimited([self._growing(place, at) for place in range(len(self._reps))])
        return (held < most_open) & (today < self._most_today)

    def _growing(self, place: int, at: datetime) -> int | None:
        first, most, rep = self._newcomers.open_leads, self._open[place], self._reps[place]
        if first is None or not is_newcomer(rep, at, self._newcomers) or (most is not None and most <= first):
            return most
        if most is None:  # towards no limit at all: the first day's number, doubled half-way, and so on
            return math.floor(first / max(1.0 - settled(rep, at, self._newcomers), 1e-6))
        return first + math.floor((most - first) * settled(rep, at, self._newcomers))


def _unlimited(limits: Sequence[int | None]) -> Floats:
    return np.array([np.inf if limit is None else limit for limit in limits], dtype=float)
