"""A stored decision explained again: its reasons in the reader's language, and the parts of the lead's own score."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from data.roster import Rep
from data.store.decisions import DecisionRow
from serving.deciding.in_force import InForce
from serving.telling.reasons import Language, lead_text, over_text, reason_text
from training.explain import Contribution

MOST_PARTS = 8


def explained(
    row: DecisionRow, answer: Mapping[str, Any], in_force: InForce, language: Language
) -> dict[str, Any]:
    """The answer of GET /v1/decisions/{id}/explanation."""
    reps = {rep.rep_id: rep for rep in in_force.roster.reps}
    rep, over = answer["rep_id"], answer["over"]
    drawn = reps.get(rep, Rep(rep, name=answer["rep_name"])) if rep else None
    told: dict[str, Any] = {
        "decision_id": row.decision_id,
        "reasons": reasons_again(answer["reasons"], drawn, language) if drawn else [],
        "over": None,
        "lead": _lead(row, in_force, language),
    }
    if drawn and over:
        other = reps.get(over["rep_id"], Rep(over["rep_id"]))
        told["over"] = over | {"rep_name": other.name, "text": _over_again(over, drawn, other, language)}
    return told


def reasons_again(reasons: Sequence[Mapping[str, Any]], rep: Rep, language: Language) -> list[dict[str, Any]]:
    """Stored reasons in the reader's language; one that does not say its kind stays as it was said."""
    parts = [(reason, _contribution(reason)) for reason in reasons]
    return [
        {**reason, "text": reason["text"] if part is None else reason_text(part, rep, language)}
        for reason, part in parts
    ]


def _over_again(over: Mapping[str, Any], rep: Rep, other: Rep, language: Language) -> str:
    parts = [_contribution(each) for each in over.get("reasons", ())]
    known = [part for part in parts if part is not None]
    if not known:
        return str(over["text"])
    return over_text(rep, other, known, language, price_decided=over["price_decided"])


def _contribution(reason: Mapping[str, Any]) -> Contribution | None:
    """The contribution behind a stored reason; None for one that does not say its kind."""
    if "kind" not in reason:
        return None
    return Contribution(reason["feature"], reason.get("value"), reason["contribution"], reason["kind"])


def _lead(row: DecisionRow, in_force: InForce, language: Language) -> dict[str, Any] | None:
    """The lead's waterfall, from the average lead to this one, by the model in force."""
    scorer, loaded = in_force.scorer, in_force.loaded
    if scorer is None or loaded is None or not row.candidates:
        return None
    asked = frozenset(row.candidates)
    eligible = np.array([rep_id in asked for rep_id in scorer.rep_ids], dtype=bool)
    if not eligible.any():
        return None
    scores = scorer.score(_typed(row.lead_snapshot), at=row.decided_at)
    parts: Sequence[Contribution] = scores.lead_reasons(eligible, MOST_PARTS)
    baseline = scores.baseline(eligible)
    return {
        "baseline": baseline,
        "average": baseline - sum(part.contribution for part in parts),
        "reasons": [
            {"feature": part.feature, "contribution": part.contribution, "text": lead_text(part, language)}
            for part in parts
        ],
        "model_version": loaded.version,
        "as_decided": row.model_version == loaded.version and int(eligible.sum()) == len(row.candidates),
    }


def _typed(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The lead as it came: its arrival is an instant again."""
    arrived = snapshot.get("created_at")
    return {**snapshot, "created_at": datetime.fromisoformat(arrived)} if isinstance(arrived, str) else dict(snapshot)
