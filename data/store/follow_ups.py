"""Follow-up as the ledger keeps it: which leads are due, and every step that was taken, once."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.engine import Connection

from data.store.tables import outcome_events

STEPS = ("overdue", "escalated", "recycled", "slot_timed_out", "unclaimed", "handed_over")
LOOKED_AT = 20_000  # newest events in which a client's reports of first contacts are looked for

# A rep who gets the lead later gets deadlines of her own: a step is taken once a version of the decision.
_TAKE = text("""
    INSERT INTO follow_ups (decision_id, version, step, rep_id, actor, at)
    VALUES (:decision_id, :version, :step, :rep_id, :actor, :at)
    ON CONFLICT (decision_id, version, step) DO NOTHING
""").bindparams(*[])


@dataclass(frozen=True)
class Waiting:
    """A lead that is with somebody, or in the pool, and for how long."""

    decision_id: str
    client_id: str
    lead_id: str
    rep_id: str | None
    version: int
    since: datetime  # when it came to the rep, or into the pool
    grade: str | None
    taken: frozenset[str]  # steps that were taken already


@dataclass(frozen=True)
class Step:
    """A step that was taken."""

    decision_id: str
    version: int
    step: str
    rep_id: str | None
    actor: str
    at: datetime


def clients_that_report(conn: Connection) -> frozenset[str]:
    """Clients among whose newest events there are first contacts."""
    newest = (
        select(outcome_events.c.client_id, outcome_events.c.event)
        .order_by(outcome_events.c.seq.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    told = select(newest.c.client_id).where(newest.c.event == "contacted").distinct()
    return frozenset(conn.execute(told).scalars())
