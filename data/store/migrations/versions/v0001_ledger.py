"""The ledger's first shape."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
REAL = sa.Float(53)

APPEND_ONLY = (
    "decisions",
    "outcome_events",
    "overrides",
    "endings",
    "capacity_ledger",
    "roster_versions",
    "roster_history",
    "promotions",
    "policy_versions",
)


def needed(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **options)


def numbered() -> sa.Column[Any]:
    return sa.Column("seq", NUMBER, primary_key=True, autoincrement=True)


def refers(name: str, target: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, sa.ForeignKey(target), **options)


def upgrade() -> None:
    create_access()
    create_decisions()
    create_what_follows_a_decision()
    create_capacity_ledger()
    create_roster()
    create_promotions_and_policies()
    create_projections()
    create_erasable()
    for table in APPEND_ONLY:
        forbid_change(table)


def create_access() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", sa.Text, primary_key=True),
        needed("created_at", BIG),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        needed("sha256", sa.Text, unique=True),
        needed("role", sa.Text),
        needed("label", sa.Text),
        refers("client_id", "clients.client_id", nullable=False),
        sa.Column("rep_id", sa.Text),
        needed("created_at", BIG),
        sa.Column("expires_at", BIG),
        sa.Column("revoked_at", BIG),
    )


def create_decisions() -> None:
    op.create_table(
        "decisions",
        numbered(),
        needed("decision_id", sa.Text, unique=True),
        refers("client_id", "clients.client_id", nullable=False),
        sa.Column("idempotency_key", sa.Text),
        needed("request_digest", sa.Text),
        needed("lead_id", sa.Text),
        sa.Column("customer_id", sa.Text),
        needed("spell_id", sa.Text),
        refers("duplicate_of", "decisions.decision_id"),
        needed("mode", sa.Text),
        needed("decided_at", BIG),
        needed("lead_snapshot", sa.Text),
        needed("roster_version", BIG),
        sa.Column("policy_version", BIG),
        sa.Column("model_version", sa.Text),
        sa.Column("model_digest", sa.Text),
        needed("candidates", sa.Text),
        needed("excluded", sa.Text),
        needed("vectors", sa.LargeBinary),
        needed("arm", sa.Text),
        sa.Column("holdout_share", REAL),
        sa.Column("seed", BIG),
        needed("draw_number", sa.Integer),
        sa.Column("rep_drawn", sa.Text),
        sa.Column("rep_id", sa.Text),
        sa.Column("local_day", sa.Text),
        sa.Column("probability_chosen", REAL),
        sa.Column("baseline", REAL),
        sa.Column("uplift", REAL),
        sa.Column("uplift_low", REAL),
        sa.Column("uplift_high", REAL),
        sa.Column("lead_score", sa.Integer),
        sa.Column("grade", sa.Text),
        sa.Column("degraded", sa.Text),
        sa.Column("unassigned_reason", sa.Text),
        sa.UniqueConstraint("client_id", "idempotency_key", name="one_decision_a_key"),
    )
    op.create_index("decisions_of_a_lead", "decisions", ["client_id", "lead_id", "seq"])
    op.create_index("decisions_of_a_customer", "decisions", ["client_id", "customer_id", "seq"])
    op.create_index("decisions_in_time", "decisions", ["decided_at"])


def create_what_follows_a_decision() -> None:
    op.create_table(
        "outcome_events",
        numbered(),
        refers("client_id", "clients.client_id", nullable=False),
        needed("event_id", sa.Text),
        needed("lead_id", sa.Text),
        needed("event", sa.Text),
        needed("occurred_at", BIG),
        needed("received_at", BIG),
        sa.Column("value", REAL),
        sa.Column("reason", sa.Text),
        sa.Column("rep_id", sa.Text),
        sa.Column("into_lead_id", sa.Text),
        sa.UniqueConstraint("client_id", "event_id", name="one_row_an_event"),
    )
    op.create_index("events_of_a_lead", "outcome_events", ["client_id", "lead_id"])
    op.create_table(
        "overrides",
        numbered(),
        refers("decision_id", "decisions.decision_id", nullable=False),
        needed("rep_id", sa.Text),
        sa.Column("previous_rep_id", sa.Text),
        needed("reason", sa.Text),
        needed("actor", sa.Text),
        needed("version", sa.Integer),
        needed("forced", sa.Boolean),
        needed("at", BIG),
        sa.UniqueConstraint("decision_id", "version", name="one_override_a_version"),
    )
    op.create_table(
        "endings",
        numbered(),
        refers("decision_id", "decisions.decision_id", nullable=False),
        needed("kind", sa.Text),
        needed("actor", sa.Text),
        needed("at", BIG),
    )
    op.create_index("endings_of_a_decision", "endings", ["decision_id"])


def create_capacity_ledger() -> None:
    op.create_table(
        "capacity_ledger",
        numbered(),
        sa.Column(
            "decision_id",
            sa.Text,
            sa.ForeignKey("decisions.decision_id", deferrable=True, initially="DEFERRED"),
            nullable=False,
        ),
        needed("rep_id", sa.Text),
        needed("open_delta", sa.Integer),
        needed("day_delta", sa.Integer),
        sa.Column("local_day", sa.Text),
        needed("kind", sa.Text),
        needed("over_limit", sa.Boolean),
        needed("at", BIG),
    )
    op.create_index("capacity_of_a_decision", "capacity_ledger", ["decision_id"])


def create_roster() -> None:
    op.create_table(
        "roster_versions",
        sa.Column("version", BIG, primary_key=True, autoincrement=False),
        needed("actor", sa.Text),
        needed("at", BIG),
    )
    op.create_table(
        "roster_history",
        sa.Column(
            "version", BIG, sa.ForeignKey("roster_versions.version"), primary_key=True, autoincrement=False
        ),
        sa.Column("rep_id", sa.Text, primary_key=True),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
    )
    op.create_index("roster_history_of_a_rep", "roster_history", ["rep_id", "version"])
    op.create_table(
        "reps",
        sa.Column("rep_id", sa.Text, primary_key=True),
        needed("place", sa.Integer),
        needed("listed", sa.Boolean),
        needed("active", sa.Boolean),
        sa.Column("capacity", sa.Integer),
        sa.Column("daily_limit", sa.Integer),
        needed("open_count", sa.Integer),
        needed("record", sa.Text),
    )


def create_promotions_and_policies() -> None:
    op.create_table(
        "promotions",
        sa.Column("number", BIG, primary_key=True, autoincrement=False),
        needed("version", sa.Text),
        needed("digest", sa.Text),
        sa.Column("previous", sa.Text),
        needed("actor", sa.Text),
        needed("grounds", sa.Text),
        needed("at", BIG),
    )
    op.create_table(
        "policy_versions",
        sa.Column("version", BIG, primary_key=True, autoincrement=False),
        needed("text", sa.Text),
        needed("actor", sa.Text),
        needed("why", sa.Text),
        needed("at", BIG),
    )
    heads = op.create_table(
        "heads",
        sa.Column("name", sa.Text, primary_key=True),
        needed("number", BIG),
    )
    op.bulk_insert(heads, [{"name": name, "number": 0} for name in ("roster", "promotion", "policy")])


def create_projections() -> None:
    op.create_table(
        "open_load",
        sa.Column("rep_id", sa.Text, primary_key=True),
        needed("used", sa.Integer),
        sa.Column("last_assigned_at", BIG),
        sa.CheckConstraint("used >= 0", name="no_negative_open_load"),
    )
    op.create_table(
        "daily_load",
        sa.Column("local_day", sa.Text, primary_key=True),
        sa.Column("rep_id", sa.Text, primary_key=True),
        needed("used", sa.Integer),
        sa.CheckConstraint("used >= 0", name="no_negative_daily_load"),
    )
    op.create_table(
        "decision_states",
        refers("decision_id", "decisions.decision_id", primary_key=True),
        sa.Column("rep_id", sa.Text),
        needed("version", sa.Integer),
        needed("status", sa.Text),
        needed("holds_slot", sa.Boolean),
        sa.Column("given_at", BIG),
        sa.Column("contacted_at", BIG),
        sa.Column("qualified_at", BIG),
        sa.Column("closed_at", BIG),
        sa.Column("value", REAL),
        sa.Column("lost_reason", sa.Text),
        sa.Column("feedback", sa.Text),
        sa.Column("timed_out_at", BIG),
    )
    op.create_index("states_of_a_rep", "decision_states", ["rep_id", "status"])
    op.create_table(
        "lead_states",
        refers("client_id", "clients.client_id", primary_key=True),
        sa.Column("lead_id", sa.Text, primary_key=True),
        refers("decision_id", "decisions.decision_id"),
        refers("last_decision_id", "decisions.decision_id"),
        needed("spells", sa.Integer),
        needed("has_events", sa.Boolean),
        sa.Column("merged_into", sa.Text),
    )


def create_erasable() -> None:
    op.create_table(
        "answers",
        refers("decision_id", "decisions.decision_id", primary_key=True),
        needed("body", sa.LargeBinary),
    )
    op.create_table(
        "personal_data",
        refers("client_id", "clients.client_id", primary_key=True),
        sa.Column("lead_id", sa.Text, primary_key=True),
        needed("body", sa.Text),
    )


def forbid_change(table: str) -> None:
    """Let the database itself refuse to change or delete a row of `table`."""
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
            )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION rows_never_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'rows of % never change', TG_TABLE_NAME USING ERRCODE = '23000'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION rows_never_change()"
    )
