"""What others have to be told: written with what it tells, sent later, kept until it arrived or was given up."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, text, update
from sqlalchemy.engine import Connection, Row
from sqlalchemy.sql.dml import ReturningUpdate

from data.store.columns import Instant, dump_json
from data.store.quick import Quick
from data.store.tables import endpoints
from data.store.tables import outbox as rows

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
AT = bindparam("at", type_=Instant)

# A pattern that is put together in the statement: for a bare value SQLite would compile it anew each time.
_LISTENING = Quick(
    text("""
        SELECT endpoint_id FROM endpoints
        WHERE active AND topics LIKE '%,' || :topic || ',%' AND (client_id IS NULL OR client_id = :client_id)
    """)
)
_TELL = Quick(
    text("""
        INSERT INTO outbox (message_id, endpoint_id, topic, subject, client_id, lead_id, body, created_at,
                            state, attempts, next_at)
        VALUES (:message_id, :endpoint_id, :topic, :subject, :client_id, :lead_id, :body, :at, 'pending', 0, :at)
    """).bindparams(AT)
)

_FREE = or_(rows.c.leased_until.is_(None), rows.c.leased_until <= AT)
_DUE = (rows.c.state == PENDING) & (rows.c.next_at <= AT) & _FREE
_ENDPOINTS_WITH_DUE = (
    select(endpoints.c.endpoint_id)
    .where(
        endpoints.c.active,
        select(rows.c.seq).where(rows.c.endpoint_id == endpoints.c.endpoint_id, _DUE).exists(),
    )
    .order_by(endpoints.c.endpoint_id)
)
_EARLIER = rows.alias("earlier")
_OLDEST_OF_ITS_SUBJECT = ~(
    select(_EARLIER.c.seq)
    .where(
        _EARLIER.c.endpoint_id == rows.c.endpoint_id,
        _EARLIER.c.subject == rows.c.subject,
        _EARLIER.c.state == PENDING,
        _EARLIER.c.seq < rows.c.seq,
    )
    .exists()
)
_CANDIDATES = (
    select(rows.c.seq)
    .where(rows.c.endpoint_id == bindparam("of_endpoint"), _DUE, _OLDEST_OF_ITS_SUBJECT)
    .order_by(rows.c.next_at, rows.c.seq)
    .limit(bindparam("limit"))
)


def _leasing(candidates: Select[Any]) -> ReturningUpdate[Any]:
    taken = {"lease": bindparam("token"), "leased_until": bindparam("until", type_=Instant)}
    return update(rows).where(rows.c.seq.in_(candidates)).values(taken).returning(*rows.c)


# Several senders on PostgreSQL pass over each other's rows; SQLite has one writer at a time as it is.
_LEASE = {"sqlite": _leasing(_CANDIDATES), "postgresql": _leasing(_CANDIDATES.with_for_update(skip_locked=True))}
_SETTLE = (
    update(rows)
    .where(rows.c.seq == bindparam("of_seq"), rows.c.lease == bindparam("under"))
    .values(
        state=bindparam("new_state"),
        attempts=rows.c.attempts + 1,
        next_at=bindparam("next", type_=Instant),
        lease=None,
        leased_until=None,
        last_error=bindparam("error"),
        settled_at=bindparam("settled", type_=Instant),
    )
    .returning(*rows.c)
)
_RELEASE = update(rows).where(rows.c.lease == bindparam("under")).values(lease=None, leased_until=None)


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
    listening = _LISTENING.rows(tx, {"topic": topic, "client_id": client_id})
    if not listening:
        return
    about = {} if lead_id is None else {"client_id": client_id, "lead_id": lead_id}
    message = {
        "message_id": f"msg_{uuid.uuid4().hex}",
        "topic": topic,
        "subject": topic if lead_id is None else f"lead {client_id}/{lead_id}",
        "client_id": client_id,
        "lead_id": lead_id,
        "body": dump_json({"type": topic, "timestamp": at.isoformat(), "data": {**about, **data}}),
        "at": at,
    }
    _TELL.run_many(tx, [{**message, "endpoint_id": endpoint_id} for (endpoint_id,) in listening])


@dataclass(frozen=True)
class Message:
    """One thing to tell one endpoint."""

    seq: int
    message_id: str  # the same however often it is sent
    endpoint_id: str
    topic: str
    client_id: str | None
    lead_id: str | None
    body: str
    created_at: datetime
    attempts: int
    last_error: str | None


def endpoints_with_due(conn: Connection, at: datetime) -> list[str]:
    """The active endpoints that have something to be told at `at`."""
    return list(conn.execute(_ENDPOINTS_WITH_DUE, {"at": at}).scalars())


def lease(
    tx: Connection, endpoint_id: str, *, at: datetime, until: datetime, limit: int
) -> tuple[str, list[Message]]:
    """Messages that nobody else sends before `until`, at most one a subject: the oldest that has not arrived.

    The first value names the lease; `settle` and `release` want it back.
    """
    token = secrets.token_hex(8)
    given = {"of_endpoint": endpoint_id, "at": at, "until": until, "token": token, "limit": limit}
    taken = tx.execute(_LEASE[tx.dialect.name], given)
    return token, sorted((_message(row) for row in taken), key=lambda message: message.seq)


@dataclass(frozen=True)
class Settled:
    """What came of one attempt to send one message."""

    seq: int
    state: str  # PENDING: to be tried again
    at: datetime
    next_at: datetime
    error: str | None = None


def settle(tx: Connection, token: str, results: Sequence[Settled]) -> list[Message]:
    """Write down what came of the attempts under a lease; the messages given up with this, dead from now on.

    What another sender has taken over meanwhile, because the lease ran out, stays with that sender.
    """
    died = []
    for result in results:
        row = tx.execute(
            _SETTLE,
            {
                "of_seq": result.seq,
                "under": token,
                "new_state": result.state,
                "next": result.next_at,
                "error": result.error,
                "settled": None if result.state == PENDING else result.at,
            },
        ).one_or_none()
        if row is not None and result.state == DEAD:
            died.append(_message(row))
    return died


def release(tx: Connection, token: str) -> None:
    """Give back what is still under the lease, as if it had never been taken."""
    tx.execute(_RELEASE, {"under": token})


def dead_letters(conn: Connection, endpoint_id: str | None = None, *, limit: int = 200) -> list[Message]:
    """Messages that were given up, oldest first."""
    wanted = rows.c.state == DEAD if endpoint_id is None else _of(endpoint_id) & (rows.c.state == DEAD)
    return [_message(row) for row in conn.execute(select(rows).where(wanted).order_by(rows.c.seq).limit(limit))]


def replay(
    tx: Connection, *, at: datetime, endpoint_id: str | None = None, message_id: str | None = None
) -> int:
    """How many dead messages are to be sent again, under the same ids; all, unless one is named."""
    wanted = [rows.c.state == DEAD]
    wanted += [] if endpoint_id is None else [_of(endpoint_id)]
    wanted += [] if message_id is None else [rows.c.message_id == message_id]
    again = {"state": PENDING, "attempts": 0, "next_at": at, "settled_at": None}
    return tx.execute(update(rows).where(*wanted).values(again)).rowcount


def backlog(conn: Connection) -> tuple[int, datetime | None]:
    """How many messages wait to be sent, and since when the oldest does."""
    found = conn.execute(select(func.count(), func.min(rows.c.created_at)).where(rows.c.state == PENDING)).one()
    return int(found[0]), found[1]


def counts(conn: Connection) -> dict[str, dict[str, int]]:
    """Messages by endpoint and state."""
    found: dict[str, dict[str, int]] = {}
    by_state = select(rows.c.endpoint_id, rows.c.state, func.count()).group_by(rows.c.endpoint_id, rows.c.state)
    for endpoint_id, state, messages in conn.execute(by_state):
        found.setdefault(endpoint_id, {})[state] = messages
    return found


def arrived_before(moment: datetime) -> ColumnElement[bool]:
    """Messages that have arrived, and long ago: nothing asks for them any more."""
    return (rows.c.state == SENT) & (rows.c.settled_at < moment)


def _of(endpoint_id: str) -> ColumnElement[bool]:
    return rows.c.endpoint_id == endpoint_id


def _message(row: Row[Any]) -> Message:
    return Message(**{name: row._mapping[name] for name in Message.__dataclass_fields__})
