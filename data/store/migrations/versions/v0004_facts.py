"""What reports count: a narrow row a decision, and the chances that every rep had."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG, REAL = sa.BigInteger, sa.Float(53)


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "decision_facts",
        sa.Column("seq", key, primary_key=True, autoincrement=False),
        sa.Column("revision", BIG, nullable=False),
        sa.Column("decided_at", BIG, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("mode", "arm", "status")),
        *(sa.Column(name, BIG, nullable=False) for name in ("policy_version",)),
        sa.Column("version", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("unassigned", "first_draw")),
        *(
            sa.Column(name, sa.Text)
            for name in ("source", "grade", "eligible_team", "rep_drawn", "rep_id", "lost_reason")
        ),
        sa.Column("lead_score", sa.Integer),
        *(
            sa.Column(name, REAL)
            for name in (
                "baseline", "probability", "uplift", "share", "propensity", "propensity_policy", "propensity_control",
                "expected_policy", "expected_control", "order_gap", "order_variance", "value", "lead_value",
            )
        ),
        *(
            sa.Column(name, BIG)
            for name in (
                "given_at", "contacted_at", "qualified_at", "closed_at", "lead_won_at", "lead_qualified_at",
            )
        ),
    )  # fmt: skip
    op.create_index("facts_by_revision", "decision_facts", ["revision", "seq"])
    op.create_table(
        "chance_sums",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("day", "source", "rep_id")),
        *(
            sa.Column(name, REAL, nullable=False)
            for name in ("asked", "control", "policy", "mixture", "variance", "value_control", "value_mixture")
        ),
    )
    op.create_table(
        "fact_marks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("number", BIG, nullable=False),
    )
