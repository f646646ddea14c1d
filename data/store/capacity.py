"""Capacity: counters that cannot be overrun, and the entries from which they can be recomputed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, insert, select
from sqlalchemy.engine import Connection

from data.roster import Rep
from data.store import counters, projection
from data.store.fold import WAITS, SpellState
from data.store.leads import rows_of
from data.store.tables import daily_load, endings, open_load, reps

ENDINGS = ("recycled", "timed_out", "handed_over", "claimed", "unclaimed")

_OPEN = select(reps.c.rep_id, reps.c.open_count, open_load.c.used, open_load.c.last_assigned_at).outerjoin(
    open_load, open_load.c.rep_id == reps.c.rep_id
)
_TODAY = select(daily_load).where(daily_load.c.local_day.in_(bindparam("days", expanding=True)))


@dataclass(frozen=True)
class Load:
    """A rep's load: open leads (ours and `open_count` of the roster) and leads given on her local day."""

    open: int
    today: int
    last_assigned_at: datetime | None = None


def local_day(rep: Rep, at: datetime) -> str:
    """The rep's local date at `at`, as YYYY-MM-DD: the window of her daily limit."""
    return at.astimezone(ZoneInfo(rep.time_zone)).date().isoformat()


def loads(conn: Connection, windows: Mapping[str, str]) -> dict[str, Load]:
    """The load of every rep named in `windows` (rep_id -> local day)."""
    given = conn.execute(_TODAY, {"days": sorted(set(windows.values()))})
    today = {(rep, day): used for day, rep, used in given}
    found = {
        rep: Load(outside + (used or 0), today.get((rep, windows[rep]), 0), last)
        for rep, outside, used, last in conn.execute(_OPEN)
        if rep in windows
    }
    return {rep: found.get(rep) or Load(0, 0) for rep in windows}


def reserve(
    tx: Connection,
    rep: Rep,
    *,
    decision_id: str,
    window: str,
    at: datetime,
    force: bool = False,
    limits: tuple[int | None, int | None] = (None, None),
) -> bool:
    """Whether the decision got a slot of `rep`: one open lead and one of the day `window`.

    The limits are those of the ledger's roster at this moment (the caller's `rep` may be stale); a rep who
    left the roster or is inactive has none. force : take it whatever the limits say (noted in the entry).
    limits : what the rule book allows besides, open leads and leads a day (None: no further limit).
    """
    return counters.take(
        tx, rep.rep_id, decision_id=decision_id, local_day=window, at=at, kind="assigned", force=force, limits=limits
    )


def release(tx: Connection, decision_id: str, *, kind: str, at: datetime, actor: str = "sweep") -> bool:
    """Whether the decision was ended, or its slot given back, now; a second time does nothing.

    kind : "timed_out" (the rep keeps the lead, not the slot), or what ends the spell, so that the lead is decided
        anew: "recycled", "handed_over", and of a lead in the pool "claimed" or "unclaimed".
    Won, lost and reassigned come through `outcomes.receive` and `overrides.record`, which release too.
    """
    if kind not in ENDINGS:
        raise ValueError(f"a slot is released as one of {ENDINGS}, not {kind!r}")
    client_id, lead_id = projection.lead_of(tx, decision_id)
    projection.lock_lead(tx, client_id, lead_id)
    rows = rows_of(tx, client_id, lead_id)
    before = _of(rows.state().spells, decision_id)
    if before.status not in ("open", *WAITS.values()) or (kind == "timed_out" and not before.holds_slot):
        return False
    moment = projection.after_all(rows.happenings, at)
    tx.execute(insert(endings), {"decision_id": decision_id, "kind": kind, "actor": actor, "at": moment})
    state, moves = projection.refold(tx, client_id, lead_id)
    counters.settle(tx, moves, at=at)
    return before != _of(state.spells, decision_id)


def _of(states: tuple[SpellState, ...], decision_id: str) -> SpellState:
    return next(state for state in states if state.decision_id == decision_id)
