"""Ways to give out a lead: each a function from a situation to the chance of every rep.

Every method returns propensities, shape (m,), over the eligible reps: none below 0, nothing for a rep who is not
available, together 1. Ties are shared equally; the order of the reps never matters.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.roster import Rep
from features.columns import tokens_of
from serving.policy.exploration import EARN, Exploration, Flags, Floats, smoothed

ENOUGH_RESULTS = 20.0  # closed leads after which a rep's own rate counts as much as everybody's
POINTS_OF_A_WIN = 10.0


@dataclass(frozen=True)
class State:
    """What is known of the eligible reps and of the moment; arrays in the order of `Situation.reps`."""

    open_leads: NDArray[np.int64]  # including those that leadmatch did not assign
    today: NDArray[np.int64]  # leads given since the rep's local midnight
    won: NDArray[np.int64]  # of the closed ones
    closed: NDArray[np.int64]
    at: datetime
    grade: str | None = None
    lead_score: int | None = None
    response_hours: Floats | None = None  # usual time to the first contact; NaN where a rep's is not known


@dataclass(frozen=True)
class Situation:
    """One lead and the reps who may have it."""

    lead: Mapping[str, Any]
    reps: Sequence[Rep]  # the eligible
    available: Flags
    probability: Floats  # of conversion; NaN where there is no model
    prices: Floats
    state: State


@dataclass(frozen=True)
class MethodSettings:
    """What the rule book and the mode in force say to the methods."""

    exploration: Exploration = EARN
    weights: Mapping[str, float] = field(default_factory=dict)
    distinguishes: bool = True  # False: the model found no difference between reps, so nobody is preferred


Method = Callable[[Situation, MethodSettings], Floats]


def rotation(situation: Situation, settings: MethodSettings) -> Floats:
    """The same chance for everybody available: what the holdout does and what uplift is measured against."""
    return _shared(situation.available)


def weighted_rotation(situation: Situation, settings: MethodSettings) -> Floats:
    """Chances in proportion to the rule book's weights; 1 where none is given."""
    weight = np.array([settings.weights.get(rep.rep_id, 1.0) for rep in situation.reps]) * situation.available
    return weight / weight.sum() if weight.sum() > 0 else _shared(situation.available)


def region_first(situation: Situation, settings: MethodSettings) -> Floats:
    """Those whose own region is the lead's, equally; everybody available where there is none.

    A rep's own region is the one stated as such; `regions`, which says what else a rep may get, counts where none is.
    """
    region = situation.lead.get("region")
    homes = [(rep.region,) if rep.region else rep.regions for rep in situation.reps]
    at_home = np.array([region is not None and region in home for home in homes])
    chosen = situation.available & at_home.astype(bool)
    return _shared(chosen if chosen.any() else situation.available)


def workload(situation: Situation, settings: MethodSettings) -> Floats:
    """The least loaded: by share of the capacity where everybody states one, else by open leads."""
    load = situation.state.open_leads.astype(float)
    capacity = np.array([rep.capacity or np.nan for rep in situation.reps])
    if not np.isnan(capacity[situation.available]).any():
        load = load / capacity
    return _best(-load, situation.available)


def performance(situation: Situation, settings: MethodSettings) -> Floats:
    """The best record of closed leads, each rep's rate drawn towards everybody's while results are few."""
    return _best(_record(situation.state), situation.available)


def value_tiers(situation: Situation, settings: MethodSettings) -> Floats:
    """A leads to the best third of the available by record, B to the middle, C and D to those who still learn."""
    available, grade = situation.available, situation.state.grade
    ranked = np.sort(_record(situation.state)[available])
    if grade is None or not len(ranked):
        return _shared(available)
    third = -(-len(ranked) // 3)
    best = available & (_record(situation.state) >= ranked[-third])
    learning = available & (_record(situation.state) <= ranked[third - 1]) & ~best
    chosen = {"A": best, "B": available & ~best & ~learning}.get(grade, learning)
    return _shared(chosen if chosen.any() else available)


def points_queue(situation: Situation, settings: MethodSettings) -> Floats:
    """Chances in proportion to points: 1 to begin with, 1 for each lead brought to an end and 10 more if won."""
    points = (1.0 + situation.state.closed + POINTS_OF_A_WIN * situation.state.won) * situation.available
    return points / points.sum() if points.sum() > 0 else _shared(situation.available)


def tags(situation: Situation, settings: MethodSettings) -> Floats:
    """Those with a skill that the lead names (its industry, product, tag), equally; everybody where there is none."""
    words = _words(situation.lead)
    skilled = np.array([not words.isdisjoint(_folded(rep.skills)) for rep in situation.reps], dtype=bool)
    chosen = situation.available & skilled
    return _shared(chosen if chosen.any() else situation.available)


def ability_tags(situation: Situation, settings: MethodSettings) -> Floats:
    """Those who share the most with the lead, counted over skills, languages and regions."""
    words = _words(situation.lead)
    stated = [(*rep.skills, *rep.languages, *rep.regions, rep.region or "") for rep in situation.reps]
    return _best(np.array([len(words & _folded(each)) for each in stated], dtype=float), situation.available)


def fastest_responder(situation: Situation, settings: MethodSettings) -> Floats:
    """Who is usually the first to call; one whose time is not known counts as the usual among the available.

    Raises ValueError where response times were not measured at all.
    """
    hours = situation.state.response_hours
    if hours is None:
        raise ValueError("Nobody measured response times: State.response_hours is needed.")
    known = hours[situation.available & ~np.isnan(hours)]
    usual = float(np.median(known)) if len(known) else 0.0
    return _best(-np.where(np.isnan(hours), usual, hours), situation.available)


def model(situation: Situation, settings: MethodSettings) -> Floats:
    """The likeliest to convert after the price of the slot, smoothed by exploration."""
    if not settings.distinguishes:
        return _shared(situation.available)
    return smoothed(situation.probability, situation.prices, situation.available, settings.exploration)


METHODS: dict[str, Method] = {
    method.__name__: method
    for method in (
        model, rotation, weighted_rotation, region_first, workload, performance, value_tiers, points_queue, tags,
        ability_tags,
    )
}  # fmt: skip


def _record(state: State) -> Floats:
    """Each rep's share of won leads, drawn towards everybody's while results are few."""
    overall = state.won.sum() / state.closed.sum() if state.closed.sum() else 0.0
    record: Floats = (state.won + ENOUGH_RESULTS * overall) / (state.closed + ENOUGH_RESULTS)
    return record


def _words(lead: Mapping[str, Any]) -> set[str]:
    """Everything that the lead says in words, each item of a list by itself."""
    return _folded(token for value in lead.values() if not isinstance(value, float) for token in tokens_of(value) or ())


def _folded(words: Iterable[str]) -> set[str]:
    return {word.casefold() for word in words if word}


def _shared(chosen: Flags) -> Floats:
    if not chosen.any():
        raise ValueError("Nobody is available; ask for propensities only where somebody is.")
    return chosen / np.count_nonzero(chosen)


def _best(value: Floats, available: Flags) -> Floats:
    """Everything to the largest `value` among the available, shared between equals."""
    best = np.where(available, value, -np.inf).max(initial=-np.inf)
    return _shared(available & (value >= best))
