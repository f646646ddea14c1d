"""What each source brings: how many leads, how good, how many convert, after how long, and why the others are lost."""

from typing import Any

import numpy as np

from serving.policy.exploration import Floats
from serving.reports.facts import Facts, Flags
from serving.reports.view import View, count, told
from training.intervals import mean, share, waiting_time

MOST_REASONS = 12
GRADES = ("A", "B", "C", "D")


def report(view: View) -> dict[str, Any]:
    """The figures of GET /v1/reports/sources; rates are conversions per lead within the window."""
    facts = _leads(view)
    return {
        **view.scope(),
        "unit": "conversions per lead",
        "all": _figures(view, facts, len(facts)),
        "sources": [{"source": word, **_figures(view, part, len(facts))} for word, part in facts.by("source")],
        "lost_reasons": _reasons(facts, facts.is_one_of("status", "lost")),
        "funnel": _funnel(facts),
    }


def _leads(view: View) -> Facts:
    """Each lead once, at the decision that stands: one that was recycled counts where it went."""
    facts = view.of_team(view.facts)
    return facts.where(~facts.is_one_of("status", "recycled", "merged"))


def _figures(view: View, part: Facts, total: int) -> dict[str, Any]:
    mature = part.where(view.mature(part))
    converted = view.converted(mature)
    baseline = part.number("baseline")
    name = "closed_at" if view.target == "won" else "qualified_at"
    when = part.number(name)
    won = part.is_one_of("status", "won") if view.target == "won" else ~np.isnan(when)
    waited = np.where(won, when, view.at_days) - part.number("decided_at")
    values = part.number("value")
    return {
        "leads": len(part),
        "share": told(share(len(part), total), why="no leads"),
        "quality": _quality(baseline[~np.isnan(baseline)]),
        "grades": {grade: count(part.is_one_of("grade", grade)) for grade in GRADES},
        "mature": len(mature),
        "conversion": told(share(float(converted.sum()), len(mature)), why="no lead is old enough yet"),
        "delay_days": told(
            # Of those that convert at all: half of them do within so many days.
            waiting_time(waited[won], np.ones(count(won), dtype=bool)),
            why="nothing has converted yet",
        ),
        "contacted": told(share(count(~np.isnan(part.number("contacted_at"))), len(part)), why="no leads"),
        "value": told(mean(values[~np.isnan(values)]), why="fewer than two won leads say what they were worth"),
        "value_sum": float(np.nansum(values)),
        "lost_reasons": _reasons(part, part.is_one_of("status", "lost")),
    }


def _quality(rotation: Floats) -> dict[str, Any]:
    """What rotation would make of the leads that a model has scored."""
    why = "fewer than two leads have been scored" if len(rotation) else "no model has scored these leads"
    return told(mean(rotation), why=why)


def _reasons(facts: Facts, lost: Flags) -> list[dict[str, Any]]:
    """Why leads were lost, the most frequent first; the rare ones together."""
    codes = facts.codes("lost_reason")[lost]
    found, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rows: list[dict[str, Any]] = [
        {"reason": facts.words("lost_reason")[found[place]] if found[place] >= 0 else None, "leads": int(counts[place])}
        for place in order
    ]
    total = len(codes)
    kept, rest = rows[:MOST_REASONS], rows[MOST_REASONS:]
    if rest:
        kept.append({"reason": "other", "leads": sum(row["leads"] for row in rest)})
    return [{**row, "share": told(share(row["leads"], total))} for row in kept]


def _funnel(facts: Facts) -> list[dict[str, Any]]:
    """How many leads came how far; what is still open may go further."""
    won = facts.is_one_of("status", "won")
    qualified = ~np.isnan(facts.number("qualified_at")) | won
    contacted = ~np.isnan(facts.number("contacted_at")) | qualified
    steps = {
        "arrived": np.ones(len(facts), dtype=bool),
        "assigned": facts.codes("rep_id") >= 0,
        "contacted": contacted,
        "qualified": qualified,
        "won": won,
    }
    return [{"step": name, "leads": count(rows), "share": told(share(count(rows), len(facts)), why="no leads")}
            for name, rows in steps.items()]  # fmt: skip
