"""Leads that wait for a person, and how many a rep has claimed."""

from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import func, select, text, true
from sqlalchemy.engine import Connection

from data.store import decisions as rows
from data.store.decision_row import Decision
from data.store.tables import decision_states as states
from data.store.tables import decisions

POOLED, QUEUED = "pooled", "queued"


def waiting(conn: Connection, status: str, *, client_id: str | None = None, limit: int = 200) -> list[Decision]:
    """Leads that are pooled or queued, those that wait longest first, each as its decision."""
    own = true() if client_id is None else decisions.c.client_id == client_id
    ids = (
        select(states.c.decision_id)
        .join(decisions, decisions.c.decision_id == states.c.decision_id)
        # In so many words, or SQLite does not see that its index of those that wait will do, and reads all states.
        .where(text("decision_states.status IN ('pooled', 'queued')"), states.c.status == status, own)
        .order_by(states.c.decided_at)
        .limit(limit)
    )
    return rows.get_many(conn, list(conn.execute(ids).scalars()))


def claims(conn: Connection, rep_id: str, *, local_day: str) -> tuple[int, int]:
    """Claimed leads that the rep holds open, and leads that she claimed on that day."""
    claimed = (
        select(func.count())
        .select_from(states)
        .join(decisions, decisions.c.decision_id == states.c.decision_id)
        .where(decisions.c.arm == "pool", decisions.c.rep_id == rep_id)
    )
    held = claimed.where(states.c.rep_id == rep_id, states.c.status == "open")
    # The day of any time zone lies within these bounds, and decisions are found by time, not by their day.
    midnight = datetime.combine(date.fromisoformat(local_day), time.min, tzinfo=UTC)
    begun = decisions.c.decided_at >= midnight - timedelta(days=1)
    ended = decisions.c.decided_at < midnight + timedelta(days=2)
    today = claimed.where(decisions.c.local_day == local_day, begun, ended)
    return conn.execute(held).scalar_one(), conn.execute(today).scalar_one()


def pooled_decision(conn: Connection, client_id: str, lead_id: str) -> Decision | None:
    """The decision by which the lead is in the pool; None where it is not, or not any more."""
    stored = rows.open_decision(conn, client_id, lead_id)
    found = rows.get(conn, stored.decision_id) if stored else None
    return found if found and found.state and found.state.status == POOLED else None

