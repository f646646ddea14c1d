"""Salesforce: the owner and score fields of a Lead (or another object), by the REST interface."""

from datetime import datetime

from data.store.endpoints import Endpoint
from data.store.outbox import Message
from serving.events.attempts import Attempt
from serving.events.outward import Answer, Outward
from serving.events.writeback.change import Crm, change_of, credentials_of, outcome

VERSION = "v62.0"


async def deliver(outward: Outward, endpoint: Endpoint, secret: str, message: Message, at: datetime) -> Attempt:
    """Set OwnerId. Options: `object` (Lead), `version`; credentials: a token, or client_id and client_secret."""
    change = change_of(endpoint, message)
    if change is None:
        return Attempt()
    crm = Crm(outward, endpoint, credentials_of(secret, "client_id", "client_secret"))
    version, kind = endpoint.options.get("version", VERSION), endpoint.options.get("object", "Lead")
    url = crm.url("services", "data", version, "sobjects", kind, change.record_id)

    async def patch(token: str) -> Answer:
        # By default the organisation's own assignment rules would run on our change, and may undo it at once.
        headers = {"Authorization": f"Bearer {token}", "Sforce-Auto-Assign": "FALSE"}
        return await crm.send("PATCH", url, {"OwnerId": change.owner_id, **change.fields}, headers)

    form = {
        "grant_type": "client_credentials",
        "client_id": crm.credentials.get("client_id", ""),
        "client_secret": crm.credentials.get("client_secret", ""),
    }
    return outcome(await crm.with_token(patch, crm.url("services", "oauth2", "token"), form), at)
