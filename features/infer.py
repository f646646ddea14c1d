"""Which type each attribute has, judged from its values, and which columns cannot serve."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.columns import (
    FLAG_WORDS,
    KINDS,
    Column,
    ColumnContract,
    count_levels,
    instants,
    is_missing,
    level_of,
    numbers,
)

READABLE_SHARE = 0.99  # of a column's values must read as its type
MOST_LEVELS = 200
LEAST_SUPPORT = 20  # rows; rarer levels are pooled
MOST_COLUMNS = 500
SAMPLE = 20_000  # rows that the type is judged from


@dataclass(frozen=True)
class Exclusion:
    """A column that is not used, and why, in a sentence."""

    column: str
    why: str


def infer_contract(
    attributes: pd.DataFrame,
    *,
    types: Mapping[str, str] | None = None,
    time_zone: str = "UTC",
    dated: bool = True,
) -> tuple[ColumnContract, tuple[Exclusion, ...]]:
    """The contract of a table of attributes, and the columns that cannot serve.

    attributes : one row a lead, raw values; neither ids nor personal data.
    types : column -> kind, where the data's owner says so; it overrides what the values look like.
    """
    types = types or {}
    columns: list[Column] = []
    excluded: list[Exclusion] = []
    for name in attributes.columns:
        values = attributes[name].to_numpy(dtype=object)
        kind = _stated(types.get(name)) or _kind_of(values)
        why = _why_useless(values, kind) if name not in types else None
        if len(columns) >= MOST_COLUMNS:
            why = f"only the first {MOST_COLUMNS} usable columns are taken"
        if why:
            excluded.append(Exclusion(name, why))
        else:
            columns.append(Column(name, kind, _levels(values, kind)))
    return ColumnContract(tuple(columns), dated, time_zone), tuple(excluded)


def _stated(kind: str | None) -> str | None:
    if kind is not None and kind not in KINDS:
        raise ValueError(f"types: {kind!r} is not a kind of column; expected one of {', '.join(KINDS)}.")
    return kind


def _kind_of(values: np.ndarray) -> str:
    present = [value for value in values[:: max(1, len(values) // SAMPLE)] if not is_missing(value)]
    if not present:
        return "category"
    levels = {(level_of(value) or "").casefold() for value in present}
    if levels <= set(FLAG_WORDS):
        return "flag"
    if _share_known(numbers(present)) >= READABLE_SHARE:
        return "number"
    if _share_known(instants(present)) >= READABLE_SHARE:
        return "date"
    with_separator = sum(isinstance(value, list | tuple) or ";" in str(value) for value in present)
    if with_separator > len(present) * 0.05 and len(count_levels(present, many=True)) <= MOST_LEVELS:
        return "list"
    return "category"


def _share_known(values: np.ndarray) -> float:
    return float(np.mean(~np.isnan(values)))


def _why_useless(values: np.ndarray, kind: str) -> str | None:
    counts = count_levels(values, many=False)
    distinct, present = len(counts), counts.total()
    if not present:
        return "empty in every row"
    if distinct == 1 and present == len(values):
        return "the same value in every row"
    if kind == "category" and distinct > MOST_LEVELS and distinct > 0.5 * present:
        return f"{distinct:,} different values in {present:,} rows: reads like an identifier or free text"
    if kind == "number" and distinct == present and _counts_up(numbers(values)):
        return "a different whole number in each row, rising with the rows: reads like a row number"
    return None


def _counts_up(values: np.ndarray) -> bool:
    """Whether whole numbers rise (or fall) with the rows almost without exception."""
    known = values[~np.isnan(values)]
    if len(known) < LEAST_SUPPORT or np.any(known != np.floor(known)):
        return False
    steps = np.diff(known)
    return bool(max(np.mean(steps > 0), np.mean(steps < 0)) > READABLE_SHARE)


def _levels(values: np.ndarray, kind: str) -> tuple[str, ...]:
    if kind not in ("category", "list"):
        return ()
    counts = count_levels(values, many=kind == "list")
    least = min(LEAST_SUPPORT, max(1, len(values) // 100))
    kept = [level for level, rows in counts.most_common(MOST_LEVELS) if rows >= least]
    return tuple(sorted(kept))
