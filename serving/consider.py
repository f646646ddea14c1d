"""One lead before chance has its say: who could get it, how likely it converts under each, and every rep's chance."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.roster import Rep
from data.store.capacity import Load
from serving.in_force import InForce
from serving.policy import arms
from serving.policy.eligibility import FULL, Screening, has_room, screen
from serving.policy.exploration import EARN, LEARN, Flags, Floats
from serving.policy.methods import METHODS, MethodSettings, Situation, State
from serving.scorer import LeadScores
from training.uplift import Interval

log = logging.getLogger(__name__)
Records = Mapping[str, tuple[int, int]]


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
    probability: Floats  # NaN without a model
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

    @property
    def contact_minutes(self) -> int:
        """Minutes within which the lead should be contacted."""
        return self.in_force.rules.contact_within_minutes.minutes(self.grade)

    def available(self, loads: Mapping[str, Load]) -> Flags:
        """Who of the candidates is below every limit."""
        return np.array([has_room(rep, loads) for rep in self.candidates], dtype=bool)

    def excluded(self, available: Flags) -> dict[str, tuple[str, ...]]:
        """Why which reps did not get the lead, given who of the candidates was available in the end."""
        full = tuple(rep.rep_id for rep, free in zip(self.candidates, available, strict=True) if not free)
        others = {why: ids for why, ids in self.screening.excluded.items() if why != FULL}
        return others | ({FULL: full} if full else {})


@dataclass(frozen=True)
class Chances:
    """Every candidate's chance to get the lead, under each arm and before the arm was known."""

    available: Flags
    prices: Floats
    policy: Floats
    control: Floats
    mixture: Floats
    share: float  # of the leads that goes to the control
    held_out: bool
    state: State
    arm_of_policy: str  # model, rule or fallback

    def drawn(self, seed: int, number: int) -> int:
        """The candidate who is drawn; each number is another draw from the same chances."""
        return arms.drawn(self.control if self.held_out else self.policy, arms.fraction("draw", seed, number))

    def arm(self, candidate: int) -> str:
        """The arm to log for a draw of this candidate."""
        if self.held_out:
            return "holdout"
        if self.arm_of_policy == "model" and self.policy[candidate] < self.policy.max() - 1e-12:
            return "explore"
        return self.arm_of_policy


def consider(in_force: InForce, lead: Mapping[str, Any], loads: Mapping[str, Load], *, at: datetime) -> Considered:
    """The lead scored against the roster, and the roster screened for the lead."""
    scores, degraded = _scored(in_force, lead, at)

    def minutes_for(eligible: Flags) -> int:
        grade = scores.grade(eligible) if scores is not None and eligible.any() else None
        return in_force.rules.contact_within_minutes.minutes(grade)

    reps = in_force.roster.reps
    screening = screen(lead, reps, loads, in_force.rules.eligibility, at=at, minutes_for=minutes_for)
    places = np.flatnonzero(screening.eligible)
    candidates = tuple(reps[place] for place in places)
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
    considered: Considered, loads: Mapping[str, Load], prices: Floats, records: Records
) -> Chances | None:
    """Every candidate's chance; None where nobody is available."""
    in_force, rules = considered.in_force, considered.in_force.rules
    available = considered.available(loads)
    if not available.any():
        return None
    state = _state(considered, loads, records)
    situation = Situation(considered.lead, considered.candidates, available, considered.probability, prices, state)
    mode = in_force.mode
    settings = MethodSettings(
        exploration=LEARN if rules.exploration == "learn" or (rules.exploration, mode) == ("auto", "trial") else EARN,
        weights=rules.weights,
        distinguishes=in_force.distinguishes,
    )
    name, arm = rules.method, "model" if rules.method == "model" else "rule"
    share = rules.holdout.trial if mode == "trial" else rules.holdout.live
    if name == "model" and considered.scores is None:
        name, arm, share = rules.fallback, "fallback", 0.0
    elif name == "model" and not in_force.distinguishes:
        share = 0.0  # the policy is rotation itself: there is nothing to hold out
    policy = METHODS[name](situation, settings)
    control = METHODS[rules.control](situation, settings)
    return Chances(
        available=available,
        prices=prices,
        policy=policy,
        control=control,
        mixture=arms.mixture(control, policy, share),
        share=share,
        held_out=arms.in_holdout(str(considered.lead["lead_id"]), seed=rules.seed, share=share),
        state=state,
        arm_of_policy=arm,
    )


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


def _state(considered: Considered, loads: Mapping[str, Load], records: Records) -> State:
    reps: Sequence[Rep] = considered.candidates
    load = [loads.get(rep.rep_id, Load(open=rep.open_count, today=0)) for rep in reps]
    record = np.array([records.get(rep.rep_id, (0, 0)) for rep in reps], dtype=np.int64).reshape(-1, 2)
    return State(
        open_leads=np.array([each.open for each in load], dtype=np.int64),
        today=np.array([each.today for each in load], dtype=np.int64),
        won=record[:, 0],
        closed=record[:, 1],
        at=considered.at,
        grade=considered.grade,
        lead_score=considered.lead_score,
    )
