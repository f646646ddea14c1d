"""Dynamics 365: the owner of a lead and its predictive score, by the Web API."""

from datetime import datetime

from data.store.endpoints import Endpoint
from data.store.outbox import Message
from serving.events.attempts import Attempt
from serving.events.outward import Answer, Outward
from serving.events.writeback.change import Crm, change_of, credentials_of, outcome

SIGN_IN = "https://login.microsoftonline.com"


async def deliver(outward: Outward, endpoint: Endpoint, secret: str, message: Message, at: datetime) -> Attempt:
    """Set ownerid, never making a lead that is not there.

    Options: `sign_in` (the sign-in address); credentials: a token, or tenant, client_id and client_secret.
    """
    change = change_of(endpoint, message)
    if change is None:
        return Attempt()
    crm = Crm(outward, endpoint, credentials_of(secret, "tenant", "client_id", "client_secret"))
    url = crm.url("api", "data", "v9.2", f"leads({change.record_id})")
    body = {"ownerid@odata.bind": f"/systemusers({change.owner_id})", **change.fields}

    async def patch(token: str) -> Answer:
        # Without If-Match a PATCH of an unknown id would create a lead.
        return await crm.send("PATCH", url, body, {"Authorization": f"Bearer {token}", "If-Match": "*"})

    form = {
        "grant_type": "client_credentials",
        "scope": f"{endpoint.url.rstrip('/')}/.default",
        "client_id": crm.credentials.get("client_id", ""),
        "client_secret": crm.credentials.get("client_secret", ""),
    }
    sign_in = str(endpoint.options.get("sign_in", SIGN_IN)).rstrip("/")
    tenant = crm.credentials.get("tenant", "")
    return outcome(await crm.with_token(patch, f"{sign_in}/{tenant}/oauth2/v2.0/token", form), at)
