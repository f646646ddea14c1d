"""Which leads are decided by which method: the rule book's routes, laid out for one roster."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.roster import Rep
from serving.policy.arms import fraction
from serving.policy.conditions import holds
from serving.policy.exploration import Flags
from serving.policy.rep_tests import members
from serving.policy.sections import WAITING, Route, RuleBook


@dataclass(frozen=True)
class Way:
    """How a lead is given out: by a route, or by the rule book itself."""

    route: str | None  # its name; None: the book itself
    method: str
    control: str
    holdout: float | None  # share of the control; None: the book's for the mode in force
    weights: Mapping[str, float]
    members: Flags | None = None  # only among these, over the whole roster; None: everybody
    otherwise: str | None = None  # the route that takes over where none of them is free; None: the book itself

    @property
    def waits(self) -> bool:
        """Whether the lead waits for a person: nobody is drawn."""
        return self.method in WAITING


class Routes:
    """The routes of a rule book for one roster; build anew when either changes."""

    def __init__(self, rules: RuleBook, reps: Sequence[Rep]) -> None:
        self._seed = rules.seed
        self.book = Way(None, rules.method, rules.control, None, rules.weights)
        self._routes = [
            (route, spread, _way(route, rules, reps))
            for route, spread in zip(rules.routes, _spreads(rules.routes), strict=True)
        ]
        self._named = {route.name: way for route, _, way in self._routes}

    def way_of(
        self,
        lead: Mapping[str, Any],
        *,
        grade: str | None = None,
        lead_score: int | None = None,
        expected_value: float | None = None,
    ) -> Way:
        """The way of the first route that takes the lead; the book's own where none does."""
        if not self._routes:
            return self.book
        later = {"grade": grade, "lead_score": lead_score, "expected_value": expected_value}

        def value(column: str) -> Any:
            return later[column] if column in later else lead.get(column)

        for route, (group, begin, end), way in self._routes:
            if not holds(route.when, value):
                continue
            if route.share >= 1.0 or begin <= fraction("route", self._seed, group, str(lead["lead_id"])) < end:
                return way
        return self.book

    def onward(self, way: Way) -> Way:
        """Who takes over where none of a route's own reps is free."""
        return self.book if way.otherwise is None else self._named[way.otherwise]


def _way(route: Route, rules: RuleBook, reps: Sequence[Rep]) -> Way:
    return Way(
        route=route.name,
        method=route.method,
        control=route.control or rules.control,
        holdout=route.holdout,
        weights=rules.weights if route.weights is None else route.weights,
        members=members(reps, route.reps) if route.reps else None,
        otherwise=route.otherwise,
    )


def _spreads(routes: Sequence[Route]) -> list[tuple[str, float, float]]:
    """(the leads that a route shares with others, where its stretch of them begins, where it ends)."""
    taken: dict[str, float] = {}
    spreads = []
    for route in routes:
        group = json.dumps(route.when, sort_keys=True, default=str)
        begin = taken.get(group, 0.0)
        taken[group] = begin + route.share
        spreads.append((group, begin, taken[group]))
    return spreads
