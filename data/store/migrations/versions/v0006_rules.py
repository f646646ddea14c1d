"""What the rule book's customs need: why a lead went its way, whose customer it is, and the steps of follow-up."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BIG = sa.BigInteger
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
UNCONTACTED = sa.text("status = 'open' AND contacted_at IS NULL")
WAITING = sa.text("status IN ('pooled', 'queued')")
LEFT = sa.text("decision_id IS NULL AND last_decision_id IS NOT NULL")


def needed(name: str, kind: type[sa.types.TypeEngine], *more: sa.ForeignKey) -> sa.Column:
    return sa.Column(name, kind, *more, nullable=False)


def upgrade() -> None:
    op.add_column("decisions", sa.Column("basis", sa.Text))
    op.create_table(
        "customer_keys",
        sa.Column("client_id", sa.Text, sa.ForeignKey("clients.client_id"), primary_key=True),
        sa.Column("customer_key", sa.Text, primary_key=True),
        sa.Column("lead_id", sa.Text, primary_key=True),
        needed("kind", sa.Text),
    )
    op.create_index("customers_of_a_lead", "customer_keys", ["client_id", "lead_id"])
    op.create_table(
        "follow_ups",
        sa.Column("seq", NUMBER, primary_key=True, autoincrement=True),
        needed("decision_id", sa.Text, sa.ForeignKey("decisions.decision_id")),
        needed("version", sa.Integer),
        needed("step", sa.Text),
        sa.Column("rep_id", sa.Text),
        needed("actor", sa.Text),
        needed("at", BIG),
        sa.UniqueConstraint("decision_id", "version", "step", name="one_step_a_version"),
    )
    forbid_change("follow_ups")
    partly("states_not_contacted", "decision_states", ["given_at"], UNCONTACTED)
    partly("states_that_wait", "decision_states", ["decided_at"], WAITING)
    partly("leads_without_a_rep", "lead_states", ["client_id", "lead_id"], LEFT)


def partly(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


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
