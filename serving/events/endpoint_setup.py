"""Endpoints set up, shown and removed: the same for the command line and the routes."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.store import acts, endpoints, outbox
from data.store.endpoints import Endpoint
from data.store.ledger import Connection
from serving.events import secret_sources
from serving.events.outward import checked_url
from serving.events.signing import key_of, new_secret
from serving.events.webhooks import DELIVERIES

OF_LEADS = tuple(topic for topic in outbox.TOPICS if topic not in ("model.promoted", "alarm"))
OWNERS = ("assigned", "overridden", "claimed")  # what gives a lead to a rep: all that a write-back needs


def set_up(
    tx: Connection,
    home: Path,
    *,
    kind: str,
    url: str,
    topics: Sequence[str] | None,
    client_id: str | None,
    secret_from: str | None,
    private_allowed: bool,
    options: Mapping[str, Any],
    actor: str,
    at: datetime,
) -> tuple[Endpoint, str | None]:
    """The endpoint that is told from now on, and its new secret where none was named: shown once.

    topics : None: everything for a webhook, what changes a lead's owner for a CRM.
    Raises InputError for what cannot be used.
    """
    if kind not in DELIVERIES:
        raise InputError(f"kind: {kind!r} is none of {', '.join(DELIVERIES)}.")
    if problem := checked_url(url, private_allowed=private_allowed):
        raise InputError(f"url: {problem}.")
    endpoint_id, secret = endpoints.new_id(), None
    if secret_from is None:
        if kind != "webhook":
            raise InputError(f"secret: name where the credentials of {kind} lie: env:NAME or file:/PATH.")
        secret = new_secret(secrets.token_bytes(32))
    elif kind == "webhook":
        key_of(secret_sources.read(secret_from, home))
    else:
        secret_sources.read(secret_from, home)
    made = Endpoint(
        endpoint_id=endpoint_id,
        kind=kind,
        url=url,
        topics=tuple(topics or (outbox.TOPICS if kind == "webhook" else OWNERS)),
        client_id=client_id,
        secret_from=secret_from or f"home:{endpoint_id}",
        private_allowed=private_allowed,
        options=dict(options),
        actor=actor,
        created_at=at,
    )
    endpoints.add(tx, made)
    acts.note(tx, actor=actor, action="webhook.added", on=endpoint_id, at=at, detail={"kind": kind, "url": url})
    if secret is not None:  # after whatever may be refused: no file without its endpoint
        secret_sources.keep(endpoint_id, secret, home)
    return made, secret


def removed(tx: Connection, home: Path, endpoint_id: str, *, actor: str, at: datetime) -> bool:
    """Whether there was such an endpoint; its own secret goes with it."""
    found = endpoints.find(tx, endpoint_id)
    if found is None:
        return False
    endpoints.remove(tx, endpoint_id)
    acts.note(tx, actor=actor, action="webhook.removed", on=endpoint_id, at=at)
    secret_sources.forget(found.secret_from, home)
    return True


def switched(tx: Connection, endpoint_id: str, *, active: bool, actor: str, at: datetime) -> bool:
    """Whether there is such an endpoint; switched off, it is told nothing, and nothing new is kept for it."""
    why_not = None if active else f"switched off by {actor}"
    if not endpoints.switch(tx, endpoint_id, active=active, why_not=why_not):
        return False
    acts.note(tx, actor=actor, action=f"webhook.{'enabled' if active else 'disabled'}", on=endpoint_id, at=at)
    return True


def replayed(
    tx: Connection, *, endpoint_id: str | None, message_id: str | None, actor: str, at: datetime
) -> int:
    """How many messages that were given up are sent again."""
    again = outbox.replay(tx, at=at, endpoint_id=endpoint_id, message_id=message_id)
    if again:
        on = message_id or endpoint_id or "everything"
        acts.note(tx, actor=actor, action="webhook.replayed", on=on, at=at, detail={"messages": again})
    return again


def shown(conn: Connection) -> list[dict[str, Any]]:
    """Every endpoint with the numbers of its messages; nothing secret."""
    counted = outbox.counts(conn)
    return [told(one) | {"messages": counted.get(one.endpoint_id, {})} for one in endpoints.everybody(conn)]


def waiting(conn: Connection) -> int:
    """Messages that have not arrived and are not given up."""
    return sum(states.get(outbox.PENDING, 0) for states in outbox.counts(conn).values())


def told(endpoint: Endpoint) -> dict[str, Any]:
    """One endpoint as it is shown."""
    return {**vars(endpoint), "topics": list(endpoint.topics)}


def dead(conn: Connection, endpoint_id: str | None) -> list[dict[str, Any]]:
    """The messages that were given up, without their bodies."""
    return [
        {name: value for name, value in vars(message).items() if name not in ("seq", "body")}
        for message in outbox.dead_letters(conn, endpoint_id)
    ]
