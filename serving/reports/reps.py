"""What came of each rep's leads, and her strengths as the model sees them: with intervals, for noise is no talent."""

from typing import Any

import numpy as np

from data.roster import Rep
from serving.reports.facts import Facts
from serving.reports.view import LEVEL, View, count, nothing, number, told
from training.conversion import ConversionModel, RosterModel
from training.intervals import Estimate, above_expected, share, shrunk
from training.normal import quantile

MOST_STRENGTHS = 6
UNSEEN = "no lead of this rep is old enough yet"


def report(view: View) -> dict[str, Any]:
    """The figures of GET /v1/reports/reps; rates are conversions per lead, effects points of probability."""
    facts = view.of_team(view.facts)
    facts = facts.where((facts.codes("rep_id") >= 0) & ~facts.is_one_of("status", "recycled", "merged"))
    strengths = _strengths(view)
    of_rep = dict(facts.by("rep_id"))
    nobody = facts.where(np.zeros(len(facts), dtype=bool))
    rows = [_row(view, rep, of_rep.get(rep.rep_id, nobody)) for rep in view.team_reps()]
    _add_adjusted(rows)
    for row in rows:
        row["model"] = strengths.get(row["rep_id"], nothing("no model is in force"))
    return {
        **view.scope(),
        "unit": "conversions per lead",
        "verdict": view.model.verdict if view.model else None,
        "reps": rows,
        "notes": [
            "above_expected sets what converted against what the leads promised whoever got them; it is drawn towards "
            "the team's mean by how much of the reps' spread is noise.",
            "Leads that people picked are in these counts: only the model's effects try to take picking out.",
        ],
    }


def _row(view: View, rep: Rep, own: Facts) -> dict[str, Any]:
    mature = own.where(view.mature(own))
    y, expected = _own_conversions(view, mature), mature.number("baseline")
    scored = ~np.isnan(expected)
    beyond, error = above_expected(y[scored], expected[scored])
    return {
        "rep_id": rep.rep_id,
        "name": rep.name,
        "team": rep.team,
        "leads": len(own),
        "open": count(own.is_one_of("status", "open")),
        "won": count(own.is_one_of("status", "won")),
        "lost": count(own.is_one_of("status", "lost")),
        "mature": len(mature),
        "conversion": told(share(float(y.sum()), len(mature)), why=UNSEEN),
        "expected": number(float(expected[scored].mean())) if scored.any() else None,
        "value_sum": float(np.nansum(own.number("value"))),
        "overridden_to": count(~own.same("rep_drawn", "rep_id")),
        # Replaced below, once all reps are known.
        "above_expected": Estimate(beyond, error, np.nan),
    }


def _own_conversions(view: View, facts: Facts) -> np.ndarray:
    """1 for leads that this rep converted within the window of getting them, else 0."""
    when = facts.number("closed_at" if view.target == "won" else "qualified_at")
    begun = facts.number("given_at")
    done = facts.is_one_of("status", "won") if view.target == "won" else ~np.isnan(when)
    return np.asarray(done & (when - begun <= view.window_days), dtype=np.float64)


def _add_adjusted(rows: list[dict[str, Any]]) -> None:
    """Conversions above what the leads promised, raw and shrunk, in place of the raw parts."""
    parts = [row["above_expected"] for row in rows]
    values, errors = np.array([(part.value, part.low) for part in parts]).reshape(-1, 2).T
    drawn, half = shrunk(values, errors)
    z = quantile(0.5 + LEVEL / 2)
    for place, row in enumerate(rows):
        raw = Estimate(values[place], values[place] - z * errors[place], values[place] + z * errors[place])
        own = Estimate(drawn[place], drawn[place] - half[place], drawn[place] + half[place])
        row["above_expected"] = told(own, why="fewer than three reps have leads that are old enough")
        row["above_expected_raw"] = told(raw, why=UNSEEN)


def _strengths(view: View) -> dict[str, dict[str, Any]]:
    """By rep: her level and her largest segment effects, as points at an average lead's probability."""
    model = view.model
    if model is None or not view.reps:
        return {}
    roster = RosterModel(model, view.reps)
    usual = float(np.trapezoid(model.score_grid)) / 100  # mean rotation probability of the training window
    points = usual * (1 - usual) * model.calibration.slope
    return {
        rep.rep_id: _of_rep(model, points, roster.effects[place], roster.covariance[place])
        for place, rep in enumerate(view.reps)
    }


def _of_rep(model: ConversionModel, points: float, effects: np.ndarray, covariance: np.ndarray) -> dict[str, Any]:
    half = quantile(0.5 + LEVEL / 2) * np.sqrt(np.diag(covariance)) * points
    value = effects * points
    told_apart = model.speaks
    names: list[dict[str, Any]] = [{"feature": "overall", "level": None}]
    names += [{"feature": one.feature, "level": one.level_name} for one in model.lead_design.directions]
    made = [
        {
            **name,
            "value": float(value[place]),
            "low": float(value[place] - half[place]),
            "high": float(value[place] + half[place]),
            "clear": bool(told_apart and abs(value[place]) > half[place]),
        }
        for place, name in enumerate(names)
    ]
    segments = sorted(made[1:], key=lambda each: -abs(float(each["value"])))
    return {
        "unit": "probability at an average lead",
        "overall": made[0],
        "strengths": segments[:MOST_STRENGTHS],
        "told_apart": told_apart,
    }
