"""One flat table, lead and rep and outcome in each row -> leads, reps and assignments."""

import numpy as np
import pandas as pd

from data.description import Description
from data.intake.assignment_table import (
    MOMENTS,
    assignment_columns,
    refuse_repeated_spells,
    refuse_strangers,
    take_facts,
    take_owner,
)
from data.intake.cleaning import date_only, refuse_repeated, settle_day_order, take_ids
from data.intake.lead_table import dates_of_leads, is_dated, lead_columns, take_order
from data.intake.moments import days
from data.intake.renaming import Renamed, require
from data.intake.rep_table import reps_named_in
from data.intake.rows import Rows
from data.names import ASSIGNMENT_COLUMNS


def split(
    rows: Rows,
    renamed: Renamed,
    description: Description,
    *,
    reps: pd.DataFrame | None = None,
    queues: frozenset[str] = frozenset(),
    reps_file: str = "",
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(leads, reps, assignments) of a flat table.

    reps : from a file of their own; else they are those that the rows name. A lead that stands on two rows
    with two moments of assignment was assigned twice; its attributes are those of the first.
    """
    require(rows, "flat", ["lead_id"], renamed, description)
    dates = dates_of_leads(description, renamed)
    settle_day_order(rows, [*dates, *MOMENTS] if is_dated(description) else dates, description)
    take_ids(rows, "lead_id")
    take_owner(rows, "flat", renamed, description)
    _refuse_queue_owners(rows, queues)
    if reps is not None and description.reps != "none":
        refuse_strangers(rows, "rep_id", set(reps["rep_id"]), (), reps_file)
    assigned_apart = "assigned_at" in rows.table
    take_facts(rows, "flat", renamed, description)
    if is_dated(description):
        if assigned_apart:
            refuse_repeated_spells(rows, ["lead_id", "assigned_at"], "at the same moment")
        else:
            refuse_repeated(rows, "lead_id")
        at_days = days(rows.table["assigned_at"])
    else:
        refuse_repeated_spells(rows, ["lead_id", "rep_id"], "to the same rep")
        at_days = take_order(rows, "flat", renamed, description)
    if reps is None:
        reps = reps_named_in(rows)
    assignments = assignment_columns(rows, at_days)
    return _leads(rows, at_days, renamed, description), reps, assignments


def _refuse_queue_owners(rows: Rows, queues: frozenset[str]) -> None:
    owners = rows.table["rep_id"]
    bad = owners.isin(queues).to_numpy()
    rows.refuse(bad, [f"owner is a queue: {one} is no rep" for one in owners[bad]])


def _leads(rows: Rows, at_days: np.ndarray, renamed: Renamed, description: Description) -> pd.DataFrame:
    earliest = rows.table.assign(at_days=at_days).sort_values("at_days", kind="stable")
    first = rows.table.loc[np.sort(earliest.drop_duplicates("lead_id").index.to_numpy())]
    theirs = [
        column
        for column in first.columns
        if column in set(ASSIGNMENT_COLUMNS) - {"lead_id"} or column.startswith("rep_") or column in _WORKING
    ]
    arrived = days(first["created_at"]) if is_dated(description) else at_days[first.index]
    table = first.drop(columns=theirs).reset_index(drop=True)
    return lead_columns(table, arrived, rows, renamed, description)


_WORKING = frozenset(date_only(column) for column in MOMENTS)
