"""Whom to tell: the endpoints of webhooks and write-backs; where their secrets lie, never the secrets."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection, Row

from data.errors import InputError
from data.store import outbox
from data.store.keys import check_client
from data.store.tables import endpoints
from data.store.tables import outbox as messages

KINDS = ("webhook", "salesforce", "hubspot", "zoho", "pipedrive", "odoo", "dynamics")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Somebody who is told."""

    endpoint_id: str
    kind: str  # one of KINDS
    url: str
    topics: tuple[str, ...]
    client_id: str | None  # only what concerns this client's leads; None: everything
    secret_from: str  # where the secret lies: home:NAME, env:NAME or file:PATH
    private_allowed: bool  # may lie on this machine or in a private network
    options: Mapping[str, Any] = field(default_factory=dict)
    active: bool = True
    why_not: str | None = None  # why it is not active
    actor: str
    created_at: datetime


def new_id() -> str:
    """An id for an endpoint to be."""
    return f"we_{secrets.token_hex(5)}"


def add(tx: Connection, endpoint: Endpoint) -> None:
    """Tell `endpoint` from now on. Raises InputError for a kind, a topic or a client that there is not."""
    if endpoint.kind not in KINDS:
        raise InputError(f"kind: {endpoint.kind!r} is none of {', '.join(KINDS)}.")
    if unknown := set(endpoint.topics) - set(outbox.TOPICS):
        raise InputError(f"topics: {sorted(unknown)[0]!r} is none of {', '.join(outbox.TOPICS)}.")
    if not endpoint.topics:
        raise InputError(f"topics: name at least one of {', '.join(outbox.TOPICS)}.")
    if endpoint.client_id is not None:
        check_client(tx, endpoint.client_id)
    tx.execute(insert(endpoints), {**vars(endpoint), "topics": f",{','.join(endpoint.topics)},"})


def find(conn: Connection, endpoint_id: str) -> Endpoint | None:
    """One endpoint."""
    row = conn.execute(select(endpoints).where(endpoints.c.endpoint_id == endpoint_id)).one_or_none()
    return None if row is None else _endpoint(row)


def everybody(conn: Connection) -> Sequence[Endpoint]:
    """All endpoints, oldest first."""
    rows = conn.execute(select(endpoints).order_by(endpoints.c.created_at, endpoints.c.endpoint_id))
    return [_endpoint(row) for row in rows]


def switch(tx: Connection, endpoint_id: str, *, active: bool, why_not: str | None = None) -> bool:
    """Whether there is such an endpoint; what it has not been told waits while it is not active."""
    chosen = update(endpoints).where(endpoints.c.endpoint_id == endpoint_id)
    return tx.execute(chosen.values(active=active, why_not=why_not)).rowcount == 1


def remove(tx: Connection, endpoint_id: str) -> bool:
    """Whether there was such an endpoint; what it has not been told is dropped with it."""
    tx.execute(delete(messages).where(messages.c.endpoint_id == endpoint_id))
    return tx.execute(delete(endpoints).where(endpoints.c.endpoint_id == endpoint_id)).rowcount == 1


def _endpoint(row: Row[Any]) -> Endpoint:
    known = row._asdict()
    return Endpoint(**{**known, "topics": tuple(known["topics"].strip(",").split(","))})
