"""The loads of a whole roster: read once, then kept up by what the capacity ledger added since.

Every change of a counter is an entry of the capacity ledger, written in the same transaction. SQLite has one writer,
so its entries are numbered in the order of their commits: what comes after the last one seen is all that changed. On
PostgreSQL a smaller number may be committed later, so there the counters are read anew.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.engine import Connection

from data.roster import Rep
from data.store.capacity import Load
from data.store.columns import from_microseconds
from data.store.quick import Quick
from data.store.tables import capacity_ledger, daily_load

# Microseconds as they are kept: a thousand moments would take longer to build than to read.
_OPEN = text("SELECT rep_id, used, last_assigned_at FROM open_load")
_TODAY = select(daily_load.c.rep_id, daily_load.c.local_day, daily_load.c.used).where(
    daily_load.c.local_day.in_(bindparam("days", expanding=True))
)
_LAST = select(func.coalesce(func.max(capacity_ledger.c.seq), 0))
_SINCE = Quick(
    text("SELECT seq, rep_id, open_delta, day_delta, local_day, at FROM capacity_ledger WHERE seq > :seq ORDER BY seq")
)
_NEVER = -1


@dataclass(frozen=True, eq=False)
class RosterLoads(Mapping[str, Load]):
    """Each rep's load at one moment: arrays in the roster's order, or a `Load` by rep id."""

    places: Mapping[str, int]
    open: NDArray[np.int64]  # open leads, ours and those from elsewhere
    today: NDArray[np.int64]  # leads given on the rep's local day
    last: NDArray[np.int64]  # when she was last given one, in microseconds since 1970; -1: never
    zones: tuple[str, ...]

    def __getitem__(self, rep_id: str) -> Load:
        """The load of one rep."""
        place = self.places[rep_id]
        last = int(self.last[place])
        moment = None if last == _NEVER else from_microseconds(last)
        return Load(int(self.open[place]), int(self.today[place]), moment)

    def __iter__(self) -> Iterator[str]:
        """The reps' ids."""
        return iter(self.places)

    def __len__(self) -> int:
        """How many reps."""
        return len(self.places)


def read_loads(conn: Connection, reps: Sequence[Rep], at: datetime) -> RosterLoads:
    """The loads of these reps, each on her own local day, as `conn` sees them."""
    return _read(conn, reps, _days({rep.time_zone for rep in reps}, at))


class LoadBook:
    """The loads of the roster in force, as fresh as the connection that asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reps: Sequence[Rep] | None = None
        self._days: dict[str, str] = {}  # of each time zone
        self._loads = _nobody()
        self._seq = 0

    def look(self, conn: Connection, reps: Sequence[Rep], at: datetime) -> RosterLoads:
        """The loads at `at`. Never with a connection that writes: what it rolls back would stay in here.

        reps : the roster in force; the same object for as long as it is the same roster.
        """
        with self._lock:
            known = self._reps is reps
            days = _days(self._days if known else {rep.time_zone for rep in reps}, at)
            if known and days == self._days and conn.dialect.name == "sqlite":
                self._catch_up(conn, self._loads)
            else:
                self._seq = conn.execute(_LAST).scalar_one()
                self._loads = _read(conn, reps, days)
                self._reps, self._days = reps, days
            return self._loads

    def _catch_up(self, conn: Connection, held: RosterLoads) -> None:
        added = _SINCE.rows(conn, {"seq": self._seq})
        if not added:
            return
        fresh = RosterLoads(held.places, held.open.copy(), held.today.copy(), held.last.copy(), held.zones)
        for seq, rep_id, open_delta, day_delta, local_day, at in added:
            self._seq = seq
            place = held.places.get(rep_id)
            if place is None:  # she has left the roster
                continue
            fresh.open[place] += open_delta
            if day_delta:  # given by us, not moved
                fresh.today[place] += day_delta if local_day == self._days[held.zones[place]] else 0
                fresh.last[place] = max(fresh.last[place], at)
        self._loads = fresh


def _nobody() -> RosterLoads:
    """The loads of a roster of nobody."""
    none = np.zeros(0, dtype=np.int64)
    return RosterLoads({}, none, none, none, ())


def _read(conn: Connection, reps: Sequence[Rep], days: Mapping[str, str]) -> RosterLoads:
    places = {rep.rep_id: place for place, rep in enumerate(reps)}
    zones = tuple(rep.time_zone for rep in reps)
    opened = np.array([rep.open_count for rep in reps], dtype=np.int64)
    today, last = np.zeros(len(reps), dtype=np.int64), np.full(len(reps), _NEVER, dtype=np.int64)
    for rep_id, used, moment in conn.execute(_OPEN):
        place = places.get(rep_id)
        if place is not None:
            opened[place] += used
            last[place] = _NEVER if moment is None else moment
    for rep_id, day, used in conn.execute(_TODAY, {"days": sorted(set(days.values()))}):
        place = places.get(rep_id)
        if place is not None and days[zones[place]] == day:
            today[place] = used
    return RosterLoads(places, opened, today, last, zones)


def _days(zones: Iterable[str], at: datetime) -> dict[str, str]:
    """The local date in each time zone, YYYY-MM-DD: the window of a daily limit."""
    return {zone: at.astimezone(ZoneInfo(zone)).date().isoformat() for zone in zones}
