"""Columns of rows -> ids, instants and numbers; a row whose cell cannot be read is set aside with the reason."""

import fnmatch
from collections.abc import Iterable

import numpy as np
import pandas as pd

from data.description import Description
from data.errors import InputError
from data.intake.amounts import read_numbers
from data.intake.moments import day_order, read_moments, showable
from data.intake.rows import Rows


def take_ids(rows: Rows, column: str) -> None:
    """Make a column of ids text; rows without one are set aside."""
    values = rows.table[column]
    rows.table[column] = as_text(values)
    rows.refuse(rows.table[column].isna().to_numpy(), f"no {column}: the cell is empty")


def as_text(values: pd.Series) -> pd.Series:
    """The column as text; whole numbers without a decimal sign, missing as NaN."""
    if values.dtype.kind == "f":
        written = [None if v != v else str(int(v)) if v == int(v) else repr(v) for v in values.tolist()]
        return pd.Series(written, index=values.index, dtype="str")
    if pd.api.types.is_string_dtype(values.dtype):
        return values.astype("str")
    return pd.Series([None if pd.isna(v) else str(v) for v in values.tolist()], index=values.index, dtype="str")


def refuse_repeated(rows: Rows, column: str) -> None:
    """Set aside the rows whose id stood on an earlier row."""
    again = rows.table[column].duplicated().to_numpy()
    if again.any():
        first = pd.Series(rows.places()).groupby(rows.table[column].to_numpy()).transform("first").to_numpy()
        ids = rows.table[column].to_numpy()[again]
        said = [
            f"duplicate {column}: {one} stands already on {place}" for one, place in zip(ids, first[again], strict=True)
        ]
        rows.refuse(again, said)


def refuse_queues(rows: Rows, column: str, description: Description) -> None:
    """Set aside the rows whose owner is a queue or a pool: nobody in particular."""
    if not description.queues:
        return
    owners = rows.table[column]
    queues = {one for one in owners.unique() if _fits(one, description.queues)}
    bad = owners.isin(queues).to_numpy()
    rows.refuse(bad, [f"owner is a queue: {one} is no rep" for one in owners[bad]])


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.casefold(), pattern.casefold()) for pattern in patterns)


def settle_day_order(rows: Rows, columns: Iterable[str], description: Description) -> None:
    """Say whether numeric dates of these rows are day first: as stated, else as the dates themselves prove.

    To be called before any row is set aside: such a row may hold the proof.
    Raises InputError where they prove both, or where they prove neither and one has to be known.
    """
    rows.day_first = description.day_first
    if description.day_first is not None or description.date_formats:
        return
    seen = day_order([rows.table[column] for column in columns if column in rows.table])
    if seen.day_first_at is not None and seen.month_first_at is not None:
        places = rows.places()
        raise InputError(
            f"{rows.files}: dates stand in both orders, day first on {places[seen.day_first_at]} and month first on "
            f"{places[seen.month_first_at]}; set day_first: true or false in dataset.yaml (the rest is then refused)."
        )
    if seen.day_first_at is None and seen.month_first_at is None and seen.undecided_at is not None:
        raise InputError(
            f"{rows.files}: dates such as the one on {rows.places()[seen.undecided_at]} read day first and month first "
            "alike; set day_first: true or false in dataset.yaml."
        )
    if seen.day_first_at is not None or seen.month_first_at is not None:
        rows.day_first = seen.day_first_at is not None


def date_only(column: str) -> str:
    """The name of the working column that marks moments written without a time of day."""
    return f"{column} written without a time"


def take_moments(rows: Rows, column: str, description: Description) -> None:
    """Make a column instants in UTC (all NaT where it is absent); unreadable cells set their row aside."""
    if column not in rows.table:
        rows.table[column] = pd.Series(pd.NaT, index=rows.table.index, dtype="datetime64[us, UTC]")
        rows.table[date_only(column)] = False
        return
    written = rows.table[column]
    moments = read_moments(written, description, rows.day_first)
    rows.table[column] = moments.at
    rows.table[date_only(column)] = moments.date_only
    bad = moments.unreadable
    how = _expected_dates(description, rows.day_first)
    rows.refuse(bad, [f"unreadable date: {column}{showable(text)} {how}" for text in written[bad]])


def _expected_dates(description: Description, day_first: bool | None) -> str:
    if description.date_formats:
        return f"fits none of the date_formats {', '.join(description.date_formats)}"
    order = {True: " with the day first", False: " with the month first", None: ""}[day_first]
    return f"is no date{order} between 1950 and 2200"


def take_numbers(rows: Rows, column: str, description: Description, *, whole: bool = False) -> None:
    """Make a column floats (all NaN where it is absent); unreadable cells set their row aside.

    whole : only 0, 1, 2 ... will do.
    """
    if column not in rows.table:
        rows.table[column] = np.nan
        return
    numbers, bad = read_numbers(rows.table[column], description.decimal)
    rows.table[column] = numbers
    if whole:
        bad = bad | (numbers < 0) | (np.isfinite(numbers) & (numbers != np.floor(numbers)))
    what = "a whole number, 0 or more" if whole else f"a number with the decimal sign '{description.decimal}'"
    rows.refuse(bad, f"unreadable number: {column} is not {what}")
