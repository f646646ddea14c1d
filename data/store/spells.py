"""What became of a lead's earlier spells, as far as the next decision must know it."""

from datetime import datetime

from sqlalchemy import bindparam, literal_column, select
from sqlalchemy.engine import Connection

from data.store.quick import Quick
from data.store.tables import decision_states, decisions, endings

_TAKEN = Quick(
    select(decision_states.c.rep_id)
    .join(decisions, decisions.c.decision_id == decision_states.c.decision_id)
    .join(endings, endings.c.decision_id == decisions.c.decision_id)
    .where(
        decisions.c.client_id == bindparam("client_id"),
        decisions.c.lead_id == bindparam("lead_id"),
        decision_states.c.rep_id.is_not(None),
        endings.c.kind.in_([literal_column("'recycled'"), literal_column("'handed_over'")]),
        endings.c.at > bindparam("since"),
    )
    .distinct()
)


def taken_from(conn: Connection, client_id: str, lead_id: str, *, since: datetime) -> tuple[str, ...]:
    """Reps from whom the lead was taken since then."""
    given = {"client_id": client_id, "lead_id": lead_id, "since": since}
    return tuple(sorted(rep_id for (rep_id,) in _TAKEN.rows(conn, given)))
