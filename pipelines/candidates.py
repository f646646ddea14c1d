"""The policies that can be judged on a data set, each as a matrix of propensities over who could get each lead."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data.errors import InputError
from data.names import nearest
from pipelines.floor import LIMITS, Floor
from serving.deciding.scorer import grade_of
from serving.policy.exploration import EARN, LEARN
from serving.policy.methods import METHODS, MethodSettings, Situation, State
from serving.policy.price_book import ENOUGH, RECENT
from serving.policy.prices import shadow_prices
from serving.policy.rulebook import Prices, RuleBook
from training.conversion import ConversionModel, RosterModel

AS_IT_RAN = "logged"
ALWAYS = "always:"
NEED_MODEL = ("model", "value_tiers")
OTHER_WORDS = {"least_loaded": "workload", "round_robin": "rotation"}
PRICED_TIMES = 25  # at most so often are prices solved anew, and never more often than the service does


@dataclass(frozen=True)
class Candidates:
    """Policies over one floor. `model` was fitted on leads before those of the floor, or is not there."""

    floor: Floor
    rules: RuleBook
    model: ConversionModel | None = None

    def target(self, name: str) -> np.ndarray:
        """The policy's propensities, shape (n_leads, n_reps); a share where several reps are as good."""
        if name.startswith(ALWAYS):
            return self._always(name.removeprefix(ALWAYS))
        method, settings = METHODS[name], self._settings
        chances = np.zeros(self.floor.available.shape)
        for row, (places, situation) in enumerate(self._situations):
            chances[row, places] = method(situation, settings)
        return chances

    @cached_property
    def prices(self) -> np.ndarray:
        """Price of each rep's next slot at each lead, (n_leads, n_reps), as the service would have set it.

        All 0 where no rep states a limit: there is no capacity to price; and where no model tells reps apart.
        """
        floor = self.floor
        speaks = self.model is not None and self.model.speaks
        if not speaks or not self.rules.prices.enabled or not states_limits(floor):
            return np.zeros(floor.available.shape)
        return prices_over_time(floor, self._probability, self.rules.prices)

    @cached_property
    def _probability(self) -> np.ndarray:
        floor = self.floor
        if self.model is None:
            return np.full(floor.available.shape, np.nan)
        return RosterModel(self.model, floor.reps).probability(floor.spells.leads, floor.spells.at_days)

    @cached_property
    def _settings(self) -> MethodSettings:
        rules, model = self.rules, self.model
        mode = rules.mode_for(model.verdict if model else None)
        learn = rules.exploration == "learn" or (rules.exploration == "auto" and mode == "trial")
        limits = {rep.rep_id: float(rep.capacity) for rep in self.floor.reps if rep.capacity is not None}
        return MethodSettings(
            exploration=LEARN if learn else EARN,
            weights=rules.weights or limits,
            distinguishes=model is not None and model.speaks,
        )

    @cached_property
    def _situations(self) -> list[tuple[np.ndarray, Situation]]:
        floor, stood = self.floor, self.floor.standing
        made = []
        for row in range(len(floor)):
            places = np.flatnonzero(floor.available[row])
            probability = self._probability[row, places]
            state = State(
                open_leads=stood.open_leads[row, places],
                today=stood.today[row, places],
                won=stood.won[row, places],
                closed=stood.closed[row, places],
                at=floor.at(row),
                grade=self._grade(float(probability.mean())),
                response_hours=stood.response_hours[row, places],
            )
            reps = [floor.reps[place] for place in places]
            everybody = np.ones(len(places), dtype=bool)
            situation = Situation(floor.leads[row], reps, everybody, probability, self.prices[row, places], state)
            made.append((places, situation))
        return made

    def _grade(self, rotation: float) -> str | None:
        return grade_of(rotation, self.model.grade_cuts) if self.model else None

    def _always(self, rep_id: str) -> np.ndarray:
        available = self.floor.available
        place = [rep.rep_id for rep in self.floor.reps].index(rep_id)
        chances = available / available.sum(axis=1, keepdims=True)  # rotation, where this rep could not have it
        free = available[:, place]
        chances[free] = 0.0
        chances[free, place] = 1.0
        return chances


def prices_over_time(floor: Floor, probability: np.ndarray, rules: Prices) -> np.ndarray:
    """Prices at each lead, solved anew from the leads just before it, (n_leads, n_reps); the cheapest rep's is 0."""
    prices = np.zeros(probability.shape)
    every = max(100, -(-len(floor) // PRICED_TIMES))
    for start in range(every, len(floor), every):
        recent = slice(max(0, start - RECENT), start)
        if start < ENOUGH:
            continue
        available = floor.available[recent]
        rotation = (available / available.sum(axis=1, keepdims=True)).sum(axis=0)
        days = float(np.ptp(floor.spells.at_days[recent])) if floor.spells.at_days[recent].size else 0.0
        capacity = np.minimum(slots(floor, days, rules), rules.ceiling * rotation)
        floors = np.minimum(rules.floor * rotation, capacity)
        solved = shadow_prices(probability[recent], available, capacity, floors)
        prices[start : start + every] = solved - solved[rotation > 0].min()
    return prices


def slots(floor: Floor, days: float, rules: Prices) -> np.ndarray:
    """Leads each rep can take in so many days, (n_reps,): capacity turns over as fast as leads are closed.

    No limit where the log never ran into the stated ones, or did not keep to them: then they are not what binds.
    """
    if LIMITS not in floor.rules:
        return np.full(len(floor.reps), np.inf)
    open_days = floor.open_days or rules.slot_days
    capacity = np.array([np.inf if rep.capacity is None else rep.capacity for rep in floor.reps])
    daily = np.array([np.inf if rep.daily_limit is None else rep.daily_limit for rep in floor.reps])
    return np.minimum(capacity / open_days, daily) * max(days, 1.0)


def states_limits(floor: Floor) -> bool:
    """Whether any rep states how many leads are too many."""
    return any(rep.capacity is not None or rep.daily_limit is not None for rep in floor.reps)


def is_experiment(floor: Floor) -> bool:
    """Whether the "reps" are arms rather than people: none says anything of itself but its name."""
    return all(
        not (rep.region or rep.regions or rep.skills or rep.languages or rep.hired_at or rep.team or rep.hours)
        for rep in floor.reps
    ) and not states_limits(floor)


def policies_for(floor: Floor, most_arms: int = 10) -> tuple[str, ...]:
    """The policies that make sense on a floor, the baseline first."""
    names = ["rotation", AS_IT_RAN, "model", "performance"]
    reps = floor.reps
    if is_experiment(floor):
        return (*names, *(f"{ALWAYS}{rep.rep_id}" for rep in reps if len(reps) <= most_arms))
    if any(rep.capacity is not None for rep in reps):
        names.append("weighted_rotation")
    if any(rep.region or rep.regions for rep in reps) and "region" in floor.leads[0]:
        names.append("region_first")
    if any(rep.skills for rep in reps):
        names += ["tags", "ability_tags"]
    if floor.open_days is not None:
        names.append("workload")
    if not np.isnan(floor.standing.response_hours).all():
        names.append("fastest_responder")
    return (*names, "value_tiers", "points_queue")


def checked(names: tuple[str, ...], floor: Floor) -> tuple[str, ...]:
    """The names, without repetition; InputError for one that is no policy, or names nobody."""
    known = {rep.rep_id for rep in floor.reps}
    plain = [name if name.startswith(ALWAYS) else name.strip().replace("-", "_") for name in names]
    names = tuple(OTHER_WORDS.get(name, name) for name in plain)
    for name in names:
        if name.startswith(ALWAYS) and name.removeprefix(ALWAYS) not in known:
            rep_id = name.removeprefix(ALWAYS)
            near = nearest(rep_id, sorted(known))
            hint = f"; did you mean {near}?" if near else "."
            raise InputError(f"--policies: no rep {rep_id!r} has had a lead in these data{hint}")
        if not name.startswith(ALWAYS) and name not in (*METHODS, AS_IT_RAN):
            offered = ", ".join(sorted((*METHODS, AS_IT_RAN)))
            raise InputError(f"--policies: {name!r} is no policy; known are {offered} and always:REP.")
    return tuple(dict.fromkeys(names))
