"""Zoho CRM: the owner of a lead (or another module's record), by the v8 interface."""

from datetime import datetime

from data.store.endpoints import Endpoint
from data.store.outbox import Message
from serving.events.attempts import Attempt
from serving.events.outward import Answer, Outward
from serving.events.writeback.change import Crm, change_of, credentials_of, outcome, read

ACCOUNTS = "https://accounts.zoho.com"


async def deliver(outward: Outward, endpoint: Endpoint, secret: str, message: Message, at: datetime) -> Attempt:
    """Change the owner, without running the CRM's own assignment rules.

    Options: `module` (Leads), `accounts` (the data centre's sign-in address), `notify` (true); credentials: a token,
    or refresh_token, client_id and client_secret.
    """
    change = change_of(endpoint, message)
    if change is None:
        return Attempt()
    crm = Crm(outward, endpoint, credentials_of(secret, "refresh_token", "client_id", "client_secret"))
    module = endpoint.options.get("module", "Leads")
    url = crm.url("crm", "v8", module, change.record_id, "actions", "change_owner")
    body = {"owner": {"id": change.owner_id}, "notify": endpoint.options.get("notify", "true") == "true"}

    async def post(token: str) -> Answer:
        return await crm.send("POST", url, body, {"Authorization": f"Zoho-oauthtoken {token}"})

    names = ("refresh_token", "client_id", "client_secret")
    form = {"grant_type": "refresh_token", **{name: crm.credentials.get(name, "") for name in names}}
    accounts = str(endpoint.options.get("accounts", ACCOUNTS)).rstrip("/")
    answer = await crm.with_token(post, f"{accounts}/oauth/v2/token", form)
    told = read(answer).get("data")
    refused = answer.ok and isinstance(told, list) and any(one.get("status") == "error" for one in told)
    return Attempt("refused by the CRM") if refused else outcome(answer, at)
