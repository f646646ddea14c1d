"""What others have to be told: written with what it tells, sent later, kept until it arrived or was given up."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.engine import Connection

from data.store.columns import Instant, dump_json

TOPICS = (
    "assigned",
    "overridden",
    "overdue",
    "escalated",
    "recycled",
    "claimed",
    "model.promoted",
    "alarm",
)
PENDING, SENT, DEAD = "pending", "sent", "dead"

# One statement whether or not anybody listens; it writes a row for each endpoint that asked for the topic.
_ANNOUNCE = text("""
    INSERT INTO outbox (message_id, endpoint_id, topic, subject, client_id, lead_id, body, created_at,
                        state, attempts, next_at)
    SELECT :message_id, endpoint_id, :topic, :subject, :client_id, :lead_id, :body, :at, 'pending', 0, :at
    FROM endpoints
    WHERE active AND topics LIKE :listed AND (client_id IS NULL OR client_id = :client_id)
""").bindparams(bindparam("at", type_=Instant))


def announce(
    tx: Connection,
    topic: str,
    *,
    at: datetime,
    client_id: str | None = None,
    lead_id: str | None = None,
    data: Mapping[str, Any],
) -> None:
    """Have every endpoint that asked for `topic` told of it, once this transaction is committed.

    client_id, lead_id : whose lead it is about; messages about one lead arrive in the order of their
        announcement (hold `projection.lock_lead`, as every change of a lead does).
    data : plain values, without personal data; `client_id` and `lead_id` are added to them.
    Raises ValueError for a topic that is none of TOPICS.
    """
    if topic not in TOPICS:
        raise ValueError(f"a topic is one of {', '.join(TOPICS)}, not {topic!r}")
    about = {} if lead_id is None else {"client_id": client_id, "lead_id": lead_id}
    body = {"type": topic, "timestamp": at.isoformat(), "data": {**about, **data}}
    tx.execute(
        _ANNOUNCE,
        {
            "message_id": f"msg_{uuid.uuid4().hex}",
            "topic": topic,
            "listed": f"%,{topic},%",
            "subject": topic if lead_id is None else f"lead {client_id}/{lead_id}",
            "client_id": client_id,
            "lead_id": lead_id,
            "body": dump_json(body),
            "at": at,
        },
    )
