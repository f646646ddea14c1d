"""A decision as the client reads it: the JSON of the contract, encoded once and then kept."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson

from data.roster import Rep
from data.store.decisions import Decision
from serving.deciding.consider import Chances, Considered, Room
from serving.policy.exploration import Flags
from serving.telling.encoding import as_json, encoded, plain
from serving.telling.reasons import over_text, unassigned_text
from serving.telling.score_listing import listed
from serving.telling.told_reasons import part_told

__all__ = [
    "as_json", "assigned", "encoded", "from_row", "given", "kept_or_row", "parts_of_uplift", "plain", "scored",
    "unassigned", "with_state",
]  # fmt: skip
MOST_ALTERNATIVES = 5
NOBODY_PREFERRED = "the model cannot tell reps apart: it prefers nobody"
NO_INTERVAL = {"value": None, "low": None, "high": None}


def assigned(considered: Considered, chances: Chances, candidate: int, decision_id: str | None) -> dict[str, Any]:
    """The answer that gives the lead to a candidate whom chance drew."""
    answer = given(considered, chances.room, candidate, chances.arm(candidate), decision_id)
    answer["propensity"] = _number(chances.mixture[candidate])
    if considered.scores is None:
        return answer
    return answer | {"over": _over(considered, chances, candidate)}


def given(considered: Considered, room: Room, candidate: int, arm: str, decision_id: str | None) -> dict[str, Any]:
    """The answer that gives the lead to a candidate, be it without any draw."""
    rep, at = considered.candidates[candidate], considered.at
    answer = _frame(considered, room, decision_id) | {
        "rep_id": rep.rep_id,
        "rep_name": rep.name,
        "arm": arm,
        "contact_by": at + timedelta(minutes=considered.contact_minutes),
    }
    if considered.scores is None:
        return answer
    return (
        answer
        | parts_of_uplift(considered, candidate)
        | {"alternatives": _alternatives(considered, room.available, candidate)}
        | _value(considered)
        | _revenue(considered, candidate)
    )


def unassigned(considered: Considered, room: Room, why: str, arm: str, decision_id: str | None) -> dict[str, Any]:
    """The answer where nobody is eligible or free, or the lead waits for a person."""
    told = unassigned_text(why, considered.in_force.rules.language)
    return _frame(considered, room, decision_id) | {"arm": arm, "unassigned_reason": told}


def scored(considered: Considered, room: Room, rep_ids: Sequence[str] | None, top_k: int) -> dict[str, Any]:
    """The answer of a score: every eligible rep, best first, of whom `rep_ids` filters what is shown."""
    frame = _frame(considered, room, None)
    kept = ("lead_id", "baseline_probability", "lead_score", "grade", "excluded", "degraded", "warnings")
    answer = {name: frame[name] for name in (*kept, "model_version", "policy_version")} | _value(considered)
    answer["reps"] = listed(considered, room.available, rep_ids, top_k, answer.get("expected_value"))
    if considered.scores is not None and len(considered.candidates):
        parts = considered.scores.lead_reasons(considered.screening.eligible, top_k)
        answer["lead_reasons"] = orjson.Fragment(considered.in_force.reasons.of_lead(parts))
    else:
        answer["lead_reasons"] = []
    return answer


def parts_of_uplift(considered: Considered, candidate: int, k: int | None = 5) -> dict[str, Any]:
    """Probability, uplift and its k largest reasons, which add up to it (k None: without reasons).

    At full precision, so that batch and single agree.
    """
    scores, interval = considered.scores, considered.uplift(candidate)
    if scores is None or interval is None:
        return {"probability": None, "uplift": NO_INTERVAL, "reasons": []}
    place = int(considered.places[candidate])
    parts = scores.reasons(place, considered.screening.eligible, k) if k else []
    return {
        "probability": float(considered.probability[candidate]),
        "uplift": {"value": interval.value, "low": interval.low, "high": interval.high},
        "reasons": orjson.Fragment(considered.in_force.reasons.of_rep(place, parts)),
    }


def with_state(answer: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    """A decision with what became of it since."""
    state = asdict(decision.state) if decision.state else None
    return {**answer, "mode": decision.row.mode, "lead": dict(decision.row.lead_snapshot), "state": state}


def kept_or_row(
    kept: Mapping[str, bytes], decision: Decision, names: Mapping[str, str | None]
) -> dict[str, Any]:
    """The stored answer of a decision, or the one built from its row where it is no longer kept."""
    body = kept.get(decision.row.decision_id)
    return dict(json.loads(body)) if body else from_row(decision, names)


def from_row(decision: Decision, names: Mapping[str, str | None]) -> dict[str, Any]:
    """The answer built from the ledger's row, once the stored one is gone; its reasons went with it."""
    row = decision.row
    place = row.candidates.index(row.rep_drawn) if row.rep_drawn in row.candidates else None
    propensity = row.propensity[place] if row.propensity is not None and place is not None else None
    answer = _empty(row.decision_id, row.lead_id, row.decided_at)
    return answer | {
        "rep_id": row.rep_id,
        "rep_name": names.get(row.rep_id) if row.rep_id else None,
        "arm": row.arm,
        "probability": _number(row.probability_chosen),
        "baseline_probability": _number(row.baseline),
        "uplift": {
            "value": _number(row.uplift),
            "low": _number(row.uplift_low),
            "high": _number(row.uplift_high),
        },
        "lead_score": row.lead_score,
        "grade": row.grade,
        "propensity": _number(propensity),
        "excluded": {why: len(ids) for why, ids in row.excluded.items()},
        "degraded": row.degraded,
        "duplicate_of": row.duplicate_of,
        "unassigned_reason": row.unassigned_reason,
        "model_version": row.model_version,
        "policy_version": str(row.policy_version or 0),
    }


def _frame(considered: Considered, room: Room, decision_id: str | None) -> dict[str, Any]:
    """What every answer says whoever gets the lead."""
    in_force = considered.in_force
    return _empty(decision_id, str(considered.lead["lead_id"]), considered.at) | {
        "baseline_probability": _number(considered.baseline),
        "lead_score": considered.lead_score,
        "grade": considered.grade,
        "excluded": {why: len(ids) for why, ids in sorted(room.excluded.items(), key=lambda item: -len(item[1]))},
        "degraded": considered.degraded,
        "warnings": _warnings(considered),
        "model_version": in_force.loaded.version if in_force.loaded else None,
        "policy_version": str(in_force.policy_version),
    }


def _warnings(considered: Considered) -> list[str]:
    """What the model could not use of the lead, and whether it has anything to say of the reps."""
    if considered.scores is None:
        return []
    return [*considered.scores.warnings, *(() if considered.in_force.distinguishes else (NOBODY_PREFERRED,))]


def _empty(decision_id: str | None, lead_id: str, decided_at: datetime) -> dict[str, Any]:
    """All keys of the contract, in its order, with nothing said yet."""
    return {
        "decision_id": decision_id, "lead_id": lead_id, "rep_id": None, "rep_name": None, "arm": None,
        "probability": None, "baseline_probability": None, "uplift": NO_INTERVAL,
        "lead_score": None, "grade": None, "propensity": None,
        "reasons": [], "over": None, "alternatives": [], "excluded": {},
        "degraded": None, "duplicate_of": None, "unassigned_reason": None, "warnings": [],
        "contact_by": None, "decided_at": decided_at, "model_version": None, "policy_version": None,
    }  # fmt: skip


def _value(considered: Considered) -> dict[str, float]:
    """What the lead is worth once it is won, where the model can tell."""
    value = considered.scores.expected_value if considered.scores else None
    return {} if value is None else {"expected_value": value}


def _revenue(considered: Considered, candidate: int) -> dict[str, float]:
    """The lead's worth times the chance that this candidate wins it."""
    value = _value(considered).get("expected_value")
    return {} if value is None else {"expected_revenue": float(considered.probability[candidate]) * value}


def _alternatives(considered: Considered, available: Flags, candidate: int) -> list[dict[str, Any]]:
    best = [place for place in _likeliest(considered, MOST_ALTERNATIVES + 1) if place != candidate]
    named = [(considered.candidates[place], float(considered.probability[place]), place) for place in best]
    return [
        {
            "rep_id": rep.rep_id,
            "rep_name": rep.name,
            "probability": probability,
            "uplift": probability - (considered.baseline or 0.0),
            "available": bool(available[place]),
        }
        for rep, probability, place in named[:MOST_ALTERNATIVES]
    ]


def _likeliest(considered: Considered, most: int) -> list[int]:
    """The first of the candidates by probability, equals by id; the others are not put in order."""
    probability = considered.probability
    first = np.arange(len(probability))
    if len(first) > most:  # as many, and whoever equals the last of them
        first = (probability >= np.partition(probability, -most)[-most]).nonzero()[0]
    ranks = considered.in_force.roster.id_ranks[considered.places[first]]
    return first[np.lexsort((ranks, -probability[first]))[:most]].tolist()


def _over(considered: Considered, chances: Chances, candidate: int) -> dict[str, Any] | None:
    """Why this rep rather than the next: the best of the others who were available, after prices.

    Where the price decided, rather the likeliest of them: who would have got the lead if her slot had been free of it.
    """
    others = chances.available.copy()
    others[candidate] = False
    if considered.scores is None or not considered.in_force.distinguishes or not others.any():
        return None
    likeliest = int(np.where(others, considered.probability, -np.inf).argmax())
    # Only the best after prices owes the lead to them; in any other arm it was a draw or a rule.
    best = chances.arm(candidate) == "model"
    price_decided = bool(best and considered.probability[likeliest] > considered.probability[candidate])
    prices = chances.prices / chances.relative_value  # in leads of this one's worth
    next_best = int(np.where(others, considered.probability - prices, -np.inf).argmax())
    other = likeliest if price_decided else next_best
    gain = considered.probability[candidate] - considered.probability[other]
    reps: Sequence[Rep] = considered.candidates
    contrast = considered.scores.contrast(int(considered.places[candidate]), int(considered.places[other]))
    language = considered.in_force.rules.language
    text = over_text(reps[candidate], reps[other], contrast, language, price_decided=price_decided)
    told = {"rep_id": reps[other].rep_id, "uplift": _number(gain), "text": text, "price_decided": price_decided}
    return told | {"reasons": [part_told(part) for part in contrast]}


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
