"""The decision as the ledger keeps it: with everything that a replay of the policy needs."""

from typing import Any

from data.personal import is_personal
from data.store import capacity
from data.store.decisions import DecisionRow
from serving.deciding.cases import Case, Draw
from serving.deciding.consider import Chances, Considered
from serving.policy.methods import State
from serving.telling import answers

VECTORS = ("open_leads", "today", "won", "closed", "response_hours")


def row_of(case: Case, draw: Draw) -> DecisionRow:
    """The row of a draw whose slot is reserved."""
    ask, considered = case.ask, case.considered
    in_force = considered.in_force
    said = answers.plain(ask.lead)
    personal = {name: value for name, value in said.items() if is_personal(name)}
    given = {} if draw.candidate is None else _with_rep(considered, draw.candidate)
    if draw.candidate is not None and draw.chances is not None:
        given |= _with_chances(case, draw.chances, draw.candidate)
    return DecisionRow(
        decision_id=draw.decision_id,
        client_id=ask.client_id,
        idempotency_key=ask.key,
        request_digest=ask.digest,
        lead_id=ask.lead_id,
        customer_id=ask.lead.get("customer_id"),
        spell_id=draw.decision_id,
        mode=in_force.mode,
        decided_at=considered.at,
        lead_snapshot={name: value for name, value in said.items() if name not in personal},
        personal=personal,
        roster_version=in_force.roster.version,
        policy_version=in_force.policy_version,
        model_version=in_force.loaded.version if in_force.loaded else None,
        model_digest=in_force.loaded.digest if in_force.loaded else None,
        candidates=case.rep_ids,
        excluded=draw.room.excluded,
        available=draw.room.available,
        probability=considered.probability,
        baseline=considered.baseline,
        lead_score=considered.lead_score,
        grade=considered.grade,
        degraded=considered.degraded,
        unassigned_reason=draw.unassigned_reason,
        arm=draw.arm,
        seed=draw.seed,
        draw_number=draw.number,
        basis=_basis(case, draw),
        customer_keys=case.background.keys or {},
        **given,
    )


def _basis(case: Case, draw: Draw) -> dict[str, Any]:
    """What the rule book made of the lead: with the versions and vectors beside it, enough to do it again."""
    considered, way = case.considered, case.considered.way if draw.chances is None else draw.chances.way
    told: dict[str, Any] = {"route": way.route, "method": case.ask.method or way.method}
    if considered.expected_value is not None:
        told["expected_value"] = considered.expected_value
    if draw.chances is not None:
        choice = draw.chances.choice
        told |= {
            "method": choice.method,
            "control": choice.control,
            "distinguishes": choice.settings.distinguishes,
            "instead": case.ask.method,
            "relative_value": draw.chances.relative_value,
        }
    return {name: value for name, value in told.items() if value is not None}


def _with_rep(considered: Considered, candidate: int) -> dict[str, Any]:
    """The fields that say who got the lead."""
    rep, interval = considered.candidates[candidate], considered.uplift(candidate)
    told = {"rep_id": rep.rep_id, "window": capacity.local_day(rep, considered.at)}
    if interval is None:
        return told
    return told | {
        "probability_chosen": float(considered.probability[candidate]),
        "uplift": interval.value,
        "uplift_low": interval.low,
        "uplift_high": interval.high,
    }


def _with_chances(case: Case, given: Chances, candidate: int) -> dict[str, Any]:
    """The fields that say what chance was given to whom, and whom chance drew."""
    return {
        "propensity_policy": given.policy,
        "propensity_control": given.control,
        "propensity": given.mixture,
        "prices": given.prices,
        "state": _logged(given.state),
        "holdout_share": given.choice.share,
        "rep_drawn": case.rep_ids[candidate],
    }


def _logged(state: State) -> dict[str, Any]:
    """What the methods saw of each candidate, by name."""
    seen = {name: getattr(state, name) for name in VECTORS if getattr(state, name) is not None}
    bounds = state.bounds
    return seen if bounds is None else seen | {"least": bounds.least, "most": bounds.most}
