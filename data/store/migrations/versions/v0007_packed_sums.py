"""Sums of chances packed: one row a day and source instead of one a rep.

What is there is packed as it stands. Making the facts anew would give the same, but takes minutes over a million
decisions, in which reports tell of a part of them; to pack three million rows takes half a minute.
"""

import numpy as np
import sqlalchemy as sa
from alembic import op

from data.store.columns import dump_json
from data.store.packing import pack

revision = "0007"
down_revision = "0006"

SUMMED = ("asked", "control", "policy", "mixture", "variance", "value_control", "value_mixture")


def upgrade() -> None:
    op.rename_table("chance_sums", "sums_of_reps")
    packed = op.create_table(
        "chance_sums",
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("rep_ids", sa.Text, nullable=False),
        sa.Column("sums", sa.LargeBinary, nullable=False),
    )
    conn = op.get_bind()
    old = sa.table("sums_of_reps", *(sa.column(name) for name in ("day", "source", "rep_id", *SUMMED)))
    for day, source in conn.execute(sa.select(old.c.day, old.c.source).distinct()).all():
        own = sa.select(old.c.rep_id, *(old.c[name] for name in SUMMED))
        rep_ids, *sums = zip(*conn.execute(own.where(old.c.day == day, old.c.source == source)).all(), strict=True)
        vectors = {name: np.array(each, dtype=float) for name, each in zip(SUMMED, sums, strict=True)}
        row = {"day": day, "source": source, "rep_ids": dump_json(rep_ids), "sums": pack(vectors)}
        conn.execute(sa.insert(packed), row)
    op.drop_table("sums_of_reps")
    # A fact's source is the decision's own from now on; it was the snapshot's, which an erasure blanks.
    op.execute(
        "UPDATE decision_facts SET source = (SELECT source FROM decisions WHERE decisions.seq = decision_facts.seq) "
        "WHERE source IS NULL"
    )
