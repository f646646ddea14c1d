"""Who could get the lead (eligible), who of them has room at this moment (available), and why not the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.roster import Rep
from data.store.load_book import RosterLoads
from serving.policy.conditions import folded
from serving.policy.exploration import Flags, Floats
from serving.policy.hours import works_between
from serving.policy.limits import Limits
from serving.policy.rep_tests import RuleTest, Words
from serving.policy.sections import RuleBook

INACTIVE, LEFT, NOT_YET = "inactive", "left", "not hired yet"
ABSENT, ELSEWHERE, OFF_HOURS, FULL = "absent", "another region", "off hours", "at capacity"
HAD_IT = "had the lead before"


@dataclass(frozen=True)
class Screening:
    """The roster, screened for one lead."""

    eligible: Flags  # over the whole roster
    excluded: Mapping[str, tuple[str, ...]]  # why -> rep ids


class Screener:
    """A rule book's hard rules laid out for one roster; build a new one when either changes."""

    def __init__(self, rules: RuleBook, reps: Sequence[Rep]) -> None:
        self.reps = tuple(reps)
        self.limits = Limits(rules, self.reps)
        self._rules = rules.eligibility
        self._ids = np.array([rep.rep_id for rep in reps], dtype=object)
        self._place = {rep.rep_id: place for place, rep in enumerate(reps)}
        self._everybody = np.ones(len(self.reps), dtype=bool)
        self._everybody.flags.writeable = False
        self._active = np.array([rep.active for rep in reps], dtype=bool)
        self._hired = _instants([rep.hired_at for rep in reps], -np.inf)
        self._left = _instants([rep.left_at for rep in reps], np.inf)
        # Without an end an absence lasts, without a begin it has begun; with neither there is none.
        stated = np.array([rep.absent_from is not None or rep.absent_until is not None for rep in reps], dtype=bool)
        self._gone = np.where(stated, _instants([rep.absent_from for rep in reps], -np.inf), np.inf)
        self._back = _instants([rep.absent_until for rep in reps], np.inf)
        # Mostly nobody breaks such a rule, and then there is no need to look at each.
        self._all_active, self._last_hired = bool(self._active.all()), self._hired.max(initial=-np.inf)
        self._first_left, self._first_gone = self._left.min(initial=np.inf), self._gone.min(initial=np.inf)
        self._regions = Words(reps, lambda rep: (*rep.regions, rep.region or ""))
        self._tests = [RuleTest(rule, reps) for rule in self._rules.rules]
        self._shifts = _Shifts(reps)

    def screen(
        self,
        lead: Mapping[str, Any],
        *,
        at: datetime,
        minutes_for: Callable[[Flags], int],
        had_it: Sequence[str] = (),
    ) -> Screening:
        """Who is eligible for `lead`, and the first reason in the order of the rules for everybody else.

        minutes_for : minutes within which the lead should be contacted, given who is eligible at any hour; the
            lead's grade, which tells them, is itself an average over the eligible.
        had_it : rep ids from whom the lead was taken, and who do not get it back yet.
        """
        found = self.at_any_hour(lead, at, had_it)
        if not self._rules.working_hours or not self._shifts.stated:
            return found
        working = self.working(at, minutes_for(found.eligible))
        return Screening(found.eligible & working, self._noted(found.excluded, found.eligible & ~working, OFF_HOURS))

    def at_any_hour(self, lead: Mapping[str, Any], at: datetime, had_it: Sequence[str] = ()) -> Screening:
        """The same, whatever the working hours."""
        left, excluded = self._everybody, dict[str, tuple[str, ...]]()
        for why, passes, waived_if_nobody in self._asked(lead, at, had_it):
            if passes.all():  # mostly so, and then there is nothing to note
                continue
            remaining = left & passes
            if waived_if_nobody and not remaining.any():
                continue
            excluded = self._noted(excluded, left & ~passes, why)
            left = remaining
        return Screening(left, excluded)

    def working(self, at: datetime, minutes: int) -> Flags:
        """Who is at work at some moment of the next minutes, shape (n_reps,); all where hours do not matter."""
        if not self._rules.working_hours:
            return self._everybody
        return self._shifts.working(at, at + timedelta(minutes=minutes))

    def _noted(self, excluded: Mapping[str, tuple[str, ...]], out: Flags, why: str) -> dict[str, tuple[str, ...]]:
        if not out.any():
            return dict(excluded)
        return {**excluded, why: (*excluded.get(why, ()), *self._ids[out].tolist())}

    def _asked(
        self, lead: Mapping[str, Any], at: datetime, had_it: Sequence[str]
    ) -> Iterator[tuple[str, Flags, bool]]:
        """Each rule that is about this lead: the reason for those who break it, who passes, and what if nobody does."""
        now = at.timestamp()
        if not self._all_active:
            yield INACTIVE, self._active, False
        if self._first_left <= now:
            yield LEFT, self._left > now, False
        if self._last_hired > now:
            yield NOT_YET, self._hired <= now, False
        if self._first_gone <= now:
            yield ABSENT, (self._gone > now) | (self._back <= now), False
        if had_it:
            had = [self._place.get(rep_id, -1) for rep_id in had_it]
            yield HAD_IT, ~np.isin(np.arange(len(self.reps)), had), False
        region = lead.get("region")
        if self._rules.region and isinstance(region, str) and region.strip():
            yield ELSEWHERE, self._regions.any_of(frozenset((folded(region),))) | self._regions.unstated, False
        for test in self._tests:
            passes = test.passes(lead)
            if passes is not None:
                yield test.rule.why, passes, test.rule.waived_if_nobody

    def columns(self) -> frozenset[str]:
        """The lead's columns that any rule looks at: leads that agree in them are screened alike."""
        named = {column for test in self._tests for column in (*test.rule.when, test.rule.lead) if column}
        return frozenset(named | ({"region"} if self._rules.region else set()))

    def room(self, places: NDArray[np.int64], loads: RosterLoads, at: datetime) -> Flags:
        """Who of the reps at these places is below every limit. loads : of the whole roster."""
        return self.limits.leave_room(loads, at)[places]


def away(rep: Rep, at: datetime) -> str | None:
    """Why the rep takes no lead at this moment, whatever the lead; None: she is here."""
    if not rep.active:
        return INACTIVE
    if rep.left_at is not None and rep.left_at <= at:
        return LEFT
    if rep.hired_at is not None and rep.hired_at > at:
        return NOT_YET
    stated = rep.absent_from is not None or rep.absent_until is not None
    begun = rep.absent_from is None or rep.absent_from <= at
    over = rep.absent_until is not None and rep.absent_until <= at
    return ABSENT if stated and begun and not over else None


class _Shifts:
    """Whose working hours meet a stretch of time; a roster knows few shifts, so each is worked out once."""

    def __init__(self, reps: Sequence[Rep]) -> None:
        self._known = sorted({(rep.hours, rep.time_zone) for rep in reps if rep.hours})
        number = {shift: place for place, shift in enumerate(self._known)}
        always = len(self._known)  # one who states no hours always works
        self._of = np.array(
            [number[rep.hours, rep.time_zone] if rep.hours else always for rep in reps], dtype=np.int64
        )

    @property
    def stated(self) -> bool:
        """Whether anybody states hours."""
        return bool(self._known)

    def working(self, begin: datetime, end: datetime) -> Flags:
        """Who works at some moment of the stretch, shape (n_reps,)."""
        return np.array([*(works_between(*shift, begin, end) for shift in self._known), True], dtype=bool)[self._of]


def _instants(moments: Sequence[datetime | None], unknown: float) -> Floats:
    return np.array([unknown if moment is None else moment.timestamp() for moment in moments], dtype=float)
