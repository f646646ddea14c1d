"""Routes for the rights of the person behind a lead: to see what is known, and to have it erased."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from data.store import acts, privacy
from serving.telling import answers
from serving.web.asked import caller_of, json_reply, parts_of
from serving.web.auth import Rules, keys_of

router = APIRouter(tags=["privacy"])
RULES: Rules = {
    ("GET", "/v1/privacy"): keys_of("admin"),
    ("DELETE", "/v1/privacy"): keys_of("admin"),
}


@router.get("/v1/privacy")
def export(request: Request, client_id: str, lead_id: str) -> Response:
    """Everything in the ledger about one lead; that it was asked for is written down."""
    parts, actor = parts_of(request), caller_of(request).actor
    with parts.ledger.writing() as tx:
        known = privacy.known(tx, client_id, lead_id)
        acts.note(tx, actor=actor, action="lead.exported", on=f"{client_id}/{lead_id}", at=parts.clock())
    return json_reply(answers.encoded(known))


@router.delete("/v1/privacy")
def erase(request: Request, client_id: str, lead_id: str) -> Response:
    """Erase the person behind a lead; `traces` says whether old copies are gone from the database's files, too."""
    parts, actor = parts_of(request), caller_of(request).actor
    with parts.ledger.writing() as tx:
        erased = privacy.erase(tx, client_id, lead_id, actor=actor, at=parts.clock())
    gone = parts.ledger.leave_no_trace()
    told = {"client_id": client_id, "lead_id": lead_id, "erased": erased, "traces": "gone" if gone else "soon gone"}
    return json_reply(answers.encoded(told))
