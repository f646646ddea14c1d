"""The ledger as a data set: leads, reps and assignments, one row a spell."""

from datetime import datetime

import pandas as pd
from sqlalchemy.engine import Connection


def export_tables(
    conn: Connection, since: datetime | None = None, *, personal: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(leads, reps, assignments) with the columns of a data set folder.

    since : decisions from then on. personal : with the columns of personal data.
    One assignment row a spell. `assigned_by`: model and explore -> "model", holdout -> "rotation", rule and
    sticky -> "rule", fallback -> "rotation", pool -> "claim"; for whoever works the lead after an override,
    "manual". `propensity` is the logged mixture's, where the rep who works the lead was drawn.
    """
    raise NotImplementedError
