"""Routes of the rule book."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from data.errors import ConflictError
from data.store import policies
from serving import answers
from serving.api import PolicyIn
from serving.asked import caller_of, json_reply, parts_of
from serving.auth import EVERY_ROLE, Rules, keys_of
from serving.policy.rulebook import DEFAULT_PATH, parse_rule_book

router = APIRouter(tags=["rules"])
RULES: Rules = {
    ("GET", "/v1/policy"): EVERY_ROLE,
    ("PUT", "/v1/policy"): keys_of("manager", "admin"),
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
