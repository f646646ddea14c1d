"""Replayed decisions in figures: what would have changed, for whom, and what it would have been worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data.roster import Rep
from serving.policy.exploration import Floats
from serving.reports.shares import gini
from serving.reports.view import number as finite
from serving.reports.view import told as estimate_told
from training.judging import LEAST_EFFECTIVE, TOO_LITTLE, Judged, Log, difference, judge

MOST_EXAMPLES = 50
EXACT = 1e-9
MOST_UNTRIED = 0.05  # of what the book does that may have had no chance at all, before no figure is given
SEED = 0  # of the bootstrap: the same question has the same answer


@dataclass(frozen=True)
class Row:
    """One replayed decision; vectors over its candidates."""

    decision_id: str
    lead_id: str
    at: datetime
    reps: tuple[Rep, ...]
    logged: Floats  # chance of each before the arm was known, as it ran
    replayed: Floats  # the same under the asked rule book
    chosen: int  # who was drawn
    drawn: int  # who would have been, by the same chance
    probability: Floats
    baseline: float
    wider: bool
    converted: bool
    mature: bool
    shadow: bool


@dataclass(frozen=True)
class Replay:
    """All replayed decisions, oldest first, and how many were left out for which reason."""

    rows: Sequence[Row]
    left_out: dict[str, int]


def told(replay: Replay, *, at: datetime, newcomer_days: float) -> dict[str, Any]:
    """The report's figures; values and differences in conversions per lead."""
    rows = replay.rows
    changed = [row for row in rows if row.drawn != row.chosen]
    moved = [float(np.abs(row.replayed - row.logged).sum() / 2) for row in rows]
    furthest = max((float(np.abs(row.replayed - row.logged).max()) for row in rows), default=0.0)
    worth = _worth([row for row in rows if row.mature and not row.shadow])
    reps = _by_rep(rows, at, newcomer_days)
    return {
        "replayed": len(rows),
        "left_out": replay.left_out,
        "asks_others": sum(row.wider for row in rows),
        "changed": len(changed),
        "expected_changed": float(sum(moved)),
        "largest_difference": furthest,
        "as_it_ran": bool(rows) and furthest <= EXACT,
        "examples": [
            {
                "decision_id": row.decision_id,
                "lead_id": row.lead_id,
                "from_rep_id": row.reps[row.chosen].rep_id,
                "to_rep_id": row.reps[row.drawn].rep_id,
            }
            for row in changed[-MOST_EXAMPLES:]
        ],
        "reps": reps,
        "fairness": _fairness(reps),
        "worth": worth,
        "text": _sentences(len(changed), len(rows), worth["difference"]),
    }


def _by_rep(rows: Sequence[Row], at: datetime, newcomer_days: float) -> list[dict[str, Any]]:
    """Who gains and who loses: expected leads and value (chance to convert whoever gets the lead), both ways."""
    known: dict[str, Rep] = {}
    sums: dict[str, np.ndarray] = {}
    for row in rows:
        for place, rep in enumerate(row.reps):
            known[rep.rep_id] = rep
            then, now = row.logged[place], row.replayed[place]
            sums.setdefault(rep.rep_id, np.zeros(5))
            drawn = float(place == row.drawn) - float(place == row.chosen)
            sums[rep.rep_id] += (then, now, then * row.baseline, now * row.baseline, drawn)
    made = [
        {
            "rep_id": rep_id,
            "name": known[rep_id].name,
            "team": known[rep_id].team,
            "newcomer": _is_new(known[rep_id], at, newcomer_days),
            "leads_then": float(own[0]),
            "leads": float(own[1]),
            "difference": float(own[1] - own[0]),
            "drawn_difference": int(own[4]),
            "value_then": float(own[2]),
            "value": float(own[3]),
        }
        for rep_id, own in sums.items()
    ]
    return sorted(made, key=lambda each: -abs(each["difference"]))


def _is_new(rep: Rep, at: datetime, days: float) -> bool:
    return rep.hired_at is not None and at - rep.hired_at < timedelta(days=days)


def _fairness(reps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    def shares(suffix: str) -> dict[str, float | None]:
        leads, value = (np.array([rep[name + suffix] for rep in reps]) for name in ("leads", "value"))
        new = np.array([rep["newcomer"] for rep in reps], dtype=bool)
        total = leads.sum()
        return {
            "gini_of_leads": finite(gini(leads)),
            "gini_of_value": finite(gini(value)),
            "largest_share": finite(float(leads.max() / total)) if total > 0 else None,
            "newcomers_share": finite(float(leads[new].sum() / total)) if total > 0 else None,
        }

    return {"then": shares("_then"), "now": shares("")}


def _worth(rows: Sequence[Row]) -> dict[str, Any]:
    """Value of the rule book and its difference from what ran, by the doubly robust estimate and SNIPS beside it."""
    made: dict[str, Any] = {"leads": len(rows), "conversions": sum(row.converted for row in rows)}
    if not rows:
        why = "no replayed lead is old enough yet"
        return made | {"observed": None, "estimates": [], "difference": _none(why), **_no_overlap()}
    log, everyone, target = _matrices(rows)
    untried = float(target[everyone <= 0].sum() / len(rows))
    rng = np.random.default_rng(SEED)
    ran, judged = judge("as it ran", log, everyone, rng), judge("replayed", log, target, rng)
    found = judged.overlap
    made |= {
        "observed": float(log.converted.mean()),
        "effective_sample_size": found.effective_sample_size,
        "largest_weight_share": found.largest_weight_share,
        "mean_weight": found.mean_weight,
        "untried_share": untried,
    }
    refused = judged.refused
    if untried > MOST_UNTRIED:
        refused = (
            f"{TOO_LITTLE}: {untried:.0%} of what this rule book does had no chance under the one that ran, "
            f"so no lead tells what comes of it; {MOST_UNTRIED:.0%} is the most for a figure."
        )
    if refused:
        return made | {"estimates": [], "difference": _none(refused)}
    return made | {"estimates": _lines(judged), "difference": _difference(judged, ran, log, rng)}


def _matrices(rows: Sequence[Row]) -> tuple[Log, Floats, Floats]:
    """The rows over all reps, every rep's chance then, and under the asked book."""
    place: dict[str, int] = {}
    for row in rows:
        for rep in row.reps:
            place.setdefault(rep.rep_id, len(place))
    everyone, target, predicted = (np.zeros((len(rows), len(place))) for _ in range(3))
    chosen = np.empty(len(rows), dtype=np.intp)
    for number, row in enumerate(rows):
        where = [place[rep.rep_id] for rep in row.reps]
        everyone[number, where], target[number, where] = row.logged, row.replayed
        predicted[number, where] = row.probability
        chosen[number] = where[row.chosen]
    log = Log(
        converted=np.array([row.converted for row in rows], dtype=float),
        chosen=chosen,
        logged=everyone[np.arange(len(rows)), chosen],
        predicted=predicted,
        block=np.array([row.at.toordinal() for row in rows]),
        verified=True,
    )
    return log, everyone, target


def _lines(judged: Judged) -> list[dict[str, Any]]:
    return [
        {
            "estimator": line.estimator,
            "headline": line.headline,
            "interval": line.interval,
            "effective_sample_size": line.effective_sample_size,
            **estimate_told(line.value, why="a model's own opinion has no interval"),
        }
        for line in judged.lines
    ]


def _difference(judged: Judged, ran: Judged, log: Log, rng: np.random.Generator) -> dict[str, Any]:
    found = difference(judged, ran, log, rng, clusters=False)
    if found is None:
        return _none(f"{TOO_LITTLE}: fewer than {LEAST_EFFECTIVE:.0f} leads' worth of evidence")
    return estimate_told(found)


def _none(why: str) -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "why": why}


def _no_overlap() -> dict[str, Any]:
    names = ("effective_sample_size", "largest_weight_share", "mean_weight", "untried_share")
    return dict.fromkeys(names)


def _sentences(changed: int, of: int, found: dict[str, Any]) -> dict[str, str]:
    """The report in a sentence: "142 of 1,000 decisions would change; estimated +0.4 points, -0.3 to +1.1"."""
    english, chinese = f"{changed:,} of {of:,} decisions would change", f"{of:,} 条决定中有 {changed:,} 条会改变"
    if found["value"] is None:
        short = TOO_LITTLE in found["why"]
        return {
            "en": f"{english}; what they are worth cannot be told: {found['why']}",
            "zh": f"{chinese}；" + ("重叠不足，无法估计其价值。" if short else "尚无到期的线索，无法估计其价值。"),
        }
    value, low, high = (f"{100 * found[name]:+.1f}" for name in ("value", "low", "high"))
    return {
        "en": f"{english}; estimated {value} points per lead, {low} to {high}.",
        "zh": f"{chinese}；估计每条线索 {value} 个百分点（{low} 至 {high}）。",
    }
