"""The roster as the ledger knows it: the reps now, every version before, and who changed what when."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, insert, select, text, true, update
from sqlalchemy.engine import Connection

from data.crash_points import crash_at
from data.errors import InputError
from data.roster import Rep
from data.store import heads
from data.store.columns import dump_json
from data.store.tables import reps as rep_table
from data.store.tables import roster_history, roster_versions

HEAD = "roster"
_INSTANTS = ("hired_at", "left_at", "absent_from", "absent_until")
_LISTS = ("regions", "skills", "languages")
_CHANGEABLE = {field.name for field in fields(Rep)} - {"rep_id"}
_ENSURE_LOAD = text("INSERT INTO open_load (rep_id, used) VALUES (:rep_id, 0) ON CONFLICT (rep_id) DO NOTHING")

Record = dict[str, Any]  # a rep as JSON, with her place in the roster


@dataclass(frozen=True)
class Roster:
    """The reps in their order, and the version of the roster that this is."""

    version: int
    reps: tuple[Rep, ...]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Each rep's id, in their order."""
        return tuple(rep.rep_id for rep in self.reps)

    @cached_property
    def id_ranks(self) -> NDArray[np.int64]:
        """Each rep's place in the order of the ids."""
        ranks = np.empty(len(self.reps), dtype=np.int64)
        ranks[sorted(range(len(self.reps)), key=lambda place: self.reps[place].rep_id)] = np.arange(len(self.reps))
        return ranks


@dataclass(frozen=True)
class RosterChange:
    """One rep's record before and after one version; None: not in the roster."""

    version: int
    rep_id: str
    before: Rep | None
    after: Rep | None
    actor: str
    at: datetime


def version(conn: Connection) -> int:
    """The roster's version, in one cheap look; 0 before the first roster."""
    return heads.number(conn, HEAD)


def put_reps(tx: Connection, reps: Sequence[Rep], *, actor: str, at: datetime) -> int:
    """The roster's version after `reps` replaced the whole roster; the same roster again changes nothing.

    Reps who are no longer named leave the roster; their leads and history stay.
    Raises InputError for a rep_id named twice, an unknown time zone or a negative limit.
    """
    ids = [rep.rep_id for rep in reps]
    if twice := {rep_id for rep_id in ids if ids.count(rep_id) > 1} if len(set(ids)) < len(ids) else set():
        raise InputError(f"reps: {sorted(twice)[0]} is named twice.")
    heads.hold(tx, HEAD)
    before = {row.rep_id: row.record for row in tx.execute(select(rep_table).where(rep_table.c.listed))}
    after = {rep.rep_id: _record(rep, place) for place, rep in enumerate(reps)}
    return _write(tx, before, after, actor=actor, at=at)


def patch_rep(tx: Connection, rep_id: str, changes: Mapping[str, Any], *, actor: str, at: datetime) -> int:
    """The roster's version after `changes` to one rep: fields of Rep, or `attributes` (merged; None removes).

    Raises InputError for an unknown rep or a field that Rep has not.
    """
    heads.hold(tx, HEAD)
    before = tx.execute(
        select(rep_table.c.record).where(rep_table.c.rep_id == rep_id, rep_table.c.listed)
    ).scalar_one_or_none()
    if before is None:
        raise InputError(f"There is no rep {rep_id} in the roster.")
    if unknown := changes.keys() - _CHANGEABLE:
        raise InputError(f"A rep has no field {sorted(unknown)[0]}; give other columns under attributes.")
    rep = _rep(before)
    changed: dict[str, Any] = {name: tuple(value) if name in _LISTS else value for name, value in changes.items()}
    if "attributes" in changed:
        merged = {**rep.attributes, **changed["attributes"]}
        changed["attributes"] = {name: value for name, value in merged.items() if value is not None}
    after = _record(replace(rep, **changed), before["place"])
    return _write(tx, {rep_id: before}, {rep_id: after}, actor=actor, at=at)


def _write(
    tx: Connection, before: Mapping[str, Record], after: Mapping[str, Record], *, actor: str, at: datetime
) -> int:
    """Keep what differs, as one new version."""
    touched = [rep_id for rep_id in {**before, **after} if before.get(rep_id) != after.get(rep_id)]
    if not touched:
        return version(tx)
    number = heads.advance(tx, HEAD)
    tx.execute(insert(roster_versions), {"version": number, "actor": actor, "at": at})
    tx.execute(
        insert(roster_history),
        [
            {"version": number, "rep_id": rep_id, "before": before.get(rep_id), "after": after.get(rep_id)}
            for rep_id in touched
        ],
    )
    crash_at("in_roster")
    known = set(tx.execute(select(rep_table.c.rep_id)).scalars())
    for rep_id in touched:
        columns = _columns(after[rep_id]) if rep_id in after else {"listed": False}
        if rep_id in known:
            tx.execute(update(rep_table).where(rep_table.c.rep_id == rep_id), columns)
        else:
            tx.execute(insert(rep_table), {"rep_id": rep_id, **columns})
            tx.execute(_ENSURE_LOAD, {"rep_id": rep_id})
    return number


def read_roster(conn: Connection, at_version: int | None = None) -> Roster:
    """The roster now, or as it was at a version."""
    if at_version is None:
        now = select(rep_table.c.record).where(rep_table.c.listed)
        return Roster(version(conn), _in_order(list(conn.execute(now).scalars())))
    newest = (
        select(roster_history.c.rep_id, func.max(roster_history.c.version).label("version"))
        .where(roster_history.c.version <= at_version)
        .group_by(roster_history.c.rep_id)
        .subquery()
    )
    then = select(roster_history.c.after).join(
        newest,
        (newest.c.rep_id == roster_history.c.rep_id) & (newest.c.version == roster_history.c.version),
    )
    return Roster(at_version, _in_order([each for each in conn.execute(then).scalars() if each is not None]))


def everybody(conn: Connection) -> list[Rep]:
    """All reps who ever were in the roster, as last known; those who left it are not active."""
    rows = conn.execute(select(rep_table).order_by(rep_table.c.rep_id)).all()
    return [_rep(row.record) if row.listed else replace(_rep(row.record), active=False) for row in rows]


def changes(conn: Connection, *, rep_id: str | None = None) -> list[RosterChange]:
    """Who changed what when, oldest first."""
    of_rep = true() if rep_id is None else roster_history.c.rep_id == rep_id
    rows = conn.execute(
        select(roster_history, roster_versions.c.actor, roster_versions.c.at)
        .join(roster_versions, roster_versions.c.version == roster_history.c.version)
        .where(of_rep)
        .order_by(roster_history.c.version, roster_history.c.rep_id)
    )
    return [
        RosterChange(
            row.version,
            row.rep_id,
            None if row.before is None else _rep(row.before),
            None if row.after is None else _rep(row.after),
            row.actor,
            row.at,
        )
        for row in rows
    ]


def _in_order(records: list[Record]) -> tuple[Rep, ...]:
    return tuple(_rep(record) for record in sorted(records, key=lambda each: (each["place"], each["rep_id"])))


def _record(rep: Rep, place: int) -> Record:
    try:
        ZoneInfo(rep.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise InputError(f"reps: {rep.rep_id} has the unknown time zone {rep.time_zone!r}.") from None
    for name in ("capacity", "daily_limit", "open_count"):
        if (getattr(rep, name) or 0) < 0:
            raise InputError(f"reps: {rep.rep_id} has a negative {name}.")
    # Through JSON and back, so that it equals what will be read.
    return json.loads(dump_json({**asdict(rep), "attributes": dict(rep.attributes), "place": place}))


def _rep(record: Record) -> Rep:
    values = {name: value for name, value in record.items() if name != "place"}
    instants = {name: datetime.fromisoformat(values[name]) for name in _INSTANTS if values[name] is not None}
    return Rep(**{**values, **instants, **{name: tuple(values[name]) for name in _LISTS}})


def _columns(record: Record) -> dict[str, Any]:
    named = ("place", "active", "capacity", "daily_limit", "open_count")
    return {"listed": True, "record": record, **{name: record[name] for name in named}}
