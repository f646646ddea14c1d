"""What the latest leads said of themselves, as they were when they were decided."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from data.store.tables import decisions


def latest(conn: Connection, *, since: datetime, most: int) -> list[dict[str, Any]]:
    """Attributes of the leads decided from `since` on, the newest `most` of them; without personal data."""
    wanted = (
        select(decisions.c.lead_snapshot, decisions.c.decided_at)
        .where(decisions.c.decided_at >= since, decisions.c.duplicate_of.is_(None))
        .order_by(decisions.c.seq.desc())
        .limit(most)
    )
    return [{"created_at": row.decided_at, **row.lead_snapshot} for row in conn.execute(wanted)]
