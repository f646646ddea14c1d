"""Who did what; a chain of hashes over all that never changes; what was erased; and who may tell us something."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

BIG = sa.BigInteger
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# What may be blanked once a lead's erasure stands in the ledger: the column, and what is left of it.
OF_LEAD = "SELECT 1 FROM erasures WHERE client_id = OLD.client_id AND lead_id = OLD.lead_id"
OF_DECISION = (
    "SELECT 1 FROM erasures JOIN decisions ON decisions.client_id = erasures.client_id "
    "AND decisions.lead_id = erasures.lead_id WHERE decisions.decision_id = OLD.decision_id"
)
ERASABLE = {
    "decisions": ("lead_snapshot", "'{}'", OF_LEAD),
    "outcome_events": ("reason", "NULL", OF_LEAD),
    "overrides": ("reason", "''", OF_DECISION),
}


def needed(name: str, kind: type[sa.types.TypeEngine]) -> sa.Column:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.create_table(
        "acts",
        sa.Column("seq", NUMBER, primary_key=True, autoincrement=True),
        needed("at", BIG),
        *(needed(name, sa.Text) for name in ("actor", "action", "object", "detail")),
    )
    op.create_table(
        "erasures",
        sa.Column("seq", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("client_id", sa.Text, sa.ForeignKey("clients.client_id"), nullable=False),
        needed("lead_id", sa.Text),
        needed("actor", sa.Text),
        needed("at", BIG),
        sa.UniqueConstraint("client_id", "lead_id", name="one_erasure_a_lead"),
    )
    op.create_table(
        "audit",
        sa.Column("number", BIG, primary_key=True, autoincrement=False),
        needed("at", BIG),
        needed("of_table", sa.Text),
        needed("of_row", BIG),
        needed("content", sa.Text),
        sa.Column("erasable", sa.Text),
        needed("previous", sa.Text),
        needed("hash", sa.Text),
        sa.UniqueConstraint("of_table", "of_row", name="sealed_once"),
    )
    op.create_table(
        "audit_salts",
        sa.Column("number", BIG, sa.ForeignKey("audit.number"), primary_key=True, autoincrement=False),
        needed("salt", sa.Text),
    )
    op.create_table(
        "sources",
        sa.Column("source_id", sa.Text, primary_key=True),
        needed("kind", sa.Text),
        sa.Column("client_id", sa.Text, sa.ForeignKey("clients.client_id"), nullable=False),
        *(needed(name, sa.Text) for name in ("secrets_from", "options", "actor")),
        needed("created_at", BIG),
    )
    op.execute("INSERT INTO heads (name, number) VALUES ('audit', 0)")
    for table in ("acts", "erasures", "audit"):
        forbid_change(table)
    for table, (column, erased, erasure) in ERASABLE.items():
        allow_erasure(table, column, erased, erasure)


def forbid_change(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION rows_never_change()"
    )


def allow_erasure(table: str, column: str, erased: str, erasure: str) -> None:
    """Of a row of `table`, let `column` be blanked and nothing else, where the lead's erasure stands already."""
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        others = [one["name"] for one in sa.inspect(bind).get_columns(table) if one["name"] != column]
        same = " AND ".join(f'NEW."{name}" IS OLD."{name}"' for name in others)
        blanked = f"NEW.{column} IS {erased} AND OLD.{column} IS NOT {erased}"
        op.execute(f"DROP TRIGGER {table}_no_update")
        op.execute(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
            f"WHEN NOT ({blanked} AND {same} AND EXISTS ({erasure})) "
            f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
        )
        return
    blanked = f"NEW.{column} IS NOT DISTINCT FROM {erased} AND OLD.{column} IS DISTINCT FROM {erased}"
    same = f"to_jsonb(NEW) - '{column}' = to_jsonb(OLD) - '{column}'"
    op.execute(
        f"CREATE FUNCTION {table}_only_erased() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {blanked} AND {same} AND EXISTS ({erasure}) THEN RETURN NEW; END IF; "
        "RAISE EXCEPTION 'rows of % never change', TG_TABLE_NAME USING ERRCODE = '23000'; END $$"
    )
    op.execute(f"DROP TRIGGER {table}_no_change ON {table}")
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION rows_never_change()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_only_erased BEFORE UPDATE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_only_erased()"
    )
