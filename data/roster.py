"""A sales rep as the roster knows her: the same record from a data set and from the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Rep:
    """One rep. Instants are aware and in UTC; lists are tuples; None means not stated."""

    rep_id: str
    name: str | None = None
    team: str | None = None
    region: str | None = None
    regions: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    hired_at: datetime | None = None
    left_at: datetime | None = None
    active: bool = True
    capacity: int | None = None  # open leads at most; None: no limit
    daily_limit: int | None = None  # new leads a local day at most; None: no limit
    open_count: int = 0  # open leads that leadmatch did not assign
    time_zone: str = "UTC"
    hours: str | None = None  # for example "mon-fri 09:00-18:00", in time_zone
    absent_from: datetime | None = None
    absent_until: datetime | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)  # every other column of the reps table

    def value(self, column: str) -> Any:
        """The rep's value in `column`, be it one that leadmatch knows or an attribute."""
        return getattr(self, column) if column in KNOWN_COLUMNS else self.attributes.get(column)

    def employed(self, at: datetime) -> bool:
        """Whether the rep works here at `at`: hired, not left, active."""
        hired = self.hired_at is None or self.hired_at <= at
        return self.active and hired and (self.left_at is None or at < self.left_at)


KNOWN_COLUMNS = frozenset(f.name for f in fields(Rep)) - {"attributes"}
