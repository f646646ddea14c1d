"""Column types that read and write the same on both engines: instants and JSON."""

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """Microseconds since 1970-01-01 UTC. Raises ValueError for an instant without a zone."""
    if at.tzinfo is None:
        raise ValueError(f"an instant needs a time zone, got {at.isoformat()}")
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The instant, aware and in UTC."""
    return _EPOCH + value * _MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as whole microseconds UTC: exact and in order on every engine."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """As written."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """As read."""
        return None if value is None else from_microseconds(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "item"):  # a numpy scalar
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept in the ledger")


_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, default=_plain)


def dump_json(value: Any) -> str:
    """Compact JSON in ASCII: PostgreSQL's text cannot hold NUL or lone surrogates, their escapes it can."""
    return _COMPACT.encode(value)


@lru_cache(maxsize=32)
def _dump_names(names: tuple[str, ...]) -> str:
    return dump_json(names)


class _Written:
    """The list that was written last: one roster's is one object, known again without a look at its thousand names."""

    def __init__(self) -> None:
        self._last: tuple[tuple[str, ...], str] = ((), "[]")

    def text(self, names: tuple[str, ...]) -> str:
        known, text = self._last
        if known is not names:
            text = _dump_names(names)
            self._last = (names, text)
        return text


_WRITTEN = _Written()


@lru_cache(maxsize=32)
def _load_names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


class Json(TypeDecorator[Any]):
    """A JSON value as text: the same bytes on every engine."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """As written."""
        return None if value is None else dump_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """As read."""
        return None if value is None else json.loads(value)


class Names(Json):
    """A list of names as JSON. One roster's candidates are often the same, so what was read or written is kept."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """As written."""
        return _WRITTEN.text(value) if isinstance(value, tuple) else super().process_bind_param(value, dialect)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:
        """As read."""
        return None if value is None else _load_names(value)
