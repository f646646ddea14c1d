"""Rows -> the table of leads: unique ids, a moment or a rank for each, attributes as they stand."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from data.description import Description
from data.errors import InputError
from data.intake.amounts import read_numbers
from data.intake.cleaning import as_text, date_only, refuse_repeated, settle_day_order, take_ids, take_moments
from data.intake.moments import days, read_moments
from data.intake.renaming import Renamed, require
from data.intake.rows import Rows
from data.names import NOT_FOR_LEADS, listed, plain


def is_dated(description: Description) -> bool:
    """Whether the leads carry moments; else their order stands for time."""
    return description.order_by is None


def clean_leads(rows: Rows, renamed: Renamed, description: Description, *, dates_needed: bool = True) -> pd.DataFrame:
    """The leads of a file of leads alone (assignments stand elsewhere).

    dates_needed : a lead without `created_at` is set aside; if not, it stays with NaT.
    """
    require(rows, "leads", ["lead_id"], renamed, description)
    settle_day_order(rows, dates_of_leads(description, renamed), description)
    take_ids(rows, "lead_id")
    refuse_repeated(rows, "lead_id")
    if is_dated(description):
        if dates_needed:
            require(rows, "leads", ["created_at"], renamed, description)
        take_moments(rows, "created_at", description)
        if dates_needed:
            rows.refuse(rows.table["created_at"].isna().to_numpy(), no_date("created_at", renamed))
        at_days = days(rows.table["created_at"])
    else:
        at_days = take_order(rows, "leads", renamed, description)
    return lead_columns(rows.table, at_days, rows, renamed, description)


def dates_of_leads(description: Description, renamed: Renamed) -> list[str]:
    """The columns of leads that are read as dates."""
    typed = [column for column, kind in types_by_column(description, renamed).items() if kind == "date"]
    return [*(["created_at"] if is_dated(description) else []), *typed]


def no_date(column: str, renamed: Renamed) -> str:
    """The reason for setting a row without a date aside, with the file's own name of the column."""
    theirs = [name for name in renamed.theirs.get(column, ()) if plain(name) != plain(column)]
    return f"no {column}: {listed(theirs) if theirs else 'the cell'} is empty"


def take_order(rows: Rows, table: str, renamed: Renamed, description: Description) -> np.ndarray:
    """Each row's rank in the order that stands for time, float64; rows without a place in it are set aside."""
    order_by = description.order_by
    if order_by is None:
        raise ValueError("take_order is for data without dates; order_by is not set.")
    if "created_at" in renamed.theirs and plain(order_by) != "createdat":
        rows.notes.append(f"{rows.files}: created_at is left out, for order_by: {order_by} stands for time.")
    if order_by == "file":
        return np.arange(len(rows), dtype=float)
    wanted = plain(renamed.ours(order_by))
    column = next((c for c in rows.table.columns if plain(c) == wanted), None)
    if column is None:
        raise InputError(
            f"{rows.files}: order_by names {order_by}, which is not among its columns "
            f"({listed(rows.table.columns)}); name one of them, or write order_by: file."
        )
    rows.refuse(rows.table[column].isna().to_numpy(), f"no {order_by}: the cell that puts the row in order is empty")
    values = rows.table[column]
    numbers, unreadable = read_numbers(values, description.decimal)
    if unreadable.any():
        ranks = as_text(values).rank(method="first").to_numpy(dtype=float) - 1
    else:
        ranks = pd.Series(numbers).rank(method="first").to_numpy(dtype=float) - 1
    if column != "lead_id":
        rows.table = rows.table.drop(columns=[column])
    return ranks


def lead_columns(
    table: pd.DataFrame, at_days: np.ndarray, rows: Rows, renamed: Renamed, description: Description
) -> pd.DataFrame:
    """lead_id, created_at, at_days and the attributes, the latter typed where the description says how."""
    foreign = [column for column in table.columns if column in NOT_FOR_LEADS]
    if foreign:
        rows.notes.append(f"{rows.files}: {listed(foreign)} belong to the assignments and are left out of the leads.")
    working = {date_only("created_at"), "lead_id", "created_at", "at_days", *foreign}
    attributes = table[[column for column in table.columns if column not in working]]
    unknown = pd.Series(pd.NaT, index=table.index, dtype="datetime64[us, UTC]")
    created = table["created_at"] if is_dated(description) else unknown
    leads = pd.DataFrame({"lead_id": table["lead_id"], "created_at": created, "at_days": at_days})
    return pd.concat([leads, _typed(attributes, rows, renamed, description)], axis=1)


def _typed(attributes: pd.DataFrame, rows: Rows, renamed: Renamed, description: Description) -> pd.DataFrame:
    """Numbers and dates that `types:` announces, read with the file's own signs; what is unreadable goes missing."""
    typed = attributes.copy()
    for column, kind in types_by_column(description, renamed).items():
        if column not in typed:
            continue
        if kind == "number":
            typed[column], bad = read_numbers(typed[column], description.decimal)
        elif kind == "date":
            moments = read_moments(typed[column], description, rows.day_first)
            typed[column], bad = moments.at, moments.unreadable
        else:
            continue
        if bad.any():
            rows.notes.append(
                f"{rows.files}: {int(bad.sum()):,} values of {column} do not read as a {kind}; taken as missing."
            )
    return typed


def types_by_column(description: Description, renamed: Renamed) -> Mapping[str, str]:
    """`types:` by the names that the columns go by now."""
    return {renamed.ours(name): kind for name, kind in description.types.items()}
