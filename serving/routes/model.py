"""Routes of the model in force: what it is, what else the registry holds, promotion and rollback by hand."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from data.store import promotions
from data.store.promotions import Promotion
from serving.models.child import ChildFailedError
from serving.telling import answers
from serving.web.api import Body, Line
from serving.web.asked import caller_of, json_reply, parts_of
from serving.web.auth import EVERY_ROLE, Rules, keys_of
from serving.web.problems import retry_later

router = APIRouter(tags=["model"])
RULES: Rules = {
    ("GET", "/v1/model"): EVERY_ROLE,
    ("GET", "/v1/model/versions"): keys_of("manager", "analyst", "admin"),
    ("POST", "/v1/model/promote"): keys_of("manager", "admin"),
    ("POST", "/v1/model/rollback"): keys_of("manager", "admin"),
}
VersionNumber = Annotated[str, Field(strict=True, pattern=r"^[0-9]{1,9}$")]


class RollbackIn(Body):
    """`POST /v1/model/rollback`: `expected` is the version that is champion as you saw it."""

    expected: VersionNumber | None
    why: Line


class PromoteIn(RollbackIn):
    """`POST /v1/model/promote`."""

    version: VersionNumber


@router.get("/v1/model")
def get_model(request: Request) -> Response:
    """The model in force: when and on what it was trained, how good it is, and its verdict on the reps."""
    parts = parts_of(request)
    with parts.ledger.reading() as conn:
        in_force = parts.watch.look(conn)
        past = promotions.history(conn)
    told: dict[str, Any] = {"model_version": None, "degraded": in_force.degraded, "champion": None}
    if past:
        told["champion"] = _promotion(past[-1])
    told["history"] = [_promotion(one) for one in reversed(past)]
    told["can_roll_back"] = len(promotions.risen(past)) > 1
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


@router.get("/v1/model/versions")
def get_versions(request: Request) -> Response:
    """The newest registered versions with their figures, newest first; the registry is asked for them."""
    try:
        return json_reply(answers.encoded({"versions": parts_of(request).models.versions()}))
    except ChildFailedError:
        raise retry_later(503, "The model registry cannot be asked now; the model in force goes on.") from None


@router.post("/v1/model/promote")
def promote(body: PromoteIn, request: Request) -> Response:
    """Make a registered version champion by your word; workers load it once they have verified and tried it."""
    models = parts_of(request).models
    made = models.promote(body.version, expected=body.expected, actor=caller_of(request).actor, why=body.why)
    return _done(made, models.move_alias(made.version))


@router.post("/v1/model/rollback")
def roll_back(body: RollbackIn, request: Request) -> Response:
    """Make the champion before the present one champion again."""
    models = parts_of(request).models
    made = models.roll_back(expected=body.expected, actor=caller_of(request).actor, why=body.why)
    return _done(made, models.move_alias(made.version))


def _done(made: Promotion, problem: str | None) -> Response:
    warnings = [f"the registry's alias did not follow: {problem}"] if problem else []
    return json_reply(answers.encoded({"champion": _promotion(made), "warnings": warnings}))


def _promotion(one: Promotion) -> dict[str, Any]:
    return {
        "model_version": one.version,
        "digest": one.digest,
        "previous": one.previous,
        "promoted_at": one.at,
        "actor": one.actor,
        "grounds": dict(one.grounds),
    }
