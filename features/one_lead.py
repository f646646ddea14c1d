"""One raw lead -> its row of the lead matrix: `ColumnContract.encode` for a single lead, without a table.

A table's encoder asks numpy a few dozen questions a call; for one lead each of them costs more than its answer.
The values are read by the very functions that the table's encoder uses, and a test holds the two equal.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite, isnan, nan
from typing import Any
from zoneinfo import ZoneInfo

from features.columns import (
    QUARTER_HOUR,
    SECONDS_A_DAY,
    Column,
    ColumnContract,
    flag_of,
    instant_of,
    is_missing,
    level_of,
    local_clock,
    number_from,
    offset_seconds,
    tokens_of,
)

Reader = Callable[[Any], float]
PLAIN = (int, float)


class LeadEncoder:
    """A contract laid out for one lead at a time; build it once a model."""

    def __init__(self, contract: ColumnContract, *, ignored: frozenset[str] = frozenset()) -> None:
        """`ignored` : attributes that may be there without a warning although the model does not know them."""
        self._known = ignored | {column.name for column in contract.columns}
        self._columns = [
            (column, _codes(column) if column.kind == "category" else {}) for column in contract.columns
        ]
        self._zone = ZoneInfo(contract.time_zone) if contract.dated else None

    def encode(self, lead: Mapping[str, Any]) -> tuple[list[float], list[str]]:
        """The lead's row, n_features long, and what the model could not use of it, a line each.

        The lines hold the attributes' names, never their values.
        """
        strange = [] if self._known.issuperset(lead) else [name for name in lead if name not in self._known]
        warnings = [f"unknown attribute ignored: {name}" for name in strange]
        created = instant_of(lead.get("created_at"))
        row: list[float] = []
        for column, lookup in self._columns:
            value: Any = lead.get(column.name)
            kind = type(value)
            # The usual case of each kind first; whatever else it may be, the table's own readers decide.
            if kind is str and value in lookup:
                row.append(lookup[value])
            elif column.kind == "number" and kind in PLAIN and isfinite(value):
                row.append(float(value))
            elif column.kind == "list":
                row += self._items(column, value)
            elif is_missing(value):
                row.append(nan)
            else:
                row.append(self._one(column, lookup, value, created, warnings))
        if self._zone is not None:
            row += _clock(created, self._zone)
        return row, warnings

    def _one(
        self, column: Column, lookup: Mapping[str, float], value: Any, created: float, warnings: list[str]
    ) -> float:
        if column.kind == "category":
            level = level_of(value)
            code = None if level is None else lookup.get(level)
            if code is None:
                warnings.append(f"{column.name}: a value the model has not seen often; scored as any other")
                return nan if level is None else float(len(column.levels))
            return code
        read = READERS[column.kind](value)
        if isnan(read):
            warnings.append(f"{column.name}: not a {column.kind}; scored as missing")
        return created - read if column.kind == "date" else read

    def _items(self, column: Column, value: Any) -> list[float]:
        tokens = tokens_of(value)
        if tokens is None:
            return [nan] * len(column.levels)
        return [float(level in tokens) for level in column.levels]


def _codes(column: Column) -> dict[str, float]:
    return {level: float(code) for code, level in enumerate(column.levels)}


READERS: dict[str, Reader] = {"number": number_from, "flag": flag_of, "date": instant_of}


def _clock(created_days: float, zone: ZoneInfo) -> tuple[float, float]:
    """Local hour (with minutes as a fraction) and weekday (Monday 0); NaN where the arrival is not known."""
    if isnan(created_days):
        return nan, nan
    seconds = round(created_days * SECONDS_A_DAY)
    return local_clock(seconds + _offset(seconds // QUARTER_HOUR, zone))


@lru_cache(maxsize=4096)
def _offset(quarter: int, zone: ZoneInfo) -> int:
    return offset_seconds(quarter * QUARTER_HOUR, zone)
