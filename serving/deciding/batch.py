"""Many leads at once, matched jointly: they compete for the same slots, so each slot gets a price among them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.roster import Rep
from data.store.capacity import Load
from serving.deciding.consider import Considered, consider, relative_value
from serving.deciding.decide import Ask, Case, Decider, loads_of
from serving.policy.price_book import ENOUGH
from serving.policy.prices import shadow_prices
from serving.policy.rulebook import Prices
from serving.telling import answers
from serving.web.problems import Problem, problem_of

Loads = Mapping[str, Load]
# Leads between two solutions. Chance moves slots away from the plan: with one price for the whole batch, 100 leads
# and 4 full reps kept .62 of the optimum's gain, with a new one every 25 leads .86.
PRICED_EVERY = 25


@dataclass(frozen=True)
class Refused:
    """A lead of the batch that is no lead."""

    lead_id: str | None
    problem: Problem


def assign_batch(decider: Decider, items: Sequence[Ask | Refused]) -> bytes:
    """One answer for each item, in their order: a decision, or the problem that it met.

    The leads are considered together, their slots are priced against each other, and then each is drawn, reserved
    and stored like any other lead: its propensities are exact, and one lead's trouble stays its own.
    """
    at = decider.clock()
    with decider.ledger.reading() as conn:
        in_force = decider.watch.look(conn)
        loads = loads_of(conn, in_force.roster.reps, at)
    cases = {
        place: consider(in_force, item.lead, at=at) for place, item in enumerate(items) if isinstance(item, Ask)
    }
    told: list[bytes] = []
    prices: dict[str, float] = {}
    for place, item in enumerate(items):
        if place % PRICED_EVERY == 0:
            with decider.ledger.reading() as conn:
                loads = loads_of(conn, in_force.roster.reps, at)
            prices = joint_prices([case for number, case in cases.items() if number >= place], loads, decider)
        told.append(_answered(decider, item, cases.get(place), prices))
    return b'{"decisions":[' + b",".join(told) + b"]}"


def _answered(decider: Decider, item: Ask | Refused, case: Considered | None, prices: Mapping[str, float]) -> bytes:
    if isinstance(item, Refused):
        return _problem(item.lead_id, item.problem)
    try:
        return decider.assign(item, prepared=Case(item, case, prices) if case else None).body
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            raise
        return _problem(item.lead_id, problem)


def joint_prices(cases: Sequence[Considered], loads: Loads, decider: Decider) -> dict[str, float]:
    """What this batch adds to the price of every rep's slot, by rep id."""
    priced = [case for case in cases if case.scores is not None and case.in_force.distinguishes and case.candidates]
    if not priced:
        return {}
    reps: Sequence[Rep] = priced[0].in_force.roster.reps
    rules = priced[0].in_force.rules.prices
    probability = np.zeros((len(priced), len(reps)))
    eligible = np.zeros(probability.shape, dtype=bool)
    for row, case in enumerate(priced):
        probability[row, case.places] = case.probability * relative_value(case, decider.prices.usual_value)
        eligible[row] = case.screening.eligible
    # A slot is also wanted by the leads still to come: what it brings here counts only beyond its price there.
    net = probability - decider.prices.of(priced[0].in_force.roster.ids)
    capacity = np.array([free_slots(rep, loads) for rep in reps])
    capacity, floors = _balanced(eligible, capacity, rules)
    solved = shadow_prices(net, eligible, capacity, floors)
    return {rep.rep_id: float(price) for rep, price in zip(reps, solved, strict=True)}


def free_slots(rep: Rep, loads: Loads) -> float:
    """Leads that the rep can take right now; inf without any limit."""
    load = loads.get(rep.rep_id, Load(open=rep.open_count, today=0))
    slots = np.inf if rep.capacity is None else rep.capacity - load.open
    today = np.inf if rep.daily_limit is None else rep.daily_limit - load.today
    return float(max(min(slots, today), 0.0))


def _balanced(eligible: np.ndarray, capacity: np.ndarray, rules: Prices) -> tuple[np.ndarray, np.ndarray | None]:
    """Capacity under the ceiling, and the floors, where the batch is large enough for shares to mean something."""
    if not rules.enabled or len(eligible) < ENOUGH:
        return capacity, None
    rotation = (eligible / eligible.sum(axis=1, keepdims=True)).sum(axis=0)
    capped = np.minimum(capacity, rules.ceiling * rotation)
    return capped, np.minimum(rules.floor * rotation, capped)


def _problem(lead_id: str | None, problem: Problem) -> bytes:
    body: dict[str, Any] = {"lead_id": lead_id, "problem": json.loads(problem.as_bytes())}
    return answers.encoded(body)
