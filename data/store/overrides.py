"""A person's choice of rep, kept as a row beside the decision that it changes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from data.crash_points import crash_at
from data.errors import ConflictError
from data.roster import Rep
from data.store import counters, outbox, projection
from data.store.capacity import local_day
from data.store.counters import Move
from data.store.fold import CLOSED, SpellState
from data.store.leads import LeadRows, rows_of
from data.store.tables import overrides


@dataclass(frozen=True)
class Override:
    """Who gave the decision's lead to whom, and why."""

    decision_id: str
    rep_id: str
    previous_rep_id: str | None
    reason: str
    actor: str
    version: int  # the version that this override made
    forced: bool
    at: datetime


def record(
    tx: Connection,
    decision_id: str,
    rep: Rep,
    *,
    reason: str,
    actor: str,
    expected_version: int,
    at: datetime,
    force: bool = False,
) -> SpellState:
    """The decision's state after its lead went to `rep`; the old rep's slot is released, a new one taken.

    Raises ConflictError where the version is another by now, the lead is closed, has been decided anew, is
    the rep's already, or `rep` has no free slot and `force` is not given; ValueError for an unknown decision
    or a duplicate's id.
    """
    client_id, lead_id = projection.lead_of(tx, decision_id)
    projection.lock_lead(tx, client_id, lead_id)
    rows = rows_of(tx, client_id, lead_id)
    before = _checked(rows, decision_id, rep.rep_id, expected_version)
    moment = projection.after_all(rows.happenings, at)
    row = Override(decision_id, rep.rep_id, before.rep_id, reason, actor, expected_version + 1, force, moment)
    tx.execute(insert(overrides), vars(row))
    crash_at("in_override")
    state, moves = projection.refold(tx, client_id, lead_id)
    for move in sorted(moves, key=lambda each: each.rep_id):
        if move.delta < 0:
            counters.settle(tx, [move], at=at)
        elif not _taken(tx, move, rep, at=at, force=force):
            raise ConflictError(f"{rep.rep_id} has no free slot; an override over the limit must be forced.")
    outbox.announce(
        tx,
        "overridden",
        at=moment,
        client_id=client_id,
        lead_id=lead_id,
        data={name: getattr(row, name) for name in ("decision_id", "version", "rep_id", "previous_rep_id", "actor")},
    )
    return state.spells[-1]


def _checked(rows: LeadRows, decision_id: str, rep_id: str, expected_version: int) -> SpellState:
    now = rows.state().spells[-1]
    if now.decision_id != decision_id:
        raise ConflictError(f"The lead has been decided anew: see decision {now.decision_id}.")
    if now.version != expected_version:
        raise ConflictError(f"The decision has version {now.version} by now, not {expected_version}: read it again.")
    if now.status in (*CLOSED, "merged"):
        raise ConflictError(f"The lead is {now.status}: it must be reopened before it goes to somebody else.")
    if now.rep_id == rep_id and now.status == "open":
        raise ConflictError(f"{rep_id} has the lead already.")
    return now


def _taken(tx: Connection, move: Move, rep: Rep, *, at: datetime, force: bool) -> bool:
    return counters.take(
        tx,
        rep.rep_id,
        decision_id=move.decision_id,
        local_day=local_day(rep, at),
        at=at,
        kind=move.kind,
        force=force,
    )


def of_decision(conn: Connection, decision_id: str) -> list[Override]:
    """The decision's overrides, oldest first."""
    columns = [overrides.c[name] for name in Override.__dataclass_fields__]
    rows = conn.execute(select(*columns).where(overrides.c.decision_id == decision_id).order_by(overrides.c.seq))
    return [Override(**row._mapping) for row in rows]
