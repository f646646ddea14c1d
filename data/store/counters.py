"""The capacity counters themselves: taken by one conditional UPDATE, with an entry for every change."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, insert, text
from sqlalchemy.engine import Connection

from data.store.columns import Instant
from data.store.quick import Quick
from data.store.tables import capacity_ledger

_NEWEST = "CASE WHEN open_load.last_assigned_at > :at THEN open_load.last_assigned_at ELSE :at END"

# The limits are compared where they lie and at the moment of the change, so two takers cannot both be last.
_TAKE_OPEN = Quick(
    text(f"""
        UPDATE open_load SET used = used + 1, last_assigned_at = {_NEWEST}
        WHERE rep_id = :rep_id AND EXISTS (
            SELECT 1 FROM reps WHERE reps.rep_id = open_load.rep_id AND reps.listed AND reps.active
            AND (reps.capacity IS NULL OR open_load.used + reps.open_count < reps.capacity)
            AND open_load.used + reps.open_count < :most_open
            AND (reps.daily_limit IS NULL OR reps.daily_limit > COALESCE((
                SELECT daily_load.used FROM daily_load
                WHERE daily_load.rep_id = reps.rep_id AND daily_load.local_day = :local_day), 0)))
    """).bindparams(bindparam("at", type_=Instant))  # noqa: S608 - the one interpolation is a constant above
)

_TAKE_DAY = Quick(
    text("""
        INSERT INTO daily_load (local_day, rep_id, used)
        SELECT :local_day, rep_id, 1 FROM reps
        WHERE rep_id = :rep_id AND (daily_limit IS NULL OR daily_limit > 0) AND :most_today > 0
        ON CONFLICT (local_day, rep_id) DO UPDATE SET used = daily_load.used + 1
        WHERE daily_load.used < :most_today
        AND (SELECT reps.daily_limit IS NULL OR daily_load.used < reps.daily_limit
             FROM reps WHERE reps.rep_id = daily_load.rep_id)
    """)
)

_GIVE_OPEN_BACK = Quick(text("UPDATE open_load SET used = used - 1 WHERE rep_id = :rep_id"))

_FORCE_OPEN = Quick(
    text(f"""
        INSERT INTO open_load (rep_id, used, last_assigned_at) VALUES (:rep_id, 1, :at)
        ON CONFLICT (rep_id) DO UPDATE SET used = open_load.used + 1, last_assigned_at = {_NEWEST}
    """).bindparams(bindparam("at", type_=Instant))  # noqa: S608 - as above
)

_FORCE_DAY = Quick(
    text("""
        INSERT INTO daily_load (local_day, rep_id, used) VALUES (:local_day, :rep_id, 1)
        ON CONFLICT (local_day, rep_id) DO UPDATE SET used = daily_load.used + 1
    """)
)

_ADD_OPEN = Quick(
    text("""
        INSERT INTO open_load (rep_id, used) VALUES (:rep_id, 1)
        ON CONFLICT (rep_id) DO UPDATE SET used = open_load.used + 1
    """)
)

_OVER_LIMIT = Quick(
    text("""
        SELECT reps.capacity IS NOT NULL AND open_load.used + reps.open_count > reps.capacity
        FROM reps JOIN open_load ON open_load.rep_id = reps.rep_id WHERE reps.rep_id = :rep_id
    """)
)

_NOTE = Quick(insert(capacity_ledger).inline())
_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Move:
    """One slot to take (+1) or to give back (-1), and why."""

    rep_id: str
    decision_id: str
    delta: int
    kind: str


def take(
    tx: Connection,
    rep_id: str,
    *,
    decision_id: str,
    local_day: str,
    at: datetime,
    kind: str,
    force: bool = False,
    limits: tuple[int | None, int | None] = (None, None),
) -> bool:
    """Whether the decision got one open lead and one of the day's; `force` takes them over the limits.

    limits : of open leads and of the day's, besides those of the roster; None: no further limit.
    """
    most_open, most_today = (_NO_LIMIT if limit is None else limit for limit in limits)
    given = {"rep_id": rep_id, "local_day": local_day, "at": at, "most_open": most_open, "most_today": most_today}
    taken = _TAKE_OPEN.run(tx, given) == 1
    if taken and _TAKE_DAY.run(tx, given) != 1:  # the day filled up between the two
        _GIVE_OPEN_BACK.run(tx, given)
        taken = False
    if not taken and not force:
        return False
    if not taken:
        _FORCE_OPEN.run(tx, given)
        _FORCE_DAY.run(tx, given)
    note = {"decision_id": decision_id, "kind": kind, "open_delta": 1, "day_delta": 1, "over_limit": not taken}
    _NOTE.run(tx, {"rep_id": rep_id, "local_day": local_day, "at": at, **note})
    return True


def settle(tx: Connection, moves: Iterable[Move], *, at: datetime) -> None:
    """Carry out `moves` in the reps' order, so that two transactions never wait for each other.

    What is taken here is taken whatever the limits say: the CRM has already given or reopened the lead.
    A day's limit counts what was given by us on that day: it neither rises nor falls here.
    """
    for move in sorted(moves, key=lambda each: (each.rep_id, each.decision_id, each.delta)):
        given = {"rep_id": move.rep_id}
        (_ADD_OPEN if move.delta > 0 else _GIVE_OPEN_BACK).run(tx, given)
        found = _OVER_LIMIT.row(tx, given) if move.delta > 0 else None
        over = found is not None and bool(found[0])
        note = {"decision_id": move.decision_id, "kind": move.kind, "open_delta": move.delta, "day_delta": 0}
        _NOTE.run(tx, {**given, **note, "local_day": None, "over_limit": over, "at": at})
