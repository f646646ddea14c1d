"""Our own change of an owner, coming back from the CRM as if somebody had made it."""

import json
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.engine import Connection

from data.store.tables import endpoints, outbox

SKEW = timedelta(minutes=2)  # between the CRM's clock and ours


def is_own_change(
    conn: Connection, client_id: str, lead_id: str, rep_id: str | None, *, occurred_at: datetime, now: datetime
) -> bool:
    """Whether a write-back gave this lead to `rep_id` in the CRM at about `occurred_at`.

    It may have been overtaken by a later override meanwhile: taken for somebody's choice, it would undo that one.
    """
    if rep_id is None:
        return False
    told = conn.execute(
        select(outbox.c.body, outbox.c.created_at, outbox.c.settled_at)
        .join(endpoints, endpoints.c.endpoint_id == outbox.c.endpoint_id)
        .where(
            outbox.c.client_id == client_id,
            outbox.c.lead_id == lead_id,
            outbox.c.state != "dead",
            endpoints.c.kind != "webhook",
        )
    )
    return any(
        json.loads(body)["data"].get("rep_id") == rep_id
        and begun - SKEW <= occurred_at <= (ended or now) + SKEW
        for body, begun, ended in told
    )
