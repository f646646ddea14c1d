"""Personal data of leads, apart from everything else and erasable by row."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.engine import Connection

from data.store.columns import Json
from data.store.tables import personal_data

_WRITE = text("""
    INSERT INTO personal_data (client_id, lead_id, body) VALUES (:client_id, :lead_id, :body)
    ON CONFLICT (client_id, lead_id) DO UPDATE SET body = excluded.body
""").bindparams(bindparam("body", type_=Json))


def write(tx: Connection, client_id: str, lead_id: str, data: Mapping[str, Any]) -> None:
    """Keep what is known of the person behind a lead; what was known before is replaced."""
    tx.execute(_WRITE, {"client_id": client_id, "lead_id": lead_id, "body": dict(data)})


def read(conn: Connection, client_id: str, lead_id: str) -> dict[str, Any]:
    """What is known of the person behind a lead; empty if nothing is, or it was erased."""
    return dict(read_many(conn, client_id, [lead_id]).get(lead_id, {}))


def read_many(conn: Connection, client_id: str, lead_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The same for a page of leads: lead_id -> personal data, where there are any."""
    wanted = select(personal_data).where(
        personal_data.c.client_id == client_id, personal_data.c.lead_id.in_(lead_ids)
    )
    return {row.lead_id: row.body for row in conn.execute(wanted)}


def erase(tx: Connection, client_id: str, lead_id: str) -> bool:
    """Whether there was something to erase; decisions and outcomes stay, without the person."""
    gone = tx.execute(
        delete(personal_data).where(personal_data.c.client_id == client_id, personal_data.c.lead_id == lead_id)
    )
    return gone.rowcount > 0
