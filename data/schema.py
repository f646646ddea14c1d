"""The three tables of a data set, checked: columns, types, uniqueness, ranges, and that they fit together."""

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from data.intake.assignment_table import ASSIGNED_BY
from data.intake.outcomes import OUTCOMES

_INSTANT = pd.DatetimeTZDtype("us", "UTC")


def _finite() -> pa.Check:
    return pa.Check(lambda values: np.isfinite(values), name="finite")


LEADS = pa.DataFrameSchema(
    {
        "lead_id": pa.Column("str", pa.Check.str_length(min_value=1), unique=True),
        "created_at": pa.Column(_INSTANT, nullable=True),
        "at_days": pa.Column(float, nullable=True),
    },
    name="leads",
)
REPS = pa.DataFrameSchema(
    {
        "rep_id": pa.Column("str", pa.Check.str_length(min_value=1), unique=True),
        "hired_at": pa.Column(_INSTANT, nullable=True, required=False),
        "left_at": pa.Column(_INSTANT, nullable=True, required=False),
        "active": pa.Column(bool, required=False),
        "capacity": pa.Column(float, pa.Check.ge(0), nullable=True, required=False),
        "daily_limit": pa.Column(float, pa.Check.ge(0), nullable=True, required=False),
        "open_count": pa.Column(float, pa.Check.ge(0), nullable=True, required=False),
    },
    name="reps",
)
ASSIGNMENTS = pa.DataFrameSchema(
    {
        "lead_id": pa.Column("str"),
        "rep_id": pa.Column("str", nullable=True),
        "assigned_at": pa.Column(_INSTANT, nullable=True),
        "at_days": pa.Column(float, _finite()),
        "outcome": pa.Column("str", pa.Check.isin(OUTCOMES)),
        "closed_at": pa.Column(_INSTANT, nullable=True),
        "closed_days": pa.Column(float, nullable=True),
        "first_contact_at": pa.Column(_INSTANT, nullable=True),
        "value": pa.Column(float, nullable=True),
        "lost_reason": pa.Column("str", nullable=True),
        "assigned_by": pa.Column("str", pa.Check.isin(ASSIGNED_BY)),
        "policy": pa.Column("str", nullable=True),
        "propensity": pa.Column(float, [pa.Check.gt(0), pa.Check.le(1)], nullable=True),
        "spell": pa.Column("int64", pa.Check.ge(0)),
        "last_spell": pa.Column(bool),
    },
    ordered=True,
    strict=True,
    name="assignments",
)


def check_tables(leads: pd.DataFrame, reps: pd.DataFrame, assignments: pd.DataFrame) -> None:
    """Nothing where the tables are as `data.dataset.Dataset` promises.

    Raises ValueError that names the table, the column and the check; never the values.
    """
    for schema, table in ((LEADS, leads), (REPS, reps), (ASSIGNMENTS, assignments)):
        try:
            schema.validate(table, lazy=True)
        except SchemaErrors as error:
            failed = error.failure_cases[["column", "check"]].drop_duplicates().astype(str)
            said = ", ".join(f"{column}: {check}" for column, check in failed.itertuples(index=False))
            raise ValueError(f"The table {schema.name} is not as a data set's must be ({said}).") from None
    _check_ids(assignments["lead_id"], leads["lead_id"], "leads")
    if assignments["rep_id"].notna().any():
        _check_ids(assignments["rep_id"], reps["rep_id"], "reps")


def _check_ids(used: pd.Series, known: pd.Series, table: str) -> None:
    strange = int((~used.isin(known)).sum())
    if strange:
        raise ValueError(f"{strange:,} assignments name an id that is not in {table}; add it or leave them out.")
