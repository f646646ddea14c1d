"""How many leads a rep may have: what she states, what the rule book states for others, and less in the first days."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from data.roster import Rep
from data.store.load_book import RosterLoads
from serving.policy.bounds import is_newcomer, settled
from serving.policy.exploration import Flags
from serving.policy.sections import RuleBook

NO_LIMIT = np.iinfo(np.int64).max

class Limits:
    """The limits of one roster under one rule book."""

    def __init__(self, rules: RuleBook, reps: Sequence[Rep]) -> None:
        self._reps = tuple(reps)
        self._newcomers = rules.newcomers
        given = rules.capacity
        self._open = [given.open_leads if rep.capacity is None else rep.capacity for rep in reps]
        self._today = [given.daily_leads if rep.daily_limit is None else rep.daily_limit for rep in reps]
        self._most_open, self._most_today = _numbers(self._open), _numbers(self._today)
        self._hired = np.array([rep.hired_at.timestamp() if rep.hired_at else -np.inf for rep in reps], dtype=float)

    def of(self, place: int, at: datetime) -> tuple[int | None, int | None]:
        """Most open leads and most leads a day of the rep at this place of the roster; None: no limit."""
        return self._growing(place, at), self._today[place]

    def leave_room(self, loads: RosterLoads, at: datetime) -> Flags:
        """Who of the roster is below every limit, shape (n_reps,). loads : of this roster's reps, in its order."""
        room: Flags = (loads.open < self._open_at(at)) & (loads.today < self._most_today)
        return room

    def _open_at(self, at: datetime) -> NDArray[np.int64]:
        """Most open leads of each rep; only those in their first days have others than usual."""
        if self._newcomers.open_leads is None:
            return self._most_open
        first_days = timedelta(days=self._newcomers.days + 1).total_seconds()  # a day more: `_growing` knows exactly
        most = self._most_open.copy()
        for place in np.flatnonzero(at.timestamp() - self._hired < first_days).tolist():
            grown = self._growing(place, at)
            most[place] = NO_LIMIT if grown is None else grown
        return most

    def _growing(self, place: int, at: datetime) -> int | None:
        first, most, rep = self._newcomers.open_leads, self._open[place], self._reps[place]
        if first is None or not is_newcomer(rep, at, self._newcomers) or (most is not None and most <= first):
            return most
        if most is None:  # towards no limit at all: the first day's number, doubled half-way, and so on
            return math.floor(first / max(1.0 - settled(rep, at, self._newcomers), 1e-6))
        return first + math.floor((most - first) * settled(rep, at, self._newcomers))


def _numbers(limits: Sequence[int | None]) -> NDArray[np.int64]:
    return np.array([NO_LIMIT if limit is None else limit for limit in limits], dtype=np.int64)
