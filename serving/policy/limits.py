"""How many leads a rep may have: what she states, what the rule book states for others, and less in the first days."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from data.roster import Rep
from data.store.capacity import Load
from serving.policy.bounds import is_newcomer, settled
from serving.policy.sections import RuleBook


class Limits:
    """The limits of one roster under one rule book."""

    def __init__(self, rules: RuleBook, reps: Sequence[Rep]) -> None:
        self._reps = tuple(reps)
        self._newcomers = rules.newcomers
        given = rules.capacity
        self._open = [given.open_leads if rep.capacity is None else rep.capacity for rep in reps]
        self._today = [given.daily_leads if rep.daily_limit is None else rep.daily_limit for rep in reps]

    def of(self, place: int, at: datetime) -> tuple[int | None, int | None]:
        """Most open leads and most leads a day of the rep at this place of the roster; None: no limit."""
        return self._growing(place, at), self._today[place]

    def has_room(self, place: int, loads: Mapping[str, Load], at: datetime) -> bool:
        """Whether the rep is below every limit; one who is not in `loads` has none of our leads."""
        rep = self._reps[place]
        load = loads.get(rep.rep_id)
        held, today = (rep.open_count, 0) if load is None else (load.open, load.today)
        most_open, most_today = self.of(place, at)
        return (most_open is None or held < most_open) and (most_today is None or today < most_today)

    def _growing(self, place: int, at: datetime) -> int | None:
        first, most, rep = self._newcomers.open_leads, self._open[place], self._reps[place]
        if first is None or not is_newcomer(rep, at, self._newcomers) or (most is not None and most <= first):
            return most
        if most is None:  # towards no limit at all: the first day's number, doubled half-way, and so on
            return math.floor(first / max(1.0 - settled(rep, at, self._newcomers), 1e-6))
        return first + math.floor((most - first) * settled(rep, at, self._newcomers))
