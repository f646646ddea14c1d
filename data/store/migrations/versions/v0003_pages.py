"""What the pages need: sessions, saved views, and lists that stay quick over a million decisions."""

import json

import sqlalchemy as sa
from alembic import op

from data.store.personal import searchable

revision = "0003"
down_revision = "0002"

BIG = sa.BigInteger
PAGE = 1000


def needed(name: str, kind: type[sa.types.TypeEngine]) -> sa.Column:
    return sa.Column(name, kind, nullable=False)


def of_key() -> sa.Column:
    return sa.Column("key_id", sa.Text, sa.ForeignKey("api_keys.key_id"), nullable=False)


def upgrade() -> None:
    list_decisions()
    list_states()
    search_personal_data()
    op.create_table(
        "sign_in_links",
        sa.Column("sha256", sa.Text, primary_key=True),
        of_key(),
        needed("expires_at", BIG),
        sa.Column("used_at", BIG),
    )
    op.create_table(
        "sessions",
        sa.Column("sha256", sa.Text, primary_key=True),
        of_key(),
        needed("created_at", BIG),
        needed("expires_at", BIG),
        sa.Column("revoked_at", BIG),
    )
    op.create_table(
        "saved_views",
        sa.Column("page", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        needed("query", sa.Text),
        needed("actor", sa.Text),
        needed("at", BIG),
    )


def list_decisions() -> None:
    """A copy of the lead's source beside the snapshot; nothing that a row says changes."""
    op.add_column("decisions", sa.Column("source", sa.Text))
    if op.get_bind().dialect.name == "sqlite":
        told = "SELECT RAISE(ABORT, 'rows of decisions never change')"
        op.execute("DROP TRIGGER decisions_no_update")
        op.execute("UPDATE decisions SET source = substr(json_extract(lead_snapshot, '$.source'), 1, 200)")
        op.execute(f"CREATE TRIGGER decisions_no_update BEFORE UPDATE ON decisions BEGIN {told}; END")
    else:
        op.execute("ALTER TABLE decisions DISABLE TRIGGER decisions_no_change")
        op.execute("UPDATE decisions SET source = left(lead_snapshot::json ->> 'source', 200)")
        op.execute("ALTER TABLE decisions ENABLE TRIGGER decisions_no_change")
    op.create_index("decisions_listed", "decisions", ["decided_at", "decision_id", "arm", "grade", "source"])


def list_states() -> None:
    op.add_column("decision_states", sa.Column("decided_at", BIG))
    op.execute(
        "UPDATE decision_states SET decided_at = (SELECT decisions.decided_at FROM decisions "
        "WHERE decisions.decision_id = decision_states.decision_id)"
    )
    op.create_index("states_of_a_rep_in_time", "decision_states", ["rep_id", "decided_at", "decision_id"])


def search_personal_data() -> None:
    op.add_column("personal_data", sa.Column("search", sa.Text))
    conn = op.get_bind()
    table = sa.table("personal_data", *(sa.column(name) for name in ("client_id", "lead_id", "body", "search")))
    key = sa.tuple_(table.c.client_id, table.c.lead_id)
    last = None
    while True:
        page = sa.select(table).order_by(table.c.client_id, table.c.lead_id).limit(PAGE)
        rows = conn.execute(page if last is None else page.where(key > sa.tuple_(*last))).all()
        for row in rows:
            mine = (table.c.client_id == row.client_id) & (table.c.lead_id == row.lead_id)
            conn.execute(sa.update(table).where(mine), {"search": searchable(json.loads(row.body))})
        if len(rows) < PAGE:
            break
        last = (rows[-1].client_id, rows[-1].lead_id)
    op.create_index("personal_data_search", "personal_data", ["search", "client_id", "lead_id"])
