"""Routes of customers with more than one lead."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from data.store import customers
from data.store.customers import Lead
from serving.telling import answers
from serving.web.asked import caller_of, json_reply, parts_of
from serving.web.auth import Rules, keys_of

router = APIRouter(tags=["customers"])
RULES: Rules = {("GET", "/v1/duplicates"): keys_of("crm", "manager", "analyst", "admin")}


@router.get("/v1/duplicates")
def duplicates(
    request: Request, every: bool = False, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Response:
    """Customers whose open leads are with different reps; with `every`, all who have more than one lead."""
    caller, parts = caller_of(request), parts_of(request)
    with parts.ledger.reading() as conn:
        found = customers.shared(conn, client_id=caller.sees_only_client, conflicts_only=not every, limit=limit)
    return json_reply(answers.encoded({"customers": [_told(leads) for leads in found]}))


def _told(leads: list[Lead]) -> dict[str, Any]:
    shown = ("lead_id", "decision_id", "rep_id", "status", "given_at")
    reps = {lead.rep_id for lead in leads if lead.status == "open" and lead.rep_id is not None}
    return {
        "known_by": leads[0].kind,
        "rep_ids": sorted(reps),
        "leads": [{name: getattr(lead, name) for name in shown} for lead in leads],
    }
