"""One lead before chance has its say: who could get it, how likely it converts under each, and every rep's chance."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.roster import Rep
from data.store.load_book import RosterLoads
from serving.deciding.in_force import InForce, Seen
from serving.deciding.scorer import LeadScores
from serving.policy import arms
from serving.policy.choice import Choice, chances_of, choice_of
from serving.policy.eligibility import FULL, Screening
from serving.policy.exploration import AS_GOOD, Flags, Floats
from serving.policy.methods import Situation, State
from serving.policy.routes import Way
from training.uplift import Interval

log = logging.getLogger(__name__)
WAITING_LEADS, OFF_ROUTE = "too many leads wait for a first contact", "outside the route"


@dataclass(frozen=True)
class Considered:
    """A lead, scored and screened. Vectors are over the candidates: the eligible reps in the roster's order."""

    in_force: InForce
    lead: Mapping[str, Any]
    at: datetime
    screening: Screening
    places: NDArray[np.int64]  # of the candidates in the roster
    candidates: tuple[Rep, ...]
    scores: LeadScores | None
    probability: Floats  # the baseline where reps cannot be told apart; NaN without a model
    degraded: str | None
    baseline: float | None = None
    lead_score: int | None = None
    grade: str | None = None
    _intervals: dict[int, Interval] = field(default_factory=dict)

    def uplift(self, candidate: int) -> Interval | None:
        """The candidate's uplift with its interval; worked out once, as the answer and the ledger both need it."""
        if self.scores is None:
            return None
        if candidate not in self._intervals:
            self._intervals[candidate] = self.scores.uplift(int(self.places[candidate]), self.screening.eligible)
        return self._intervals[candidate]

    @cached_property
    def rep_ids(self) -> tuple[str, ...]:
        """The candidates' ids."""
        if self.candidates is self.in_force.roster.reps:
            return self.in_force.roster.ids
        return tuple(map(self.in_force.roster.ids.__getitem__, self.places.tolist()))

    @property
    def contact_minutes(self) -> int:
        """Minutes within which the lead should be contacted."""
        return self.in_force.rules.contact_within_minutes.minutes(self.grade)

    @property
    def expected_value(self) -> float | None:
        """What the lead is worth once it is won, where the model can tell."""
        return self.scores.expected_value if self.scores else None

    @property
    def way(self) -> Way:
        """How the rule book has this lead given out."""
        return self.in_force.routes.way_of(
            self.lead, grade=self.grade, lead_score=self.lead_score, expected_value=self.expected_value
        )

    def room(self, loads: RosterLoads, seen: Seen) -> "Room":
        """Who of the candidates is free at this moment. loads : of the roster that the lead was screened against."""
        free = self.in_force.screener.room(self.places, loads, self.at)
        room = Room(self, free, self.screening.excluded).without(free, FULL)
        most = self.in_force.rules.follow_up.most_uncontacted
        if most is None:
            return room
        waiting = np.array([seen.uncontacted.get(rep.rep_id, 0) < most for rep in self.candidates], dtype=bool)
        return Room(self, free & waiting, room.excluded).without(waiting | ~free, WAITING_LEADS)


@dataclass(frozen=True)
class Room:
    """Who of the candidates could get the lead now, and why everybody else on the roster could not."""

    considered: Considered
    available: Flags
    excluded: Mapping[str, tuple[str, ...]]

    def without(self, kept: Flags, why: str) -> "Room":
        """The same with a reason for those who are not kept."""
        if kept.all():
            return self
        ids = tuple(rep.rep_id for rep, keep in zip(self.considered.candidates, kept, strict=True) if not keep)
        return Room(self.considered, self.available & kept, {**self.excluded, why: ids})

    def among(self, way: Way) -> "Room":
        """The same among a route's own reps."""
        if way.members is None:
            return self
        own = way.members[self.considered.places]
        return self.without(own | ~self.available, OFF_ROUTE)


@dataclass(frozen=True)
class Chances:
    """Every candidate's chance to get the lead, under each arm and before the arm was known."""

    room: Room
    way: Way
    choice: Choice
    prices: Floats
    policy: Floats
    control: Floats
    mixture: Floats
    held_out: bool
    state: State
    relative_value: float

    @cached_property
    def _best(self) -> float:
        """The best chance that the policy gives to anybody."""
        return float(self.policy.max())

    @property
    def available(self) -> Flags:
        """Who could get the lead."""
        return self.room.available

    def drawn(self, seed: int, number: int) -> int:
        """The candidate who is drawn; each number is another draw from the same chances."""
        return arms.drawn(self.control if self.held_out else self.policy, arms.fraction("draw", seed, number))

    def arm(self, candidate: int) -> str:
        """The arm to log for a draw of this candidate."""
        if self.held_out:
            return "holdout"
        if self.choice.arm == "model" and self.policy[candidate] < self._best - AS_GOOD:
            return "explore"
        return self.choice.arm


def consider(
    in_force: InForce, lead: Mapping[str, Any], *, at: datetime, had_it: Sequence[str] = ()
) -> Considered:
    """The lead scored against the roster, and the roster screened for the lead.

    had_it : rep ids from whom the lead was taken, and who do not get it back yet.
    """
    scores, degraded = _scored(in_force, lead, at)

    def minutes_for(eligible: Flags) -> int:
        grade = scores.grade(eligible) if scores is not None and eligible.any() else None
        return in_force.rules.contact_within_minutes.minutes(grade)

    reps = in_force.roster.reps
    screening = in_force.screener.screen(lead, at=at, minutes_for=minutes_for, had_it=had_it)
    places = screening.eligible.nonzero()[0]
    everybody = len(places) == len(reps)
    candidates = reps if everybody else tuple(map(reps.__getitem__, places.tolist()))
    if scores is None or not len(places):
        nothing = np.full(len(places), np.nan)
        return Considered(in_force, lead, at, screening, places, candidates, scores, nothing, degraded)
    baseline = scores.baseline(screening.eligible)
    told_apart = scores.probability[places] if in_force.distinguishes else np.full(len(places), baseline)
    return Considered(
        in_force, lead, at, screening, places, candidates, scores, told_apart, degraded,
        baseline=baseline,
        lead_score=scores.lead_score(screening.eligible),
        grade=scores.grade(screening.eligible),
    )  # fmt: skip


def chances(
    considered: Considered,
    everybody: Room,
    loads: RosterLoads,
    prices: Floats,
    seen: Seen,
    *,
    method: str | None = None,
    usual_value: float | None = None,
) -> Chances | Room:
    """Every candidate's chance; the room alone where nobody is free.

    everybody : the candidates' room before the lead's route. method : what decides in place of the rule book's own.
    usual_value : what a lead is usually worth once it is won; None where that is not known.
    """
    in_force, way = considered.in_force, considered.way
    room = everybody.among(way)
    while way.members is not None and not room.available.any():
        way = in_force.routes.onward(way)
        room = everybody.among(way)
    if not room.available.any():
        return room
    choice = choice_of(
        in_force.rules,
        way,
        mode=in_force.mode,
        at=considered.at,
        has_model=considered.scores is not None,
        distinguishes=in_force.distinguishes,
        method=method,
    )
    state = _state(considered, loads, seen, room.available)
    value = relative_value(considered, usual_value)
    situation = Situation(
        considered.lead, considered.candidates, room.available, considered.probability, prices, state, value
    )
    policy, control, mixture = chances_of(choice, situation)
    return Chances(
        room=room,
        way=way,
        choice=choice,
        prices=prices,
        policy=policy,
        control=control,
        mixture=mixture,
        held_out=arms.in_holdout(
            str(considered.lead["lead_id"]), seed=in_force.rules.seed, share=choice.share
        ),
        state=state,
        relative_value=value,
    )


def relative_value(considered: Considered, usual_value: float | None) -> float:
    """What the lead is worth, in usual leads: 1 where only conversions count."""
    value = considered.expected_value
    if considered.in_force.rules.objective != "revenue" or not value or not usual_value:
        return 1.0
    return value / usual_value


def _scored(in_force: InForce, lead: Mapping[str, Any], at: datetime) -> tuple[LeadScores | None, str | None]:
    if in_force.scorer is None or not in_force.roster.reps:
        return None, in_force.degraded
    try:
        scores = in_force.scorer.score(lead, at=at)
        if not np.isfinite(scores.probability).all():
            raise ValueError("a probability is not a number")
    except Exception as error:  # a lead that the model cannot take must still get a rep
        _on_probation(in_force, well=False)
        log.error("a lead could not be scored", exc_info=error)
        return None, "the model could not score this lead"
    _on_probation(in_force, well=True)
    return scores, in_force.degraded


def _on_probation(in_force: InForce, *, well: bool) -> None:
    if in_force.loaded is not None:
        in_force.loaded.probation.note(well=well)


def _state(considered: Considered, loads: RosterLoads, seen: Seen, available: Flags) -> State:
    rep_ids, rules = considered.rep_ids, considered.in_force.rules
    won = closed = np.zeros(len(rep_ids), dtype=np.int64)
    if seen.records:
        won, closed = np.array([seen.records.get(rep_id, (0, 0)) for rep_id in rep_ids], dtype=np.int64).T
    hours = None
    if seen.response_hours is not None:
        hours = _unknown(len(rep_ids))
        if seen.response_hours:
            hours = np.array([seen.response_hours.get(rep_id, np.nan) for rep_id in rep_ids], dtype=float)
    return State(
        open_leads=loads.open[considered.places],
        today=loads.today[considered.places],
        won=won,
        closed=closed,
        at=considered.at,
        grade=considered.grade,
        lead_score=considered.lead_score,
        response_hours=hours,
        bounds=considered.in_force.comings.bounds(
            considered.places, considered.at, rules.newcomers, rules.absence, available=available
        ),
    )


@lru_cache(maxsize=8)
def _unknown(many: int) -> Floats:
    """So many numbers that nobody knows. Not to be changed."""
    unknown = np.full(many, np.nan)
    unknown.flags.writeable = False
    return unknown
