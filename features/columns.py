"""Attributes of a lead -> typed columns, their levels and their order: the contract saved with a model.

One builder serves training and serving: `ColumnContract.encode` turns a table of raw values, be it a
million rows or one lead, into the float matrix that every model here reads.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Union
from zoneinfo import ZoneInfo

import numpy as np

from data.intake.amounts import number_of

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("number", "flag", "category", "date", "list")
OTHER = "(other)"
SECONDS_A_DAY = 86_400.0
US_A_DAY = 86_400 * 10**6
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MANY_ROWS = 1_000
ONE_KIND = frozenset({"string", "floating", "integer", "boolean", "empty"})  # in pandas' words, missing ones aside
QUARTER_HOUR = 900  # seconds
YES = frozenset({"yes", "true", "y", "t", "on", "是", "有"})
NO = frozenset({"no", "false", "n", "f", "off", "否", "无"})
Values = Union[Sequence[Any], np.ndarray, "pd.Series"]
FLAG_WORDS = dict.fromkeys(YES, 1.0) | dict.fromkeys(NO, 0.0) | {"1": 1.0, "0": 0.0}


@dataclass(frozen=True)
class Column:
    """One attribute: its type, and for a category or a list the levels that were common enough to keep."""

    name: str
    kind: str
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feature:
    """One column of the encoded matrix. A category holds level numbers; everything else is a number."""

    name: str
    column: str
    kind: str  # "number" or "category"
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnContract:
    """What a model expects of a lead: the columns in order, their types and their levels."""

    columns: tuple[Column, ...]
    dated: bool = True  # leads carry created_at; its hour and weekday are features
    time_zone: str = "UTC"
    _lookups: dict[str, dict[str, float]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for column in self.columns:
            self._lookups[column.name] = {level: float(code) for code, level in enumerate(column.levels)}

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The columns of the encoded matrix, in order."""
        made: list[Feature] = []
        for column in self.columns:
            if column.kind == "category":
                made.append(Feature(column.name, column.name, "category", (*column.levels, OTHER)))
            elif column.kind == "list":
                made += [Feature(f"{column.name}={level}", column.name, "number") for level in column.levels]
            else:
                made.append(Feature(column.name, column.name, "number"))
        if self.dated:
            made += [Feature(f"created_at:{part}", "created_at", "number") for part in ("hour", "weekday")]
        return tuple(made)

    @cached_property
    def categorical(self) -> tuple[int, ...]:
        """Positions of the features that hold level numbers."""
        return tuple(i for i, feature in enumerate(self.features) if feature.kind == "category")

    def position(self, feature: str) -> int:
        """Where a feature stands in the encoded matrix."""
        return next(i for i, known in enumerate(self.features) if known.name == feature)

    def encode(self, table: Mapping[str, Values], n_rows: int) -> np.ndarray:
        """The lead matrix, float64, shape (n_rows, n_features); NaN where a value is missing or unreadable.

        table : column name -> raw values, each of length n_rows; a column that is absent counts as missing.
            `created_at` holds aware datetimes, numpy datetimes or ISO strings.
        """
        created = instants(table["created_at"]) if "created_at" in table else np.full(n_rows, np.nan)
        parts = [self._encode_column(column, table.get(column.name), created, n_rows) for column in self.columns]
        if self.dated:
            parts.append(_clock(created, self.time_zone))
        return np.column_stack(parts) if parts else np.empty((n_rows, 0))

    def _encode_column(
        self, column: Column, values: Values | None, created: np.ndarray, n_rows: int
    ) -> np.ndarray:
        if values is None:
            width = len(column.levels) if column.kind == "list" else 1
            return np.full((n_rows, width), np.nan)
        if column.kind == "number":
            return numbers(values)
        if column.kind == "flag":
            codes, distinct = by_value(values)
            return np.array([*map(flag_of, distinct), np.nan])[codes]
        if column.kind == "date":
            return created - instants(values)  # days that this date lies before the lead's arrival
        lookup, other = self._lookups[column.name], float(len(column.levels))
        codes, distinct = by_value(values)
        if column.kind == "category":
            levels = map(level_of, distinct)
            return np.array([*(np.nan if one is None else lookup.get(one, other) for one in levels), np.nan])[codes]
        return _multi_hot([*map(tokens_of, distinct), None], lookup)[codes]

    def to_json(self) -> dict[str, Any]:
        """A plain mapping that `from_json` reads back."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "dated": self.dated,
            "time_zone": self.time_zone,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ColumnContract":
        """The contract that `to_json` wrote."""
        columns = tuple(Column(c["name"], c["kind"], tuple(c["levels"])) for c in value["columns"])
        return cls(columns, bool(value["dated"]), str(value["time_zone"]))


def is_missing(value: Any) -> bool:
    """Whether a raw value says nothing: None, NaN, NaT or blank text."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def level_of(value: Any) -> str | None:
    """The text of a category's value; None where it is missing. 3, 3.0 and "3" are one level."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def tokens_of(value: Any) -> tuple[str, ...] | None:
    """The items of a list value, given as a sequence or as text with `;` between; None where there are none.

    An empty list is as good as a missing one: in a file the two look alike.
    """
    if isinstance(value, list | tuple | set):
        items = value
    elif is_missing(value):
        return None
    else:
        items = str(value).replace("；", ";").split(";")
    return tuple(level for level in map(level_of, items) if level is not None) or None


def numbers(values: Values) -> np.ndarray:
    """Values as float64; NaN where a value is missing, infinite or not a number."""
    array = _one_a_row(values)
    if array.dtype.kind in "fiub":
        array = array.astype(float)
        return np.where(np.isfinite(array), array, np.nan)
    codes, distinct = by_value(values)
    return np.array([*map(number_from, distinct), np.nan], dtype=float)[codes]


def instants(values: Values) -> np.ndarray:
    """Instants as days since 1970-01-01 UTC; NaN where a value is missing or not an ISO date or time."""
    array = _one_a_row(values)
    if array.dtype.kind == "M":
        days = array.astype("datetime64[us]").astype(np.int64) / US_A_DAY
        return np.where(np.isnat(array), np.nan, days)
    return np.array([instant_of(value) for value in array], dtype=float)


def by_value(values: Values) -> tuple[np.ndarray, Values]:
    """Which of the distinct values each row has, int (n,), and these; -1: the row is missing.

    A long column is read once a distinct value instead of once a row. Values of several kinds stay apart, each a
    value of its own, for there 1, "1" and True would be one.
    """
    if len(values) < MANY_ROWS:
        return np.arange(len(values)), _one_a_row(values)
    import pandas as pd  # tables this long come only to jobs, which have it loaded

    if isinstance(values, pd.Series) and isinstance(values.dtype, pd.StringDtype):
        codes, known = values.factorize()  # without a Python object a row
        return codes, known.to_numpy(dtype=object)
    array = _one_a_row(values)
    if array.dtype.kind == "O" and pd.api.types.infer_dtype(array, skipna=True) not in ONE_KIND:
        return np.arange(len(array)), array
    codes, distinct = pd.factorize(array)
    return codes, np.asarray(distinct)


def _one_a_row(values: Values) -> np.ndarray:
    """Values as an array of one entry a row: each stays as it is, and a list that strayed in is one value."""
    if not isinstance(values, list | tuple):
        return np.asarray(values)
    return np.fromiter(values, dtype=object, count=len(values))


def number_from(value: Any) -> float:
    """A raw value as a finite number; NaN where it is none."""
    if is_missing(value):
        return np.nan
    try:
        number = _read(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan
    return number if np.isfinite(number) else np.nan


def _read(text: str) -> float:
    if "," in text or "_" in text:  # thousands; Python's own float would take 1_000 too
        return number_of(text)
    try:
        return float(text)
    except ValueError:
        return number_of(text)


def flag_of(value: Any) -> float:
    """1 for yes, 0 for no, in two languages; NaN where a raw value is neither."""
    level = level_of(value)
    return np.nan if level is None else FLAG_WORDS.get(level.casefold(), np.nan)


def instant_of(value: Any) -> float:
    """A raw value as days since 1970-01-01 UTC; NaN where it is no ISO date or time."""
    if is_missing(value):
        return np.nan
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    except ValueError:
        return np.nan
    if isinstance(moment, np.datetime64):
        moment = moment.astype("datetime64[us]").item()
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if not isinstance(moment, datetime):
        return np.nan
    # In whole microseconds, as in the branch for arrays, so that one instant is one number wherever it comes from.
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH
    return (since // timedelta(microseconds=1)) / US_A_DAY


def _multi_hot(rows: Sequence[tuple[str, ...] | None], lookup: Mapping[str, float]) -> np.ndarray:
    matrix = np.zeros((len(rows), len(lookup)))
    for i, tokens in enumerate(rows):
        if tokens is None:
            matrix[i] = np.nan
        else:
            matrix[i, [int(lookup[token]) for token in tokens if token in lookup]] = 1.0
    return matrix


def _clock(created_days: np.ndarray, time_zone: str) -> np.ndarray:
    """Local hour (with minutes as a fraction) and weekday (Monday 0) of each arrival, shape (n, 2)."""
    known = ~np.isnan(created_days)
    seconds = np.rint(np.where(known, created_days, 0.0) * SECONDS_A_DAY).astype(np.int64)
    # Clocks change on a quarter hour of UTC, be it in Adelaide, so each distinct quarter is asked for once.
    distinct, place = np.unique(seconds // QUARTER_HOUR, return_inverse=True)
    zone = ZoneInfo(time_zone)
    offsets = np.array([offset_seconds(int(quarter) * QUARTER_HOUR, zone) for quarter in distinct], dtype=np.int64)
    # In whole seconds: as fractions of a day, a local midnight might fall on the day before.
    return np.where(known[:, None], np.column_stack(local_clock(seconds + offsets[place])), np.nan)


def local_clock(seconds: Any) -> tuple[Any, Any]:
    """Hour (with minutes as a fraction) and weekday (Monday 0) of local seconds since 1970, a number or an array."""
    return (seconds % 86_400) / 3_600, (seconds // 86_400 + 3) % 7  # 1970-01-01 was a Thursday


def offset_seconds(at: int, zone: ZoneInfo) -> int:
    """How far the zone's clocks are ahead of UTC at a moment given in seconds since 1970."""
    offset = datetime.fromtimestamp(at, tz=zone).utcoffset()
    return round(offset.total_seconds()) if offset else 0


def count_levels(values: Values, *, many: bool) -> Counter[str]:
    """How often each level (or, for lists, each item) occurs."""
    codes, distinct = by_value(values)
    rows = np.bincount(codes[codes >= 0], minlength=len(distinct)).tolist()
    counts: Counter[str] = Counter()
    for value, count in zip(distinct, rows, strict=True):
        items = (tokens_of(value) or ()) if many else (level_of(value),)
        for item in items:
            if item is not None:
                counts[item] += count
    return counts
