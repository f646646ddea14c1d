"""What every rep could expect of a day's draws: sums over the leads that were drawn, one row a day and source.

A row holds the ids of all reps who were candidates that day and, packed, their sums in the order of the ids: a floor
of a thousand reps writes as many rows as leads have sources, and not a thousand times as many.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import bindparam, select, text
from sqlalchemy.engine import Connection

from data.store.columns import Names
from data.store.packing import pack, unpack
from data.store.quick import Quick
from data.store.tables import chance_sums

SUMMED = ("asked", "control", "policy", "mixture", "variance", "value_control", "value_mixture")
_VECTORS = ("available", "propensity_control", "propensity_policy", "propensity")  # of a decision, as summed
MOST_GROUPS = 8  # of candidates whose sums are kept apart
AT_ONCE = 256  # decisions that wait to be summed
ROWS_AT_ONCE = 64
Key = tuple[str, str]  # (day, source)
Ids = tuple[str, ...]
Draw = tuple[Mapping[str, np.ndarray], float]  # a decision's vectors, and its rotation probability
Sums = tuple[Ids, np.ndarray]  # the reps, and their sums: shape (len(SUMMED), n_reps)

_STORED = Quick(
    select(chance_sums.c.rep_ids, chance_sums.c.sums).where(
        chance_sums.c.day == bindparam("day"), chance_sums.c.source == bindparam("source")
    )
)
_PUT = Quick(
    text("""
        INSERT INTO chance_sums (day, source, rep_ids, sums) VALUES (:day, :source, :rep_ids, :sums)
        ON CONFLICT (day, source) DO UPDATE SET rep_ids = excluded.rep_ids, sums = excluded.sums
    """).bindparams(bindparam("rep_ids", type_=Names))
)


@dataclass(frozen=True)
class ChanceSums:
    """What a rep could expect in a stretch of time: sums over the leads that were drawn, by source."""

    source: str
    rep_id: str
    asked: float  # leads that the rep was available for
    control: float  # leads that the control would have given
    policy: float
    mixture: float  # expected before the draw: what chance made of it is `given` less this
    variance: float  # of the leads given, by the draw alone
    value_control: float  # the same leads, each counted with its rotation probability
    value_mixture: float


class Summing:
    """Sums that grow, of reps who come and go."""

    def __init__(self) -> None:
        # By candidates, who are mostly the same: one array of them all takes what a thousand reps would.
        self._groups: dict[Ids, np.ndarray] = {}

    def of(self, rep_ids: Ids) -> np.ndarray:
        """The sums of these reps, to add to in place; shape (len(SUMMED), n_reps)."""
        own = self._groups.get(rep_ids)
        if own is None:
            if len(self._groups) >= MOST_GROUPS:
                self._groups = dict([self.together()])
            own = self._groups.setdefault(rep_ids, np.zeros((len(SUMMED), len(rep_ids))))
        return own

    def together(self) -> Sums:
        """Everybody and their sums; in the order of the ids, unless all groups were one."""
        if len(self._groups) == 1:
            return next(iter(self._groups.items()))
        place = {rep_id: number for number, rep_id in enumerate(sorted(set().union(*self._groups)))}
        summed = np.zeros((len(SUMMED), len(place)))
        for rep_ids, own in self._groups.items():
            summed[:, [place[rep_id] for rep_id in rep_ids]] += own  # nobody is a candidate twice
        return tuple(place), summed


class Drawn:
    """What the draws of some decisions add to the sums."""

    def __init__(self) -> None:
        self._cells: dict[Key, Summing] = defaultdict(Summing)
        self._waiting: dict[tuple[Key, Ids], list[Draw]] = defaultdict(list)
        self._many = 0

    def add(self, key: Key, candidates: Ids, vectors: Mapping[str, np.ndarray], value: float) -> None:
        """Count one decision: its vectors in the candidates' order, and its rotation probability."""
        self._waiting[key, candidates].append((vectors, value))
        self._many += 1
        if self._many >= AT_ONCE:
            self._count()

    def _count(self) -> None:
        """Add those that wait, all of the same candidates at once: numpy takes its time about each call."""
        for (key, candidates), draws in self._waiting.items():
            asked, control, policy, mixture = (
                np.array([vectors[name] for vectors, _ in draws], dtype=float) for name in _VECTORS
            )
            value = np.array([value for _, value in draws])
            plain = (asked, control, policy, mixture, mixture * (1 - mixture))
            own = self._cells[key].of(candidates)
            own += [*(each.sum(axis=0) for each in plain), value @ control, value @ mixture]
        self._waiting.clear()
        self._many = 0

    def sums(self) -> dict[Key, Sums]:
        """The sums by day and source."""
        self._count()
        return {key: cell.together() for key, cell in self._cells.items()}

    def added(self, conn: Connection) -> list[dict[str, Any]]:
        """The rows as they are once this is added to what is stored."""
        self._count()
        for key, cell in self._cells.items():
            if there := stored(conn, key):
                rep_ids, sums = there
                own = cell.of(rep_ids)
                own += sums
        return [row_of(key, sums) for key, sums in sorted(self.sums().items())]


def row_of(key: Key, sums: Sums) -> dict[str, Any]:
    """The columns of one day and source."""
    rep_ids, own = sums
    packed = pack(dict(zip(SUMMED, own, strict=True)))
    return {"day": key[0], "source": key[1], "rep_ids": rep_ids, "sums": packed}


def put(tx: Connection, rows: list[dict[str, Any]]) -> None:
    """Write these rows, in the place of those of the same day and source."""
    if rows:
        _PUT.run_many(tx, rows)


def stored(conn: Connection, key: Key) -> Sums | None:
    """The sums of a day and source; None where nothing was drawn."""
    row = _STORED.row(conn, {"day": key[0], "source": key[1]})
    return None if row is None else (row[0], _matrix(row[1]))


def days_and_sources(conn: Connection) -> set[Key]:
    """Of what there are sums."""
    return {(row.day, row.source) for row in conn.execute(select(chance_sums.c.day, chance_sums.c.source))}


def chances(conn: Connection, since: datetime | None, until: datetime | None) -> list[ChanceSums]:
    """The sums by source and rep over whole UTC days from that of `since` to that of `until`."""
    asked = select(chance_sums.c.source, chance_sums.c.rep_ids, chance_sums.c.sums)
    if since is not None:
        asked = asked.where(chance_sums.c.day >= day_of(since))
    if until is not None:
        asked = asked.where(chance_sums.c.day <= day_of(until))
    by_source: dict[str, Summing] = defaultdict(Summing)
    for source, rep_ids, blob in conn.execute(asked.execution_options(yield_per=ROWS_AT_ONCE)):
        own = by_source[source].of(rep_ids)
        own += _matrix(blob)
    found = []
    for source, summing in sorted(by_source.items()):
        rep_ids, sums = summing.together()
        found += [ChanceSums(source, *each) for each in sorted(zip(rep_ids, *sums.tolist(), strict=True))]
    return found


def _matrix(blob: bytes) -> np.ndarray:
    vectors = unpack(blob)
    return np.array([vectors[name] for name in SUMMED])


def day_of(at: datetime) -> str:
    """The UTC day."""
    return at.astimezone(UTC).date().isoformat()
