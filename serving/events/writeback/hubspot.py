"""HubSpot: the owner and score properties of a contact (or a lead), by the CRM v3 interface."""

from datetime import datetime

from data.store.endpoints import Endpoint
from data.store.outbox import Message
from serving.events.attempts import Attempt
from serving.events.outward import Outward
from serving.events.writeback.change import Crm, change_of, credentials_of, outcome


async def deliver(outward: Outward, endpoint: Endpoint, secret: str, message: Message, at: datetime) -> Attempt:
    """Set hubspot_owner_id. Option: `object` (contacts, leads); credentials: a private app's token."""
    change = change_of(endpoint, message)
    if change is None:
        return Attempt()
    crm = Crm(outward, endpoint, credentials_of(secret))
    url = crm.url("crm", "v3", "objects", endpoint.options.get("object", "contacts"), change.record_id)
    properties = {"hubspot_owner_id": change.owner_id, **{name: str(value) for name, value in change.fields.items()}}
    headers = {"Authorization": f"Bearer {crm.credentials['token']}"}
    return outcome(await crm.send("PATCH", url, {"properties": properties}, headers), at)
