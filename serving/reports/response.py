"""How long leads wait for their first call, and who keeps the deadline."""

from typing import Any

import numpy as np

from serving.reports.facts import Facts, Flags, Floats
from serving.reports.view import View, count, told
from training.intervals import share, waiting_time

MINUTES_A_DAY = 1_440.0
NOT_REACHED = "fewer than half have been called so far"


def report(view: View) -> dict[str, Any]:
    """The figures of GET /v1/reports/response; times in minutes from the moment the rep got the lead."""
    facts = view.of_team(view.facts)
    facts = facts.where(facts.codes("rep_id") >= 0)
    names = {rep.rep_id: rep.name for rep in view.reps}
    return {
        **view.scope(),
        "unit": "minutes",
        "all": _told(view, facts),
        "reps": [{"name": names.get(row["rep_id"]), **row} for row in _by(view, facts, "rep_id")],
        "sources": _by(view, facts, "source"),
        "grades": _by(view, facts, "grade"),
        "deadline_minutes": view.rules.contact_within_minutes.model_dump(),
    }


def _told(view: View, facts: Facts) -> dict[str, Any]:
    given, contacted, closed = (facts.number(name) for name in ("given_at", "contacted_at", "closed_at"))
    called = ~np.isnan(contacted)
    # One who was closed without a call that we heard of is lost sight of, not called.
    end = np.where(called, contacted, np.where(np.isnan(closed), view.at_days, closed))
    minutes = np.maximum(end - given, 0.0) * MINUTES_A_DAY
    deadline = deadline_minutes(view, facts)
    in_time = called & (minutes <= deadline)
    due = in_time | (called & ~in_time) | (minutes >= deadline)
    return {
        "leads": len(facts),
        "called": count(called),
        "median": told(waiting_time(minutes, called), why=NOT_REACHED),
        "ninth_of_ten": told(waiting_time(minutes, called, at=0.9), why="fewer than nine in ten have been called"),
        "in_time": told(share(count(in_time), count(due)), why="no deadline has passed yet"),
        "overdue": count(overdue(view, facts)),
    }


def overdue(view: View, facts: Facts) -> Flags:
    """Who should have been called by now and was not."""
    waited = (view.at_days - facts.number("given_at")) * MINUTES_A_DAY
    waiting = facts.is_one_of("status", "open") & np.isnan(facts.number("contacted_at"))
    return waiting & (waited > deadline_minutes(view, facts))


def deadline_minutes(view: View, facts: Facts) -> Floats:
    """Minutes within which each lead should have been called, by the rule book in force."""
    rules = view.rules.contact_within_minutes
    by_code = [rules.minutes(grade) for grade in facts.words("grade")]
    table = np.array([*by_code, rules.minutes(None)], dtype=np.float64)  # NOTHING, -1, is the last
    return table[facts.codes("grade")]


def _by(view: View, facts: Facts, name: str) -> list[dict[str, Any]]:
    return [{name: word, **_told(view, part)} for word, part in facts.by(name)]
