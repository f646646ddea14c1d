"""Personal data of leads, apart from everything else and erasable by row."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.engine import Connection

from data.store import customers
from data.store.columns import Json
from data.store.quick import Quick
from data.store.tables import personal_data

LONGEST_SEARCHABLE = 300
_SOUGHT = ("company", "company_name", "公司", "公司名称", "客户名称", "name", "姓名", "联系人")
_WRITE = Quick(
    text("""
        INSERT INTO personal_data (client_id, lead_id, body, search) VALUES (:client_id, :lead_id, :body, :search)
        ON CONFLICT (client_id, lead_id) DO UPDATE SET body = excluded.body, search = excluded.search
    """).bindparams(bindparam("body", type_=Json))
)


def write(tx: Connection, client_id: str, lead_id: str, data: Mapping[str, Any]) -> None:
    """Keep what is known of the person behind a lead; what was known before is replaced."""
    sought = searchable(data)
    _WRITE.run(tx, {"client_id": client_id, "lead_id": lead_id, "body": dict(data), "search": sought})


def searchable(data: Mapping[str, Any]) -> str:
    """The text in which a search looks for this person or company: case and widths aside."""
    return folded(" ".join(str(data[name]) for name in _SOUGHT if data.get(name)))[:LONGEST_SEARCHABLE]


def folded(typed: str) -> str:
    """A text in the form in which searches compare."""
    return " ".join(unicodedata.normalize("NFKC", typed).casefold().split())


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
    """Whether there was something to erase; decisions and outcomes stay, without the person.

    The keys by which the customer's other leads would find her go too.
    """
    customers.forget(tx, client_id, lead_id)
    gone = tx.execute(
        delete(personal_data).where(personal_data.c.client_id == client_id, personal_data.c.lead_id == lead_id)
    )
    return gone.rowcount > 0
