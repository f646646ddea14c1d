"""A rule book on decisions that another one made: every rep's chance worked out again from what was logged then.

The reps who were free, how likely each was to convert, the prices of their slots and what the methods saw are read,
never guessed; what the other book would have done before (and so what load it would have met) is not replayed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.roster import Rep
from serving.policy import arms
from serving.policy.bounds import bounds_of
from serving.policy.choice import Choice, chances_of, choice_of
from serving.policy.eligibility import Screener
from serving.policy.exploration import Flags, Floats
from serving.policy.methods import Situation, State
from serving.policy.routes import Routes, Way
from serving.policy.sections import RuleBook

WAITS, NOBODY = "waits for a person", "nobody whose chances were logged"


@dataclass(frozen=True)
class Logged:
    """What a decision saw. Vectors are over the candidates, in their order."""

    lead: Mapping[str, Any]
    reps: Sequence[Rep]  # the candidates, as the roster had them then
    places: np.ndarray  # of the candidates in that roster
    available: Flags
    probability: Floats  # NaN without a model
    prices: Floats
    state: State  # its bounds aside: they follow from the rule book
    mode: str
    distinguishes: bool
    relative_value: float = 1.0
    expected_value: float | None = None
    instead: str | None = None  # the method that decided in place of the book's own: of a pool whose time was over


@dataclass(frozen=True)
class Replayed:
    """What a rule book makes of a logged decision."""

    policy: Floats
    control: Floats
    mixture: Floats
    share: float
    held_out: bool
    choice: Choice
    way: Way
    wider: bool  # the book would also ask reps of whom nothing was logged

    def drawn(self, seed: int, number: int) -> int:
        """The candidate whom the same chance as then would draw."""
        return arms.drawn(self.control if self.held_out else self.policy, arms.fraction("draw", seed, number))


class Book:
    """A rule book laid out for the roster of a moment."""

    def __init__(self, rules: RuleBook, reps: Sequence[Rep], *, rules_then: RuleBook | None = None) -> None:
        self.rules = rules
        self.routes = Routes(rules, reps)
        # Hard rules that have not changed leave the same reps eligible: they are not asked again.
        same = rules_then is not None and rules.eligibility == rules_then.eligibility
        self._screener = None if same else Screener(rules, reps)

    def replay(self, logged: Logged, *, mode: str) -> Replayed | str:
        """Every candidate's chance under the book, or in a few words why nobody would be drawn."""
        rules, state = self.rules, logged.state
        way = self.routes.way_of(
            logged.lead, grade=state.grade, lead_score=state.lead_score, expected_value=logged.expected_value
        )
        if way.waits and logged.instead is None:
            return WAITS
        kept, wider = self._eligible(logged)
        free = kept & logged.available
        available = _among(way, free, logged.places)
        while way.members is not None and not available.any():
            way = self.routes.onward(way)
            available = _among(way, free, logged.places)
        if not available.any():
            return NOBODY
        choice = choice_of(
            rules, way, mode=mode, at=state.at, has_model=bool(np.isfinite(logged.probability).all()),
            distinguishes=logged.distinguishes, method=logged.instead,
        )  # fmt: skip
        bounds = bounds_of(logged.reps, state.at, rules.newcomers, rules.absence, available=available)
        situation = Situation(
            logged.lead, logged.reps, available, logged.probability, logged.prices,
            _with_bounds(state, bounds), logged.relative_value if rules.objective == "revenue" else 1.0,
        )  # fmt: skip
        policy, control, mixture = chances_of(choice, situation)
        held_out = arms.in_holdout(str(logged.lead["lead_id"]), seed=rules.seed, share=choice.share)
        return Replayed(policy, control, mixture, choice.share, held_out, choice, way, wider)

    def _eligible(self, logged: Logged) -> tuple[Flags, bool]:
        """Who of the candidates passes the book's hard rules, and whether others would, too."""
        if self._screener is None:
            return np.ones(len(logged.reps), dtype=bool), False
        minutes = self.rules.contact_within_minutes.minutes(logged.state.grade)
        screening = self._screener.screen(logged.lead, at=logged.state.at, minutes_for=lambda _: minutes)
        passes = screening.eligible
        return passes[logged.places], bool(np.count_nonzero(passes) > np.count_nonzero(passes[logged.places]))


def _among(way: Way, free: Flags, places: np.ndarray) -> Flags:
    return free if way.members is None else free & way.members[places]


def _with_bounds(state: State, bounds: Any) -> State:
    return State(**{**vars(state), "bounds": bounds})


