"""Rows -> the table of reps, and the roster's records."""

from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import pandas as pd

from data.description import Description
from data.intake.cleaning import (
    as_text,
    date_only,
    refuse_queues,
    refuse_repeated,
    settle_day_order,
    take_ids,
    take_moments,
    take_numbers,
)
from data.intake.renaming import Renamed, require
from data.intake.rows import Rows
from data.names import REP_COLUMNS, listed
from data.personal import is_personal
from data.roster import Rep

MOMENTS = ("hired_at", "left_at", "absent_from", "absent_until")
WHOLE_NUMBERS = ("capacity", "daily_limit", "open_count")
LISTS = ("regions", "skills", "languages")
OWNER_TYPE = "owner_type"  # says of a row that it is a queue, in CRMs that list queues among the owners
_YES = frozenset({"true", "yes", "y", "1", "1.0", "active", "t", "是", "在职", "启用"})
_NO = frozenset({"false", "no", "n", "0", "0.0", "inactive", "disabled", "f", "否", "离职", "停用"})
_QUEUES = frozenset({"queue", "group", "pool", "team"})


def clean_reps(rows: Rows, renamed: Renamed, description: Description) -> tuple[pd.DataFrame, frozenset[str]]:
    """(the reps, the ids of owners that are queues)."""
    require(rows, "reps", ["rep_id"], renamed, description)
    private = [column for column in rows.table.columns if column not in REP_COLUMNS and is_personal(column)]
    rows.table = rows.table.drop(columns=private)
    given = [column for column in MOMENTS if column in rows.table]
    settle_day_order(rows, given, description)
    take_ids(rows, "rep_id")
    queues = _take_owner_type(rows)
    refuse_queues(rows, "rep_id", description)
    refuse_repeated(rows, "rep_id")
    for column in given:
        take_moments(rows, column, description)
    for column in (column for column in WHOLE_NUMBERS if column in rows.table):
        take_numbers(rows, column, description, whole=True)
    _take_active(rows)
    _check_zones(rows)
    return rows.table.drop(columns=[date_only(column) for column in given]), queues


def _take_owner_type(rows: Rows) -> frozenset[str]:
    if OWNER_TYPE not in rows.table:
        return frozenset()
    kind = as_text(rows.table.pop(OWNER_TYPE)).str.casefold()
    bad = kind.isin(_QUEUES).to_numpy()
    queues = rows.table["rep_id"][bad].tolist()
    rows.refuse(bad, [f"owner is a queue: {one} is no rep" for one in queues])
    return frozenset(queues)


def _take_active(rows: Rows) -> None:
    if "active" not in rows.table:
        return
    said = as_text(rows.table["active"]).str.casefold()
    rows.table["active"] = ~said.isin(_NO).to_numpy()
    rows.refuse((said.notna() & ~said.isin(_YES | _NO)).to_numpy(), "unreadable flag: active is neither true nor false")


def _check_zones(rows: Rows) -> None:
    if "time_zone" not in rows.table:
        return
    zones = as_text(rows.table["time_zone"])
    known = available_timezones()
    bad = (zones.notna() & ~zones.isin(known)).to_numpy()
    if bad.any():
        rows.notes.append(
            f"{rows.files}: {int(bad.sum()):,} reps have a time_zone unlike Europe/Berlin and its kind; UTC is taken."
        )
    rows.table["time_zone"] = zones.mask(bad)


def reps_named_in(rows: Rows) -> pd.DataFrame:
    """The reps that a flat table names, in the order of their ids; its `rep_...` columns describe them."""
    told = {column: column.removeprefix("rep_") for column in rows.table.columns if column.startswith("rep_")}
    unread = [column for column, name in told.items() if name in (*MOMENTS, *WHOLE_NUMBERS, "active")]
    if unread:
        rows.notes.append(f"{rows.files}: {listed(unread)} are left out; dates and limits of reps need a file of reps.")
    about = {column: name for column, name in told.items() if column not in ("rep_id", *unread)}
    named = rows.table.loc[rows.table["rep_id"].notna(), ["rep_id", *about]]
    return named.groupby("rep_id", sort=True).first().rename(columns=about).reset_index().astype({"rep_id": "str"})


def roster_of(reps: pd.DataFrame) -> tuple[Rep, ...]:
    """The reps as records, in the order of the table."""
    return tuple(_rep({str(k): v for k, v in row.items()}) for row in reps.to_dict(orient="records"))


def _rep(row: dict[str, Any]) -> Rep:
    present = {column: value for column, value in row.items() if not _missing(value)}
    known = {column: _typed(column, present[column]) for column in present if column in REP_COLUMNS}
    return Rep(**known, attributes={column: value for column, value in present.items() if column not in REP_COLUMNS})


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


def _typed(column: str, value: Any) -> Any:
    if column in MOMENTS:
        moment: datetime = pd.Timestamp(value).to_pydatetime()
        return moment
    if column in WHOLE_NUMBERS:
        return int(value)
    if column == "active":
        return bool(value)
    if column in LISTS:
        parts = str(value).replace("；", ";").split(";")
        return tuple(part.strip() for part in parts if part.strip())
    return str(value)
