"""Routes of the endpoints that are told of events: whom, what was given up, and once more."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from serving.events import endpoint_setup
from serving.telling import answers
from serving.web.api import Body, Flag, Id
from serving.web.asked import caller_of, json_reply, parts_of
from serving.web.auth import Rules, keys_of
from serving.web.problems import Problem

router = APIRouter(tags=["webhooks"])
MANAGERS = keys_of("manager", "admin")
RULES: Rules = {
    ("GET", "/v1/webhooks"): MANAGERS,
    ("POST", "/v1/webhooks"): MANAGERS,
    ("GET", "/v1/webhooks/dead"): MANAGERS,
    ("POST", "/v1/webhooks/replay"): MANAGERS,
    ("PATCH", "/v1/webhooks/{endpoint_id}"): MANAGERS,
    ("DELETE", "/v1/webhooks/{endpoint_id}"): MANAGERS,
}


class WebhookIn(Body):
    """`POST /v1/webhooks`. Endpoints in private networks and write-backs are set up on the command line alone."""

    url: Annotated[str, Field(strict=True, max_length=2_000)]
    topics: Annotated[list[Id], Field(min_length=1, max_length=20)] | None = None
    client_id: Id | None = None


class SwitchIn(Body):
    """`PATCH /v1/webhooks/{id}`."""

    active: Flag


class ReplayIn(Body):
    """`POST /v1/webhooks/replay`: one message, one endpoint's, or all that were given up."""

    endpoint_id: Id | None = None
    message_id: Id | None = None


@router.get("/v1/webhooks")
def show(request: Request) -> Response:
    """Everybody who is told, and how many messages wait, arrived or were given up."""
    with parts_of(request).ledger.reading() as conn:
        return json_reply(answers.encoded({"webhooks": endpoint_setup.shown(conn)}))


@router.post("/v1/webhooks")
def add(body: WebhookIn, request: Request) -> Response:
    """Tell one more; the secret that signs is in this answer and never again."""
    parts = parts_of(request)
    with parts.ledger.writing() as tx:
        made, secret = endpoint_setup.set_up(
            tx,
            parts.home,
            kind="webhook",
            url=body.url,
            topics=body.topics,
            client_id=body.client_id,
            secret_from=None,
            private_allowed=False,
            options={},
            actor=caller_of(request).actor,
            at=parts.clock(),
        )
    return json_reply(answers.encoded(endpoint_setup.told(made) | {"secret": secret}))


@router.patch("/v1/webhooks/{endpoint_id}")
def switch(endpoint_id: str, body: SwitchIn, request: Request) -> Response:
    """Stop telling an endpoint, or go on; meanwhile nothing new is kept for it."""
    parts, actor = parts_of(request), caller_of(request).actor
    with parts.ledger.writing() as tx:
        if not endpoint_setup.switched(tx, endpoint_id, active=body.active, actor=actor, at=parts.clock()):
            raise Problem(404, "There is no such webhook.")
    return json_reply(answers.encoded({"endpoint_id": endpoint_id, "active": body.active}))


@router.delete("/v1/webhooks/{endpoint_id}")
def remove(endpoint_id: str, request: Request) -> Response:
    """Tell it nothing any more, and drop what it has not been told."""
    parts, actor = parts_of(request), caller_of(request).actor
    with parts.ledger.writing() as tx:
        if not endpoint_setup.removed(tx, parts.home, endpoint_id, actor=actor, at=parts.clock()):
            raise Problem(404, "There is no such webhook.")
    return json_reply(answers.encoded({"endpoint_id": endpoint_id, "removed": True}))


@router.get("/v1/webhooks/dead")
def dead(request: Request, endpoint_id: str | None = None) -> Response:
    """Messages that were given up after the last attempt."""
    with parts_of(request).ledger.reading() as conn:
        return json_reply(answers.encoded({"dead": endpoint_setup.dead(conn, endpoint_id)}))


@router.post("/v1/webhooks/replay")
def replay(body: ReplayIn, request: Request) -> Response:
    """Send again what was given up, under the same ids."""
    parts, actor = parts_of(request), caller_of(request).actor
    with parts.ledger.writing() as tx:
        again = endpoint_setup.replayed(
            tx, endpoint_id=body.endpoint_id, message_id=body.message_id, actor=actor, at=parts.clock()
        )
    return json_reply(answers.encoded({"replayed": again}))
