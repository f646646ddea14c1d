"""Routes of leads that wait for a person: the pool, the manual queue, and a rep's leads that go to others."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from data.store import pool
from serving.deciding import follow_up
from serving.deciding import pool as claims
from serving.telling import answers
from serving.web.api import ClaimIn, HandOverIn
from serving.web.asked import caller_of, json_reply, parts_of
from serving.web.auth import Caller, Rules, keys_of
from serving.web.problems import FieldError, Problem
from serving.web.text import clean_id

router = APIRouter(tags=["pool"])
RULES: Rules = {
    ("GET", "/v1/pool"): keys_of("crm", "rep", "manager", "analyst", "admin"),
    ("POST", "/v1/pool/{lead_id}/claim"): keys_of("rep", "manager", "admin"),
    ("GET", "/v1/queue"): keys_of("crm", "manager", "analyst", "admin"),
    ("POST", "/v1/reps/{rep_id}/hand-over"): keys_of("manager", "admin"),
}
Most = Annotated[int, Query(ge=1, le=500)]


@router.get("/v1/pool")
def ranked(request: Request, rep_id: str | None = None, limit: Most = 200) -> Response:
    """Leads open to be claimed, ranked for a rep; a rep's key sees them ranked for herself."""
    caller, parts = caller_of(request), parts_of(request)
    asked = caller.rep_id if caller.role == "rep" else rep_id
    told = claims.ranked(parts.decider, asked, client_id=_of_client(caller), limit=limit)
    return json_reply(answers.encoded(told))


@router.post("/v1/pool/{lead_id}/claim")
def claim(lead_id: str, body: ClaimIn, request: Request) -> Response:
    """Take a lead from the pool; of all who try, one gets it."""
    caller, parts = caller_of(request), parts_of(request)
    rep_id = body.rep_id or caller.rep_id
    if rep_id is None:
        raise Problem(422, "1 field(s) cannot be used.", [FieldError("rep_id", "is needed: who claims the lead")])
    if caller.role == "rep" and rep_id != caller.rep_id:
        raise Problem(403, "A rep's key claims leads for herself.")
    lead = _id("lead_id", lead_id)
    client = caller.client_id if caller.role == "rep" else body.client or caller.client_id
    return json_reply(claims.claim(parts.decider, client, lead, rep_id, actor=caller.actor))


@router.get("/v1/queue")
def queue(request: Request, limit: Most = 200) -> Response:
    """Leads that wait for a manager, those that wait longest first; an override gives one out."""
    caller, parts = caller_of(request), parts_of(request)
    with parts.ledger.reading() as conn:
        waiting = pool.waiting(conn, pool.QUEUED, client_id=_of_client(caller), limit=limit)
    return json_reply(answers.encoded({"leads": [claims.shown(one) for one in waiting]}))


@router.post("/v1/reps/{rep_id}/hand-over")
def hand_over(rep_id: str, body: HandOverIn, request: Request) -> Response:
    """Match a rep's open leads, or some of them, to others; each is decided anew without her."""
    caller, parts = caller_of(request), parts_of(request)
    moved = follow_up.hand_over(
        parts.decider, _id("rep_id", rep_id), body.lead_ids, reason=body.reason, actor=caller.actor
    )
    return json_reply(answers.encoded({"rep_id": rep_id, "leads": moved}))


def _of_client(caller: Caller) -> str | None:
    """The client whose leads alone are seen: a CRM's and a rep's own; the others see all."""
    return caller.client_id if caller.role in ("crm", "rep") else None


def _id(name: str, value: str) -> str:
    try:
        return clean_id(value)
    except ValueError as error:
        raise Problem(422, "1 field(s) cannot be used.", [FieldError(name, str(error))]) from None
