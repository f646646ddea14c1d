"""Rows -> the table of assignments: who got which lead when, and what came of it."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from data.description import Description
from data.intake.cleaning import (
    as_text,
    date_only,
    refuse_queues,
    settle_day_order,
    take_ids,
    take_moments,
    take_numbers,
)
from data.intake.lead_table import is_dated, no_date
from data.intake.moments import days
from data.intake.outcomes import outcome_columns, take_outcomes
from data.intake.renaming import Renamed, require
from data.intake.rows import Rows

ASSIGNED_BY = ("rule", "rotation", "manual", "claim", "model", "unknown")
COLUMNS = (
    "lead_id", "rep_id", "assigned_at", "at_days", "outcome", "closed_at", "closed_days", "first_contact_at", "value",
    "lost_reason", "assigned_by", "policy", "propensity", "spell", "last_spell",
)  # fmt: skip
MOMENTS = ("assigned_at", "closed_at", "first_contact_at")
_TEXTS = ("lost_reason", "policy")


def take_owner(rows: Rows, table: str, renamed: Renamed, description: Description) -> None:
    """Check the column of reps; without reps (`reps: none`) it is empty."""
    if description.reps == "none":
        rows.table["rep_id"] = pd.Series(None, index=rows.table.index, dtype="str")
        return
    require(rows, table, ["rep_id"], renamed, description)
    take_ids(rows, "rep_id")
    refuse_queues(rows, "rep_id", description)


def refuse_strangers(rows: Rows, column: str, known: Collection[str], refused: Collection[str], file: str) -> None:
    """Set aside the rows whose lead or rep is not in its table, saying whether it was refused there."""
    bad = ~rows.table[column].isin(known).to_numpy()
    if not bad.any():
        return
    what, there = column.removesuffix("_id"), set(refused)
    said = [
        f"unknown {what}: {one} {'was refused' if one in there else 'is not'} in {file}"
        for one in rows.table[column][bad]
    ]
    rows.refuse(bad, said)


def take_facts(rows: Rows, table: str, renamed: Renamed, description: Description) -> None:
    """Read everything of an assignment but its ids: moments, outcome, numbers, the reason for the choice."""
    if not outcome_columns(rows, description):
        require(rows, table, ["outcome"], renamed, description)
    _take_moments(rows, table, renamed, description)
    take_outcomes(rows, description)
    take_numbers(rows, "value", description)
    take_numbers(rows, "propensity", description)
    chance = rows.table["propensity"].to_numpy()
    rows.refuse(
        ~np.isnan(chance) & ~((chance > 0) & (chance <= 1)), "propensity out of range: it must be above 0 and at most 1"
    )
    _take_assigned_by(rows)
    for column in _TEXTS:
        given = rows.table[column] if column in rows.table else pd.Series(None, index=rows.table.index)
        rows.table[column] = as_text(given)
    _order_in_time(rows, description)


def _take_moments(rows: Rows, table: str, renamed: Renamed, description: Description) -> None:
    columns = [*MOMENTS, *(["created_at"] if table == "flat" else [])]
    if not is_dated(description):
        rows.table = rows.table.drop(columns=[column for column in columns if column in rows.table])
        for column in columns:
            take_moments(rows, column, description)
        return
    if table != "flat" or not {"created_at", "assigned_at"} & set(rows.table.columns):
        require(rows, table, ["assigned_at" if table != "flat" else "created_at"], renamed, description)
    has_own = "assigned_at" in rows.table
    for column in columns:
        take_moments(rows, column, description)
    if table != "flat":
        rows.refuse(rows.table["assigned_at"].isna().to_numpy(), no_date("assigned_at", renamed))
        return
    created, assigned = rows.table["created_at"], rows.table["assigned_at"]
    rows.table["created_at"] = created.fillna(assigned)
    rows.table["assigned_at"] = assigned.fillna(created)
    rows.refuse(rows.table["created_at"].isna().to_numpy(), no_date("created_at", renamed))
    if not has_own:
        rows.notes.append(f"{rows.files}: no column says when a lead was assigned; created_at stands for it.")


def _take_assigned_by(rows: Rows) -> None:
    if "assigned_by" not in rows.table:
        rows.table["assigned_by"] = pd.Series("unknown", index=rows.table.index, dtype="str")
        return
    said = as_text(rows.table["assigned_by"]).str.casefold()
    strange = int((said.notna() & ~said.isin(ASSIGNED_BY)).sum())
    if strange:
        # The values stay unsaid: in many exports such a column holds the name of whoever assigned.
        rows.notes.append(
            f"{rows.files}: {strange:,} rows have an assigned_by that is none of {', '.join(ASSIGNED_BY)}; read as "
            "unknown. Say what they mean: values: {assigned_by: {THEIRS: rule}}."
        )
    rows.table["assigned_by"] = said.where(said.isin(ASSIGNED_BY), "unknown").astype("str")


def _order_in_time(rows: Rows, description: Description) -> None:
    """Outcomes come after their assignment; what cannot have been is set aside or left out."""
    _same_day(rows, "closed_at", description)
    _same_day(rows, "first_contact_at", description)
    table = rows.table
    early = (table["closed_at"] < table["assigned_at"]).to_numpy()
    rows.refuse(early, "outcome before assignment: closed_at is earlier than assigned_at")
    table = rows.table
    expected = ((table["outcome"] == "open") & table["closed_at"].notna()).to_numpy()
    if expected.any():
        rows.notes.append(
            f"{rows.files}: {int(expected.sum()):,} open rows have a closing date, an expected one; left out."
        )
    contacted = (table["first_contact_at"] < table["assigned_at"]).to_numpy()
    if contacted.any():
        rows.notes.append(
            f"{rows.files}: {int(contacted.sum()):,} rows have a first contact before the assignment; it is left out."
        )
    table["closed_at"] = table["closed_at"].mask(expected)
    table["first_contact_at"] = table["first_contact_at"].mask(contacted)


def _same_day(rows: Rows, column: str, description: Description) -> None:
    """A date without a time means some moment of that day, never earlier than the assignment on the same day."""
    table = rows.table
    if not table[date_only(column)].any():
        return
    start = table["assigned_at"].dt.tz_convert(description.zone).dt.normalize()
    same = table[date_only(column)] & (start == table[column]) & (table[column] < table["assigned_at"])
    table[column] = table[column].mask(same, table["assigned_at"])


def assignment_columns(rows: Rows, at_days: np.ndarray) -> pd.DataFrame:
    """The rows as the table of assignments, in time order, with the number of each lead's spell."""
    table = rows.table.assign(at_days=at_days, closed_days=days(rows.table["closed_at"]))
    table = table.sort_values("at_days", kind="stable", ignore_index=True)
    by_lead = table.groupby("lead_id", sort=False)
    table["spell"] = by_lead.cumcount().astype("int64")
    table["last_spell"] = (table["spell"] == by_lead["spell"].transform("max")).astype(bool)
    return table[list(COLUMNS)]


def clean_assignments(
    rows: Rows,
    renamed: Renamed,
    description: Description,
    *,
    leads: pd.DataFrame,
    reps: pd.DataFrame,
    refused: tuple[Collection[str], Collection[str]],
    files: tuple[str, str],
) -> pd.DataFrame:
    """The assignments of a file of assignments alone.

    refused : ids of the leads and of the reps that were set aside. files : where leads and reps stand.
    """
    require(rows, "assignments", ["lead_id"], renamed, description)
    settle_day_order(rows, MOMENTS if is_dated(description) else (), description)
    take_ids(rows, "lead_id")
    take_owner(rows, "assignments", renamed, description)
    refuse_strangers(rows, "lead_id", set(leads["lead_id"]), refused[0], files[0])
    if description.reps != "none":
        refuse_strangers(rows, "rep_id", set(reps["rep_id"]), refused[1], files[1])
    take_facts(rows, "assignments", renamed, description)
    if is_dated(description):
        refuse_repeated_spells(rows, ["lead_id", "assigned_at"], "at the same moment")
        at_days = days(rows.table["assigned_at"])
    else:
        refuse_repeated_spells(rows, ["lead_id", "rep_id"], "to the same rep")
        at_days = rows.table["lead_id"].map(leads.set_index("lead_id")["at_days"]).to_numpy(dtype=float)
    _note_odd(rows, leads, is_dated(description))
    return assignment_columns(rows, at_days)


def refuse_repeated_spells(rows: Rows, key: list[str], how: str) -> None:
    """Set aside an assignment that stands twice."""
    again = rows.table.duplicated(key).to_numpy()
    if not again.any():
        return
    place = pd.Series(rows.places()).groupby([rows.table[column] for column in key], dropna=False).transform("first")
    leads = rows.table["lead_id"].to_numpy()
    said = [
        f"duplicate assignment: lead {lead} stands already on {first}, {how}"
        for lead, first in zip(leads[again], place.to_numpy()[again], strict=True)
    ]
    rows.refuse(again, said)


def _note_odd(rows: Rows, leads: pd.DataFrame, dated: bool) -> None:
    if not dated:
        return
    created = rows.table["lead_id"].map(leads.set_index("lead_id")["created_at"])
    early = int((rows.table["assigned_at"] < created).sum())
    if early:
        rows.notes.append(
            f"{rows.files}: {early:,} rows are assigned before their lead was created; kept, but look at created_at."
        )
