"""A rule book held against what is known here: the roster, the columns that were seen, the leads that came in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data.names import LEAD_COLUMNS, listed, nearest
from data.roster import KNOWN_COLUMNS, Rep
from serving.policy.contradictions import KNOWN_LATER, Contradiction, Place, named_columns
from serving.policy.eligibility import Screener, away
from serving.policy.rep_tests import members
from serving.policy.rulebook import read_rule_book, refuse_if_any
from serving.policy.sections import RuleBook

FEWEST_LEADS = 20  # leads that must have come in before "no rep for any of them" means anything
ALWAYS_KNOWN = frozenset({*LEAD_COLUMNS, "customer_id", "region", "source"})


@dataclass(frozen=True)
class Known:
    """What a rule book can be held against. Empty parts are not yet known, and nothing is said of them."""

    reps: Sequence[Rep] = ()
    lead_columns: frozenset[str] = frozenset()  # of the model and of leads that came in
    leads: Sequence[Mapping[str, Any]] = ()  # that came in lately, without personal data
    at: datetime | None = None


def checked_rule_book(text: str, known: Known) -> RuleBook:
    """The rule book in `text`; InputError names line, field and cure of everything that cannot be used here."""
    book, lines = read_rule_book(text)
    refuse_if_any([*_columns(book, known), *_nobody_left(book, known)], lines)
    return book


def _columns(book: RuleBook, known: Known) -> Iterator[Contradiction]:
    """Columns that no lead or rep has."""
    lead_columns = known.lead_columns | ALWAYS_KNOWN | frozenset(book.columns.leads) if known.lead_columns else None
    seen = frozenset(name for rep in known.reps for name in rep.attributes)
    rep_columns = seen | KNOWN_COLUMNS | frozenset(book.columns.reps) if known.reps else None
    for place, column, of_rep in named_columns(book):
        if not of_rep and column in KNOWN_LATER:
            continue
        there = rep_columns if of_rep else lead_columns
        if there is not None and column not in there:
            yield place, _unknown(column, there, "rep" if of_rep else "lead")


def _unknown(column: str, there: frozenset[str], whose: str) -> str:
    meant = nearest(column, there)
    cure = f"did you mean {meant}? If not" if meant else f"columns are {listed(sorted(there))}; if it is to come"
    return f"no {whose} has a column {column}; {cure}, name it under columns.{whose}s"


def _nobody_left(book: RuleBook, known: Known) -> Iterator[Contradiction]:
    """Rules and routes that leave nobody."""
    here = [rep for rep in known.reps if known.at is None or away(rep, known.at) is None]
    if not here:
        return
    for number, rule in enumerate(book.eligibility.rules):
        if rule.reps and not rule.waived_if_nobody and not members(here, rule.reps).any():
            whose = "these leads" if rule.when else "any lead"
            yield ("eligibility", "rules", str(number), "reps"), (
                f"no active rep fulfils this, so nobody could get {whose}; change it, or set waived_if_nobody: true"
            )
    for number, route in enumerate(book.routes):
        if route.reps and not members(here, route.reps).any():
            yield ("routes", str(number), "reps"), "no active rep fulfils this; change it, or remove the route"
    for rep_id in {*book.weights, *(name for route in book.routes for name in route.weights or {})}:
        if rep_id not in {rep.rep_id for rep in known.reps}:
            yield ("weights", rep_id), "there is no such rep on the roster"
    yield from _nobody_for_recent_leads(book, known, here)


def _nobody_for_recent_leads(book: RuleBook, known: Known, here: Sequence[Rep]) -> Iterator[Contradiction]:
    if known.at is None or len(known.leads) < FEWEST_LEADS:
        return
    at, screener = known.at, Screener(book, here)
    found = [screener.at_any_hour(lead, at) for lead in known.leads]
    if any(one.eligible.any() for one in found):
        return
    counts: dict[str, int] = {}
    for one in found:
        for why, ids in one.excluded.items():
            counts[why] = counts.get(why, 0) + len(ids)
    why = max(counts, key=lambda each: counts[each])
    rules = [rule.why for rule in book.eligibility.rules]
    place: Place = ("eligibility", "rules", str(rules.index(why))) if why in rules else ("eligibility",)
    yield place, f"nobody would be eligible for any of the last {len(found)} leads, mostly {why!r}; loosen the rules"

