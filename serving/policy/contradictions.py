"""What a rule book says against itself: each with the place where it stands, and what to do about it."""

import json
from collections.abc import Iterator
from typing import Any

from data.personal import is_personal
from serving.policy.sections import WAITING, RuleBook

Place = tuple[str, ...]  # the fields on the way, such as ("routes", "0", "method")
Contradiction = tuple[Place, str]
KNOWN_LATER = ("grade", "lead_score", "expected_value")  # they are averages over the eligible
BY_RECORD = ("best", "middle", "learning")


def named_columns(book: RuleBook) -> Iterator[tuple[Place, str, bool]]:
    """Each column that the book names: where, which, and whether it is a rep's."""
    where: Place
    for number, rule in enumerate(book.eligibility.rules):
        where = ("eligibility", "rules", str(number))
        yield from (((*where, "when", column), column, False) for column in rule.when)
        yield from (((*where, "reps", column), column, True) for column in rule.reps)
        if rule.lead is not None:
            yield (*where, "lead"), rule.lead, False
            yield (*where, "rep" if rule.rep else "lead"), rule.rep or rule.lead, True
    for number, route in enumerate(book.routes):
        where = ("routes", str(number))
        yield from (((*where, "when", column), column, False) for column in route.when)
        yield from (((*where, "reps", column), column, True) for column in route.reps)
    if book.tiers.column is not None:
        yield ("tiers", "column"), book.tiers.column, True


def contradictions(book: RuleBook) -> Iterator[Contradiction]:
    """Everything in the book that cannot be meant, first things first."""
    yield from _weights(book)
    yield from _rules(book)
    yield from _routes(book)
    yield from _chains(book)
    yield from _tiers(book)
    yield from _follow_up(book)
    yield from _personal(book)
    if book.newcomers.open_leads is not None and not book.newcomers.days:
        yield ("newcomers", "open_leads"), "nobody is a newcomer while days is 0; set days, or leave open_leads out"
    if book.duplicates.sticky and not book.duplicates.same:
        yield ("duplicates", "same"), "names nothing to know a customer by; name phone, or set sticky: false"


def _weights(book: RuleBook) -> Iterator[Contradiction]:
    weighted = "weighted_rotation"
    if book.weights and weighted not in book.methods:
        yield ("weights",), f"weights are given, but no method here is {weighted}; name it, or leave them out"
    for place, route in enumerate(book.routes):
        if route.weights and weighted not in (route.method, route.control):
            yield ("routes", str(place), "weights"), f"weights are given, but the route's method is not {weighted}"


def _rules(book: RuleBook) -> Iterator[Contradiction]:
    for place, rule in enumerate(book.eligibility.rules):
        where = ("eligibility", "rules", str(place))
        compares = rule.lead is not None or rule.rep is not None
        if compares and rule.reps:
            yield (*where, "reps"), "compare two columns (lead, rep) or state what the rep must be (reps), not both"
        if not compares and not rule.reps:
            yield where, "says nothing of the rep; give lead and rep (two columns), or reps (conditions)"
        if rule.rep is not None and rule.lead is None:
            yield (*where, "rep"), "is compared with nothing; name the lead's column under lead"
        for column in (*rule.when, *([rule.lead] if rule.lead else [])):
            if column in KNOWN_LATER:
                yield where, f"{column} is known only once the eligible are; use a route with `when: {{{column}: ...}}`"


def _routes(book: RuleBook) -> Iterator[Contradiction]:
    names: dict[str, int] = {}
    taken: dict[str, float] = {}  # conditions -> share that earlier routes take
    everything: str | None = None
    for place, route in enumerate(book.routes):
        where = ("routes", str(place))
        if route.name in names:
            yield (*where, "name"), f"route {names[route.name] + 1} has the same name; give each its own"
        names.setdefault(route.name, place)
        same = json.dumps(route.when, sort_keys=True, default=str)
        before = taken.get(same, 0.0)
        taken[same] = before + route.share
        if everything is not None:
            yield where, f"no lead ever comes here: the route {everything!r} takes every lead; put it last"
        elif before >= 1.0:
            yield where, "no lead ever comes here: earlier routes with the same `when` take all of them; remove one"
        elif taken[same] > 1.0 + 1e-9:
            total = f"{taken[same]:g}"
            yield (*where, "share"), f"the shares of routes with this `when` add up to {total}; make it at most 1"
        if not route.when and taken[same] >= 1.0 - 1e-9 and everything is None:
            everything = route.name
        if route.method in WAITING and (route.control or route.holdout is not None):
            yield where, f"{route.method} waits for a person, so nothing is held out; leave control and holdout out"
        if route.otherwise is not None and not route.reps:
            yield (*where, "otherwise"), "is never needed: without `reps`, everybody eligible is asked already"


def _chains(book: RuleBook) -> Iterator[Contradiction]:
    """Routes that hand a lead on to one that does not exist, or round and round."""
    onward = {route.name: route.otherwise for route in book.routes}
    for place, route in enumerate(book.routes):
        where = ("routes", str(place), "otherwise")
        if route.otherwise is None:
            continue
        if route.otherwise not in onward:
            yield where, f"there is no route {route.otherwise!r}; routes are {', '.join(onward)}"
            continue
        chain = [route.name]
        while (following := onward.get(chain[-1])) is not None and following not in chain:
            chain.append(following)
        if following == route.name:
            circle = " -> ".join((*chain, route.name))
            yield where, f"goes round in a circle: {circle}; let one of them end without otherwise"


def _tiers(book: RuleBook) -> Iterator[Contradiction]:
    if book.tiers.column is not None:
        return
    for grade, tiers in book.tiers.grades.items():
        for tier in tiers:
            if tier not in BY_RECORD:
                known = ", ".join(BY_RECORD)
                cure = f"without column, tiers are {known}; name the roster's column of tiers"
                yield ("tiers", "grades", grade), f"there is no tier {tier!r}: {cure}"


def _follow_up(book: RuleBook) -> Iterator[Contradiction]:
    rules: Any = book.follow_up
    if not rules.recycle or rules.watch == "never":
        return
    for grade in ("A", "B", "C", "D", "unknown"):
        after, within = getattr(rules.recycle_after_minutes, grade), getattr(book.contact_within_minutes, grade)
        if after <= within:
            place = ("follow_up", "recycle_after_minutes", grade)
            yield place, f"takes the lead back after {after} minutes, yet {within} are allowed; make it longer"


def _personal(book: RuleBook) -> Iterator[Contradiction]:
    """Columns that may be erased: a decision that went by them could not be told afterwards."""
    for place, column, of_rep in named_columns(book):
        if not of_rep and is_personal(column):
            yield place, f"{column} holds personal data, which rules do not go by; use customer_id or an account's id"
