"""Pipedrive: the owner of a lead, or of a deal."""

from datetime import datetime

from data.store.endpoints import Endpoint
from data.store.outbox import Message
from serving.events.attempts import Attempt
from serving.events.outward import Outward
from serving.events.writeback.change import Crm, change_of, credentials_of, outcome


async def deliver(outward: Outward, endpoint: Endpoint, secret: str, message: Message, at: datetime) -> Attempt:
    """Set owner_id. Option: `object` (leads, deals); credentials: an API token."""
    change = change_of(endpoint, message)
    if change is None:
        return Attempt()
    crm = Crm(outward, endpoint, credentials_of(secret))
    deals = endpoint.options.get("object", "leads") == "deals"
    path = ("api", "v2", "deals") if deals else ("v1", "leads")
    if not change.owner_id.isdigit():
        return Attempt("the owner's id is not a number: name it by the option owner.REP")
    body = {"owner_id": int(change.owner_id), **change.fields}
    headers = {"x-api-token": crm.credentials["token"]}
    return outcome(await crm.send("PATCH", crm.url(*path, change.record_id), body, headers), at)
