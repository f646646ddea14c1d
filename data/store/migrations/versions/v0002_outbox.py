"""Events out: whom to tell, and what still has to be told."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "endpoints",
        sa.Column("endpoint_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("topics", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, sa.ForeignKey("clients.client_id")),
        sa.Column("secret_from", sa.Text, nullable=False),
        sa.Column("private_allowed", sa.Boolean, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("why_not", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("endpoint_id", sa.Text, sa.ForeignKey("endpoints.endpoint_id"), nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text),
        sa.Column("lead_id", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", BIG, nullable=False),
        sa.Column("lease", sa.Text),
        sa.Column("leased_until", BIG),
        sa.Column("last_error", sa.Text),
        sa.Column("settled_at", BIG),
        sa.UniqueConstraint("endpoint_id", "message_id", name="one_message_an_endpoint"),
    )
    op.create_index("outbox_due", "outbox", ["state", "endpoint_id", "next_at"])
    op.create_index("outbox_of_a_subject", "outbox", ["endpoint_id", "subject", "state", "seq"])
    op.create_index("outbox_of_a_lead", "outbox", ["client_id", "lead_id"])
