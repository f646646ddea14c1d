"""Dates and times as people and CRMs write them -> instants in UTC; what reads as none is marked, not guessed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.description import Description

EARLIEST, LATEST = pd.Timestamp("1950-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
_INSTANT = "datetime64[us, UTC]"
_MICROSECONDS_A_DAY = 86_400_000_000
_CLOCK = r"""
    (?:[ T,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?
       \s*(?P<half>[AaPp])?(?(half)\.?[Mm]\.?)
       \s*(?P<offset>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?
"""
_YEAR_FIRST = re.compile(
    rf"(?P<year>\d{{4}})(?:[-/.]|年)(?P<month>\d{{1,2}})(?:[-/.]|月)(?P<day>\d{{1,2}})日?{_CLOCK}", re.VERBOSE
)
_TWO_ORDERS = re.compile(
    rf"(?P<first>\d{{1,2}})(?P<sign>[-/.])(?P<second_part>\d{{1,2}})(?P=sign)(?P<year>\d{{4}}|\d{{2}}){_CLOCK}",
    re.VERBOSE,
)
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_NAMED = re.compile(
    rf"""(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[-/.,\ ]+(?P<month>[A-Za-z]{{3,9}})
        |(?P<month_before>[A-Za-z]{{3,9}})\.?[-/.\ ]+(?P<day_after>\d{{1,2}})(?:st|nd|rd|th)?)
        [-/.,\ ]+(?P<year>\d{{4}}|\d{{2}}){_CLOCK}""",
    re.VERBOSE,
)
_EPOCH = re.compile(r"1\d{9}(?:\d{3})?")
_COMPACT = re.compile(r"(?:19|20)\d{6}")
_ISO = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})?)?"
_OFFSET_AT_END = r"(?:Z|[+-]\d{2}:\d{2})$"
# What may be repeated in a message: a date's shape holds no name, address or telephone number.
_SHOWABLE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T][\d:.]{1,15})?")


@dataclass(frozen=True)
class Moments:
    """Instants in UTC (NaT where missing or unreadable), one entry a value."""

    at: pd.Series
    unreadable: np.ndarray  # bool
    date_only: np.ndarray  # bool: written without a time of day, read as the day's start


def read_moments(values: pd.Series, description: Description, day_first: bool | None) -> Moments:
    """Instants from a column of texts, naive datetimes or instants.

    day_first : the order of numeric dates such as 03/04/2024; None leaves them unreadable.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        at = _in_zone(values, description) if values.dt.tz is None else values.astype(_INSTANT)
        return _within_range(at, values.notna().to_numpy(), np.zeros(len(values), dtype=bool))
    written = values.astype("str") if values.dtype.kind not in "fiu" else _whole(values)
    given = written.notna().to_numpy()
    if description.date_formats:
        at, date_only = _by_formats(written, description)
    else:
        codes, uniques = pd.factorize(written)
        iso = _all_to_iso(pd.Series(uniques, dtype="str"), day_first)
        at = _place(_from_iso(iso, description), codes, values.index)
        date_only = np.append((~iso.str.contains(":", na=False)).to_numpy(dtype=bool), False)[codes] & given
    return _within_range(at, given, date_only)


def days(at: pd.Series) -> np.ndarray:
    """Instants as days since 1970-01-01 UTC, float64; NaN where missing."""
    whole = at.astype(_INSTANT).astype("int64").to_numpy(dtype=float)
    return np.where(at.isna(), np.nan, whole / _MICROSECONDS_A_DAY)


def _all_to_iso(texts: pd.Series, day_first: bool | None) -> pd.Series:
    """`to_iso` of many texts; most are of that form already, and stay as they are."""
    other = ~texts.str.fullmatch(_ISO).to_numpy(dtype=bool)
    read = [to_iso(text, day_first) for text in texts[other].tolist()]
    return texts.where(~other, pd.Series(read, index=texts.index[other], dtype="str"))


def to_iso(text: str, day_first: bool | None) -> str | None:
    """A date or moment as ISO 8601 text, or None where it reads as none.

    >>> to_iso("27-Mar-12", None), to_iso("3/4/2024 5:06 pm", True), to_iso("2024年3月5日", None)
    ('2012-03-27', '2024-04-03T17:06:00', '2024-03-05')
    """
    found = _YEAR_FIRST.fullmatch(text)
    if found:
        return _joined(found, found["year"], found["month"], found["day"])
    found = _TWO_ORDERS.fullmatch(text)
    if found:
        dotted = found["sign"] == "."  # 31.12.2024 is written day first everywhere
        if day_first is None and not dotted:
            return None
        first_is_day = dotted if day_first is None else day_first
        parts = (found["first"], found["second_part"])
        day, month_number = parts if first_is_day else parts[::-1]
        return _joined(found, found["year"], month_number, day)
    found = _NAMED.fullmatch(text)
    if found:
        name = (found["month"] or found["month_before"]).casefold()
        month = next((i for i, full in enumerate(_MONTHS, start=1) if full.startswith(name)), None)
        return _joined(found, found["year"], month, found["day"] or found["day_after"]) if month else None
    if _EPOCH.fullmatch(text):
        return str(np.datetime64(int(text.ljust(13, "0")), "ms")) + "Z"
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if _COMPACT.fullmatch(text) else None


def _joined(found: re.Match[str], year: str, month: str | int, day: str) -> str | None:
    full = int(year) if len(year) == 4 else int(year) + (2000 if int(year) < 69 else 1900)
    date = f"{full:04d}-{int(month):02d}-{int(day):02d}"
    if found["hour"] is None:
        return date
    hour = int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"] in "pP" else 0)
    offset = found["offset"] or ""
    offset = "Z" if offset in ("Z", "UTC", "GMT") else offset.replace(":", "").ljust(5, "0") if offset else ""
    offset = f"{offset[:3]}:{offset[3:]}" if len(offset) == 5 else offset
    fraction = f".{found['fraction']}" if found["fraction"] else ""
    return f"{date}T{hour:02d}:{found['minute']}:{found['second'] or '00'}{fraction}{offset}"


def _from_iso(iso: pd.Series, description: Description) -> pd.Series:
    aware = iso.str.contains(_OFFSET_AT_END, regex=True, na=False)
    at = pd.Series(pd.NaT, index=iso.index, dtype=_INSTANT)
    at[aware] = pd.to_datetime(iso[aware], format="ISO8601", utc=True, errors="coerce").astype(_INSTANT)
    naive = pd.to_datetime(iso[~aware], format="ISO8601", errors="coerce").astype("datetime64[us]")
    at[~aware] = _in_zone(naive, description)
    return at


def _in_zone(naive: pd.Series, description: Description) -> pd.Series:
    """Naive moments of the description's zone in UTC. An hour that comes twice is taken as its second coming."""
    if description.time_zone == "UTC":
        return naive.dt.tz_localize("UTC").astype(_INSTANT)
    second = np.zeros(len(naive), dtype=bool)
    local = naive.dt.tz_localize(description.zone, ambiguous=second, nonexistent="shift_forward")
    return local.dt.tz_convert("UTC").astype(_INSTANT)


def _by_formats(written: pd.Series, description: Description) -> tuple[pd.Series, np.ndarray]:
    at = pd.Series(pd.NaT, index=written.index, dtype=_INSTANT)
    date_only = np.zeros(len(written), dtype=bool)
    for pattern in description.date_formats:
        left = (at.isna() & written.notna()).to_numpy()
        aware = "%z" in pattern
        read = pd.to_datetime(written[left], format=pattern, errors="coerce", utc=aware)
        at[left] = read.astype(_INSTANT) if aware else _in_zone(read.astype("datetime64[us]"), description)
        if not re.search(r"%[HIMSXcTR]", pattern):
            date_only |= left & at.notna().to_numpy()
    return at, date_only


def _place(uniques: pd.Series, codes: np.ndarray, index: pd.Index) -> pd.Series:
    padded = np.append(uniques.dt.tz_localize(None).to_numpy(), np.datetime64("NaT"))
    return pd.Series(padded[codes], index=index).astype("datetime64[us]").dt.tz_localize("UTC")


def _within_range(at: pd.Series, given: np.ndarray, date_only: np.ndarray) -> Moments:
    at = at.where((at >= EARLIEST) & (at < LATEST))
    return Moments(at, given & at.isna().to_numpy(), date_only)


def _whole(values: pd.Series) -> pd.Series:
    return pd.Series([None if v != v else str(int(v)) for v in values.tolist()], index=values.index, dtype="str")


@dataclass(frozen=True)
class DayOrder:
    """What a file's own dates say of their order: row positions that prove one or the other, None if none does."""

    day_first_at: int | None
    month_first_at: int | None
    undecided_at: int | None  # a row with a date that fits both


def day_order(columns: Sequence[pd.Series]) -> DayOrder:
    """The evidence in the numeric dates (13/02/2024, 02/13/2024) of a file's date columns."""
    day_at, month_at, either_at = list[int](), list[int](), list[int]()
    for values in columns:
        if not pd.api.types.is_string_dtype(values.dtype):
            continue
        codes, uniques = pd.factorize(values)
        kinds = [_order_of(text) for text in uniques.tolist()]
        order = np.append(np.array(kinds, dtype=np.int8), np.int8(0))[codes]
        for kind, found in ((1, day_at), (2, month_at), (3, either_at)):
            found += np.flatnonzero(order == kind)[:1].tolist()
    return DayOrder(*(min(found, default=None) for found in (day_at, month_at, either_at)))


def _order_of(text: str) -> int:
    """1 day first, 2 month first, 3 fits both, 0 no such date."""
    found = _TWO_ORDERS.fullmatch(text)
    if not found or found["sign"] == ".":
        return 0
    first, second = int(found["first"]), int(found["second_part"])
    if first > 12:
        return 1 if first <= 31 and 1 <= second <= 12 else 0
    if second > 12:
        return 2 if second <= 31 and first >= 1 else 0
    return 3


def showable(text: object) -> str:
    """The value in quotes where it has a date's shape, else nothing: it may be anybody's name."""
    return f" '{text}'" if isinstance(text, str) and _SHOWABLE.fullmatch(text) else ""
