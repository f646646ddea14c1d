"""Odoo: the salesperson of a `crm.lead`, by JSON-RPC."""

from datetime import datetime

from data.store.endpoints import Endpoint
from data.store.outbox import Message
from serving.events.attempts import Attempt
from serving.events.outward import Outward
from serving.events.writeback.change import Crm, change_of, credentials_of, outcome, read


async def deliver(outward: Outward, endpoint: Endpoint, secret: str, message: Message, at: datetime) -> Attempt:
    """Write user_id. Credentials: database, uid and token (an API key stands for the password)."""
    change = change_of(endpoint, message)
    if change is None:
        return Attempt()
    crm = Crm(outward, endpoint, credentials_of(secret))
    database, uid = crm.credentials.get("database", ""), crm.credentials.get("uid", "")
    if not database or not uid.isdigit():
        return Attempt("the credentials need database, uid and token", in_trouble=True)
    if not (change.record_id.isdigit() and change.owner_id.isdigit()):
        return Attempt("the ids of the lead and its owner must be Odoo's numbers")
    values = {"user_id": int(change.owner_id), **change.fields}
    access = [database, int(uid), crm.credentials["token"]]
    call = [*access, "crm.lead", "write", [[int(change.record_id)], values]]
    params = {"service": "object", "method": "execute_kw", "args": call}
    body = {"jsonrpc": "2.0", "method": "call", "id": message.seq, "params": params}
    answer = await crm.send("POST", crm.url("jsonrpc"), body)
    if answer.ok and read(answer).get("result") is not True:  # errors come with status 200
        return Attempt("refused by the CRM")
    return outcome(answer, at)
