"""What came of each rep's leads, in two numbers."""

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from data.store.tables import decision_states as states


def closed_leads(conn: Connection) -> dict[str, tuple[int, int]]:
    """Leads won and leads closed (won or lost) of every rep who works or worked one; a full look at the states."""
    counted = conn.execute(
        select(states.c.rep_id, states.c.status, func.count())
        .where(states.c.rep_id.is_not(None), states.c.status.in_(("won", "lost")))
        .group_by(states.c.rep_id, states.c.status)
    )
    records: dict[str, tuple[int, int]] = {}
    for rep_id, status, count in counted:
        won, closed = records.get(rep_id, (0, 0))
        records[rep_id] = (won + (count if status == "won" else 0), closed + count)
    return records
