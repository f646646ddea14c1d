"""Is it fair? Shares of value and not of counts, the newcomers' floor, and whether order or source plays a part."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from serving.reports.facts import Facts
from serving.reports.shares import gini
from serving.reports.view import LEVEL, View, nothing, number, told
from training.intervals import Estimate
from training.normal import quantile, two_sided

NEWCOMER = timedelta(days=90)  # since she was hired
GINI_DRAWS = 500
SUSPICIOUS = 0.01  # a p-value below it is told as a finding
LEAST_VARIANCE = 5.0  # of a count whose difference from its expectation is taken as normal
NO_DRAW = "no lead has been given out by a logged draw in this time"


def report(view: View) -> dict[str, Any]:
    """The figures of GET /v1/reports/fairness; a lead's value is its probability to convert whoever gets it."""
    facts = drawn(view)
    rows = _reps(view, facts)
    return {
        **view.scope(),
        "unit": "expected conversions",
        "drawn": len(facts),
        "reps": rows,
        "gini": {
            "given": _gini(rows, "value", "spread"),
            "given_counts": _gini(rows, "leads", "leads_spread"),
            "by_rotation": number(gini(np.array([row["value_by_rotation"] for row in rows]))),
            "by_chance": number(gini(np.array([row["value_by_chance"] for row in rows]))),
        },
        "newcomers": _newcomers(view, rows),
        "order": _order(facts),
        "draw": _draw(view, facts),
    }


def drawn(view: View) -> Facts:
    """The decisions in which chance, with logged chances, chose the rep."""
    facts = view.facts
    return facts.where(~np.isnan(facts.number("propensity")) & ~facts.is_one_of("mode", "shadow"))


def _reps(view: View, facts: Facts) -> list[dict[str, Any]]:
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(4))
    for each in view.chances:
        sums[each.rep_id] += (each.control, each.mixture, each.value_control, each.value_mixture)
    own = {word: part.number("baseline") for word, part in facts.by("rep_drawn")}
    made = []
    for rep in view.team_reps():
        value = np.nan_to_num(own.get(rep.rep_id, np.zeros(0)))
        by_rotation, by_chance, value_rotation, value_chance = (float(each) for each in sums[rep.rep_id])
        made.append(
            {
                "rep_id": rep.rep_id,
                "name": rep.name,
                "team": rep.team,
                "newcomer": rep.hired_at is not None and view.at - rep.hired_at < NEWCOMER,
                "leads": len(value),
                "leads_by_rotation": by_rotation,
                "leads_by_chance": by_chance,
                "value": float(value.sum()),
                "value_by_rotation": value_rotation,
                "value_by_chance": value_chance,
                # Spread of a sum of so many leads, had other ones arrived.
                "spread": float(np.sqrt(np.sum(value**2))),
                "leads_spread": float(np.sqrt(len(value))),
            }
        )
    return _with_shares(made)


def _with_shares(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    total = sum(row["value"] for row in rows)
    fair = sum(row["value_by_rotation"] for row in rows)
    z = quantile(0.5 + LEVEL / 2)
    for row in rows:
        share = row["value"] / total if total else np.nan
        # The delta method for a sum over the sum of all.
        rest = np.sqrt(sum(other["spread"] ** 2 for other in rows if other is not row))
        half = z * np.hypot((1 - share) * row["spread"], share * rest) / total if total else np.nan
        row["share"] = told(Estimate(share, share - half, share + half), why=NO_DRAW)
        row["fair_share"] = number(row["value_by_rotation"] / fair) if fair else None
    return rows


def _gini(rows: Sequence[dict[str, Any]], value: str, spread: str) -> dict[str, Any]:
    """Gini's coefficient with a parametric bootstrap's interval: every rep's sum varies by its own spread."""
    values, spreads = (np.array([row[name] for row in rows], dtype=float) for name in (value, spread))
    found = gini(values)
    if np.isnan(found):
        return nothing(NO_DRAW)
    noise = np.random.default_rng(0).normal(size=(GINI_DRAWS, len(values)))
    again = [gini(np.maximum(values + each * spreads, 0.0)) for each in noise]
    # Noise only adds inequality: the estimate lies above the truth by as much as the bootstrap above the estimate.
    bias = float(np.mean(again)) - found
    low, high = np.quantile(again, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]) - 2 * bias
    return {"value": found, "low": float(max(low, 0.0)), "high": float(high), "without_noise": max(found - bias, 0.0)}


def _newcomers(view: View, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the newcomers got against what the rule book's floor promises them."""
    floor = view.rules.prices.floor if view.rules.prices.enabled else 0.0
    new = [row for row in rows if row["newcomer"]]
    got, rotation = (sum(row[name] for row in new) for name in ("leads", "leads_by_rotation"))
    error = np.sqrt(sum(row["leads_by_chance"] for row in new))
    ratio = got / rotation if rotation else np.nan
    half = quantile(0.5 + LEVEL / 2) * error / rotation if rotation else np.nan
    share = told(Estimate(ratio, ratio - half, ratio + half), why="no newcomer could have had a lead in this time")
    return {
        "since_days": NEWCOMER.days,
        "rep_ids": [row["rep_id"] for row in new],
        "floor": floor,
        "of_rotation": share,
        "kept": None if share["value"] is None else bool(share["high"] >= floor),
        "price": dict(view.floor_price) if view.floor_price is not None else nothing("nobody has worked it out"),
    }


def _order(facts: Facts) -> dict[str, Any]:
    """Whether reps further up the roster got more than their chances: the draw must not know the order.

    `tilt` is the mean place of the drawn rep, 0 the top and 1 the end of the roster, less what was expected.
    """
    gap, variance = facts.number("order_gap"), facts.number("order_variance")
    spread = float(np.sqrt(np.nansum(variance)))
    if not spread:
        return {"tilt": nothing(NO_DRAW), "p_value": None, "biased": None}
    z = float(np.nansum(gap)) / spread
    half = quantile(0.5 + LEVEL / 2) * spread / len(facts)
    tilt = float(np.nansum(gap)) / len(facts)
    p = two_sided(z)
    return {"tilt": told(Estimate(tilt, tilt - half, tilt + half)), "p_value": p, "biased": p < SUSPICIOUS}


def _draw(view: View, facts: Facts) -> dict[str, Any]:
    """Whether any rep got more, or less, of any source than the logged chances explain.

    Every pair of a source and a rep is one look; the p-value of the furthest is Bonferroni's.
    """
    given: dict[tuple[str, str], int] = {}
    for source, part in facts.by("source"):
        for rep_id, own in part.by("rep_drawn"):
            given[source or "", rep_id or ""] = len(own)
    looks = [
        ((given.get((each.source, each.rep_id), 0) - each.mixture) / np.sqrt(each.variance), each)
        for each in view.chances
        if each.variance >= LEAST_VARIANCE
    ]
    if not looks:
        return {"pairs": 0, "p_value": None, "biased": None, "furthest": None}
    z, cell = max(looks, key=lambda look: abs(look[0]))
    p = min(1.0, two_sided(z) * len(looks))
    return {
        "pairs": len(looks),
        "p_value": p,
        "biased": p < SUSPICIOUS,
        "furthest": {
            "source": cell.source or None,
            "rep_id": cell.rep_id,
            "given": given.get((cell.source, cell.rep_id), 0),
            "expected": cell.mixture,
            "standard_errors": float(z),
        },
    }
