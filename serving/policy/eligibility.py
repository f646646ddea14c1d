"""Who could get the lead (eligible), who of them has room at this moment (available), and why not the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data.roster import Rep
from serving.policy.exploration import Flags
from serving.policy.hours import works_between
from serving.policy.rulebook import HardRules

INACTIVE, LEFT, NOT_YET = "inactive", "left", "not hired yet"
ABSENT, ELSEWHERE, OFF_HOURS, FULL = "absent", "another region", "off hours", "at capacity"


@dataclass(frozen=True)
class Room:
    """How full a rep is: open leads that leadmatch assigned, and leads given on the rep's local day."""

    open: int = 0
    today: int = 0


@dataclass(frozen=True)
class Screening:
    """The roster, screened for one lead."""

    eligible: Flags  # over the whole roster
    available: Flags  # over the whole roster; a subset of `eligible`
    excluded: Mapping[str, tuple[str, ...]]  # why -> rep ids; "at capacity": eligible, but not available
    warnings: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many reps were not asked, by reason, largest first."""
        return {why: len(ids) for why, ids in sorted(self.excluded.items(), key=lambda item: -len(item[1]))}


def screen(
    lead: Mapping[str, Any],
    reps: Sequence[Rep],
    rooms: Mapping[str, Room],
    rules: HardRules,
    *,
    at: datetime,
    minutes: int,
) -> Screening:
    """Eligible and available reps for `lead`, which should be contacted within `minutes` of `at`."""
    region, warnings = _region_to_cover(lead, reps, rules, at)
    deadline = at + timedelta(minutes=minutes)
    at_work: dict[tuple[str, str], bool] = {}
    eligible = np.zeros(len(reps), dtype=bool)
    available = np.zeros(len(reps), dtype=bool)
    excluded: dict[str, list[str]] = {}
    for place, rep in enumerate(reps):
        why = _away(rep, at)
        if why is None and region is not None and not covers(rep, region):
            why = ELSEWHERE
        if why is None and rules.working_hours and rep.hours:
            shift = (rep.hours, rep.time_zone)
            if shift not in at_work:  # a roster knows few shifts, so each is worked out once
                at_work[shift] = works_between(*shift, at, deadline)
            why = None if at_work[shift] else OFF_HOURS
        if why is None:
            eligible[place] = True
            why = None if has_room(rep, rooms.get(rep.rep_id, Room())) else FULL
        available[place] = why is None
        if why is not None:
            excluded.setdefault(why, []).append(rep.rep_id)
    return Screening(eligible, available, {why: tuple(ids) for why, ids in excluded.items()}, warnings)


def covers(rep: Rep, region: str) -> bool:
    """Whether the rep takes leads from `region`; one who states no region takes all."""
    stated = {_plain(name) for name in (*rep.regions, rep.region) if name}
    return not stated or _plain(region) in stated


def has_room(rep: Rep, room: Room) -> bool:
    """Whether the rep is below every limit."""
    below_open = rep.capacity is None or room.open + rep.open_count < rep.capacity
    return below_open and (rep.daily_limit is None or room.today < rep.daily_limit)


def _away(rep: Rep, at: datetime) -> str | None:
    if not rep.active:
        return INACTIVE
    if rep.left_at is not None and rep.left_at <= at:
        return LEFT
    if rep.hired_at is not None and rep.hired_at > at:
        return NOT_YET
    begun = rep.absent_from is None or rep.absent_from <= at
    stated = rep.absent_from is not None or rep.absent_until is not None
    over = rep.absent_until is not None and rep.absent_until <= at
    return ABSENT if stated and begun and not over else None


def _region_to_cover(
    lead: Mapping[str, Any], reps: Sequence[Rep], rules: HardRules, at: datetime
) -> tuple[str | None, tuple[str, ...]]:
    region = lead.get("region")
    if not rules.region or not isinstance(region, str) or not region.strip():
        return None, ()
    if any(covers(rep, region) for rep in reps if rep.employed(at)):
        return region, ()
    # A region that nobody has ever covered is a gap or a misspelling; a lead must not be lost to it.
    return None, ("no rep covers the lead's region; the region rule was not applied",)


def _plain(name: str) -> str:
    return name.strip().casefold()
