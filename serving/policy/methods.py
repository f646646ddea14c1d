"""Ways to give out a lead: each a function from a situation to the chance of every rep.

Every method returns propensities, shape (m,), over the eligible reps: none below 0, nothing for a rep who is not
available, together 1. Ties are shared equally; the order of the reps never matters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.roster import Rep
from serving.policy.bounds import Bounds, is_newcomer, settled, within
from serving.policy.conditions import folded, said
from serving.policy.exploration import EARN, Exploration, Flags, Floats, smoothed
from serving.policy.sections import Newcomers, Performance, Points, Tiers

# As a rule book has them that says nothing; a bare `performance` gives everything to the best record.
TIERS, POINTS, NEWCOMERS = Tiers(), Points(), Newcomers()
BEST_RECORD = Performance(shared=0.0)


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
    bounds: Bounds | None = None  # of the chances of those who have just come or come back; not of the model's


@dataclass(frozen=True)
class Situation:
    """One lead and the reps who may have it."""

    lead: Mapping[str, Any]
    reps: Sequence[Rep]  # the eligible
    available: Flags
    probability: Floats  # of conversion; NaN where there is no model
    prices: Floats
    state: State
    relative_value: float = 1.0  # what the lead is worth, in usual leads, where the objective is revenue


@dataclass(frozen=True)
class MethodSettings:
    """What the rule book and the mode in force say to the methods."""

    exploration: Exploration = EARN
    weights: Mapping[str, float] = field(default_factory=dict)
    distinguishes: bool = True  # False: the model found no difference between reps, so nobody is preferred
    tiers: Tiers = TIERS
    points: Points = POINTS
    performance: Performance = BEST_RECORD
    newcomers: Newcomers = NEWCOMERS


Method = Callable[[Situation, MethodSettings], Floats]


def propensities(name: str, situation: Situation, settings: MethodSettings) -> Floats:
    """The chance of every rep under the method called `name`, within the bounds of those who have just come (back).

    The model has prices with floors and ceilings instead: it is as it is.
    """
    method, bounds = METHODS[name], situation.state.bounds
    chances = method(situation, settings)
    if bounds is None or name == "model":
        return chances
    return within(
        chances,
        bounds,
        situation.available,
        lambda others: method(replace(situation, available=others), settings),
    )


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
    here = said(situation.lead.get("region"))
    homes = [said(rep.region or rep.regions) for rep in situation.reps]
    at_home = np.array([not here.isdisjoint(home) for home in homes], dtype=bool)
    return _preferred(at_home, situation.available)


def workload(situation: Situation, settings: MethodSettings) -> Floats:
    """The least loaded: by share of the capacity where everybody states one, else by open leads."""
    load = situation.state.open_leads.astype(float)
    capacity = np.array([rep.capacity or np.nan for rep in situation.reps])
    if not np.isnan(capacity[situation.available]).any():
        load = load / capacity
    return _best(-load, situation.available)


def performance(situation: Situation, settings: MethodSettings) -> Floats:
    """The best record of closed leads, each rep's rate drawn towards everybody's while results are few.

    A share goes to everybody alike: who gets the good leads has the good record, and the others never show theirs.
    """
    shared, available = settings.performance.shared, situation.available
    best = _best(_record(situation.state, settings), available)
    return shared * _shared(available) + (1 - shared) * best if shared else best


def value_tiers(situation: Situation, settings: MethodSettings) -> Floats:
    """Each grade to its tiers, equally; everybody where nobody of them is available, or the lead has no grade.

    Tiers are a column of the roster, or thirds of the available by record: best, middle and learning.
    """
    available, grade = situation.available, situation.state.grade
    wanted = {folded(tier) for tier in settings.tiers.grades.get(grade, ())} if grade else set()  # type: ignore[call-overload]
    if not wanted:
        return _shared(available)
    column = settings.tiers.column
    if column is not None:
        member = [not wanted.isdisjoint(said(rep.value(column))) for rep in situation.reps]
        return _preferred(np.array(member, dtype=bool), available)
    thirds = _thirds(_record(situation.state, settings), available)
    return _preferred(np.any([thirds[tier] for tier in thirds if tier in wanted], axis=0), available)


def points_queue(situation: Situation, settings: MethodSettings) -> Floats:
    """Chances in proportion to points: some to begin with, some for each lead brought to an end and more if won."""
    rules, state = settings.points, situation.state
    points = (rules.start + rules.closed * state.closed + rules.won * state.won) * situation.available
    return points / points.sum() if points.sum() > 0 else _shared(situation.available)


def newcomer_growth(situation: Situation, settings: MethodSettings) -> Floats:
    """Those in their first days, more the longer they are here; everybody available where there is no such rep."""
    rules, at = settings.newcomers, situation.state.at
    new = [is_newcomer(rep, at, rules) for rep in situation.reps]
    grown = [rules.begin + (1 - rules.begin) * settled(rep, at, rules) for rep in situation.reps]
    weight = np.array(grown) * np.array(new, dtype=bool) * situation.available
    return weight / weight.sum() if weight.sum() > 0 else _shared(situation.available)


def tags(situation: Situation, settings: MethodSettings) -> Floats:
    """Those with a skill that the lead names (its industry, product, tag), equally; everybody where there is none."""
    words = _words(situation.lead)
    skilled = np.array([not words.isdisjoint(said(rep.skills)) for rep in situation.reps], dtype=bool)
    return _preferred(skilled, situation.available)


def ability_tags(situation: Situation, settings: MethodSettings) -> Floats:
    """Those who share the most with the lead, counted over skills, languages and regions."""
    words = _words(situation.lead)
    stated = [(*rep.skills, *rep.languages, *rep.regions, rep.region or "") for rep in situation.reps]
    return _best(np.array([len(words & said(each)) for each in stated], dtype=float), situation.available)


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
    # A slot's price is in usual leads: given to one worth twice as much, it costs half as many of its kind.
    prices = situation.prices / situation.relative_value
    return smoothed(situation.probability, prices, situation.available, settings.exploration)


METHODS: dict[str, Method] = {
    method.__name__: method
    for method in (
        model, rotation, weighted_rotation, region_first, tags, ability_tags, workload, performance,
        fastest_responder, value_tiers, points_queue, newcomer_growth,
    )
}  # fmt: skip


def _record(state: State, settings: MethodSettings) -> Floats:
    """Each rep's share of won leads, drawn towards everybody's while results are few."""
    prior = settings.performance.prior_leads
    overall = state.won.sum() / state.closed.sum() if state.closed.sum() else 0.0
    counted = state.closed + prior
    record: Floats = np.where(counted > 0, (state.won + prior * overall) / np.where(counted > 0, counted, 1), overall)
    return record


def _thirds(record: Floats, available: Flags) -> dict[str, Flags]:
    """The available by record: the best third with whoever equals it, the last third without them, and the others."""
    ranked = np.sort(record[available])
    third = -(-len(ranked) // 3)
    best = available & (record >= ranked[-third])
    learning = available & (record <= ranked[third - 1]) & ~best
    return {"best": best, "middle": available & ~best & ~learning, "learning": learning}


def _words(lead: Mapping[str, Any]) -> set[str]:
    """Everything that the lead says in words, each item of a list by itself."""
    return {word for value in lead.values() if not isinstance(value, float) for word in said(value)}


def _preferred(chosen: Flags, available: Flags) -> Floats:
    """The chosen among the available, equally; all of these where none is chosen."""
    both = available & chosen
    return _shared(both if both.any() else available)


def _shared(chosen: Flags) -> Floats:
    if not chosen.any():
        raise ValueError("Nobody is available; ask for propensities only where somebody is.")
    return chosen / np.count_nonzero(chosen)


def _best(value: Floats, available: Flags) -> Floats:
    """Everything to the largest `value` among the available, shared between equals."""
    best = np.where(available, value, -np.inf).max(initial=-np.inf)
    return _shared(available & (value >= best))
