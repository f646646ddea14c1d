"""Routes of what the decisions go by: the rule book and the model."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from data.errors import ConflictError
from data.store import policies, promotions
from serving import answers
from serving.api import PolicyIn
from serving.asked import caller_of, json_reply, parts_of
from serving.auth import EVERY_ROLE, Rules, keys_of
from serving.policy.rulebook import DEFAULT_PATH, parse_rule_book

router = APIRouter(tags=["rules"])
RULES: Rules = {
    ("GET", "/v1/policy"): EVERY_ROLE,
    ("PUT", "/v1/policy"): keys_of("manager", "admin"),
    ("GET", "/v1/model"): EVERY_ROLE,
}


@router.get("/v1/policy")
def get_policy(request: Request) -> Response:
    """The rule book in force, as written and as understood, and who changed it when and why."""
    parts = parts_of(request)
    with parts.ledger.reading() as conn:
        in_force = parts.watch.look(conn)
        active = policies.active(conn)
        versions = policies.history(conn)
    told = {
        "version": in_force.policy_version,
        "text": active.text if active else DEFAULT_PATH.read_text(encoding="utf-8"),
        "rules": in_force.rules.model_dump(mode="json"),
        "mode": in_force.mode,
        "history": [
            {"version": one.version, "actor": one.actor, "why": one.why, "at": one.at} for one in reversed(versions)
        ],
    }
    return json_reply(answers.encoded(told))


@router.put("/v1/policy")
def put_policy(body: PolicyIn, request: Request) -> Response:
    """Bring a changed rule book into force; `version` is the one that it changes."""
    caller, parts = caller_of(request), parts_of(request)
    parse_rule_book(body.text)
    with parts.ledger.writing() as tx:
        if policies.version(tx) != body.version:
            raise ConflictError("The rule book was changed meanwhile; read it again and change that one.")
        version = policies.activate(tx, body.text, actor=caller.actor, why=body.why, at=parts.clock())
    return json_reply(answers.encoded({"version": version}))


@router.get("/v1/model")
def get_model(request: Request) -> Response:
    """The model in force: when and on what it was trained, how good it is, and its verdict on the reps."""
    parts = parts_of(request)
    with parts.ledger.reading() as conn:
        in_force = parts.watch.look(conn)
        promotion = promotions.champion(conn)
    told: dict[str, Any] = {"model_version": None, "degraded": in_force.degraded, "champion": None}
    if promotion is not None:
        told["champion"] = {
            "model_version": promotion.version,
            "digest": promotion.digest,
            "promoted_at": promotion.at,
            "actor": promotion.actor,
            "grounds": dict(promotion.grounds),
        }
    loaded = in_force.loaded
    if loaded is not None:
        told |= {
            "model_version": loaded.version,
            "digest": loaded.digest,
            "source": loaded.source,
            "verdict": loaded.model.verdict,
            "distinguishes_reps": loaded.model.speaks,
            "window_days": loaded.model.window_days,
            "facts": dict(loaded.model.facts),
            "about": dict(loaded.about),
        }
    return json_reply(answers.encoded(told))
