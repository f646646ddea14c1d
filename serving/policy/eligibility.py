"""Who could get the lead (eligible), who of them has room at this moment (available), and why not the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data.roster import Rep
from data.store.capacity import Load
from serving.policy.exploration import Flags
from serving.policy.hours import works_between
from serving.policy.rulebook import HardRules

INACTIVE, LEFT, NOT_YET = "inactive", "left", "not hired yet"
ABSENT, ELSEWHERE, OFF_HOURS, FULL = "absent", "another region", "off hours", "at capacity"


@dataclass(frozen=True)
class Screening:
    """The roster, screened for one lead."""

    eligible: Flags  # over the whole roster
    available: Flags  # over the whole roster; a subset of `eligible`
    excluded: Mapping[str, tuple[str, ...]]  # why -> rep ids; "at capacity": eligible, but not available

    def counts(self) -> dict[str, int]:
        """How many reps were not asked, by reason, the most frequent first."""
        return {why: len(ids) for why, ids in sorted(self.excluded.items(), key=lambda item: -len(item[1]))}


def screen(
    lead: Mapping[str, Any],
    reps: Sequence[Rep],
    loads: Mapping[str, Load],
    rules: HardRules,
    *,
    at: datetime,
    minutes_for: Callable[[Flags], int],
) -> Screening:
    """Eligible and available reps for `lead`.

    minutes_for : minutes within which the lead should be contacted, given who is eligible at any hour; the
        lead's grade, which tells them, is itself an average over the eligible.
    """
    why: list[str | None] = [away(rep, at) or _elsewhere(rep, lead, rules) for rep in reps]
    if rules.working_hours:
        at_any_hour = np.array([reason is None for reason in why], dtype=bool)
        works = _Shifts(at, at + timedelta(minutes=minutes_for(at_any_hour)))
        why = [reason or (None if works.include(rep) else OFF_HOURS) for reason, rep in zip(why, reps, strict=True)]
    eligible = np.array([reason is None for reason in why], dtype=bool)
    why = [reason or (None if has_room(rep, loads) else FULL) for reason, rep in zip(why, reps, strict=True)]
    excluded: dict[str, list[str]] = {}
    for reason, rep in zip(why, reps, strict=True):
        if reason is not None:
            excluded.setdefault(reason, []).append(rep.rep_id)
    return Screening(
        eligible=eligible,
        available=np.array([reason is None for reason in why], dtype=bool),
        excluded={reason: tuple(ids) for reason, ids in excluded.items()},
    )


def has_room(rep: Rep, loads: Mapping[str, Load]) -> bool:
    """Whether the rep is below every limit; one who is not in `loads` has none of our leads."""
    load = loads.get(rep.rep_id, Load(open=rep.open_count, today=0))
    below_open = rep.capacity is None or load.open < rep.capacity
    return below_open and (rep.daily_limit is None or load.today < rep.daily_limit)


def covers(rep: Rep, region: str) -> bool:
    """Whether the rep takes leads from `region`; one who states no region takes all."""
    stated = {_plain(name) for name in (*rep.regions, rep.region) if name}
    return not stated or _plain(region) in stated


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


def _elsewhere(rep: Rep, lead: Mapping[str, Any], rules: HardRules) -> str | None:
    region = lead.get("region")
    if not rules.region or not isinstance(region, str) or not region.strip():
        return None
    return None if covers(rep, region) else ELSEWHERE


class _Shifts:
    """Whose working hours meet a stretch of time; a roster knows few shifts, so each is worked out once."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self._begin, self._end = begin, end
        self._known: dict[tuple[str, str], bool] = {}

    def include(self, rep: Rep) -> bool:
        """Whether `rep` works at some moment of the stretch; one who states no hours always does."""
        if not rep.hours:
            return True
        shift = (rep.hours, rep.time_zone)
        if shift not in self._known:
            self._known[shift] = works_between(*shift, self._begin, self._end)
        return self._known[shift]


def _plain(name: str) -> str:
    return name.strip().casefold()
