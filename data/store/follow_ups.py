"""Follow-up as the ledger keeps it: which leads are due, and every step that was taken, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.engine import Connection

from data.store import capacity, outbox, projection
from data.store.columns import Instant
from data.store.tables import decision_states as states
from data.store.tables import decisions, endings, follow_ups, lead_states, outcome_events

LOOKED_AT = 20_000  # newest events in which a client's reports of first contacts are looked for
MOST = 5_000  # leads of one look; the others are looked at in the next
ENDS = {"recycled": "recycled", "handed_over": "handed_over", "unclaimed": "unclaimed", "slot_timed_out": "timed_out"}
_TOLD = {"overdue": "overdue", "escalated": "escalated", "recycled": "recycled", "handed_over": "recycled"}

_TAKE = text("""
    INSERT INTO follow_ups (decision_id, version, step, rep_id, actor, at)
    VALUES (:decision_id, :version, :step, :rep_id, :actor, :at)
    ON CONFLICT (decision_id, version, step) DO NOTHING
""").bindparams(bindparam("at", type_=Instant))
_OPEN = select(
    states.c.decision_id, decisions.c.client_id, decisions.c.lead_id, states.c.rep_id, states.c.version,
    states.c.given_at.label("since"), decisions.c.grade,
).join(decisions, decisions.c.decision_id == states.c.decision_id)  # fmt: skip


@dataclass(frozen=True)
class Waiting:
    """A lead that waits, and for how long. A later owner has deadlines of her own: each step is once a version."""

    decision_id: str
    client_id: str
    lead_id: str
    rep_id: str | None
    version: int
    since: datetime  # when it came to the rep, or into the pool
    grade: str | None
    taken: frozenset[str] = frozenset()  # steps that were taken already


@dataclass(frozen=True)
class Left:
    """A lead that nobody has: taken back, never claimed, or never given."""

    client_id: str
    lead_id: str
    decision_id: str  # the last about it
    status: str  # recycled | unassigned
    ended_by: str | None  # what ended the last decision
    recycles: int  # times that it was taken back for want of a contact


def clients_that_report(conn: Connection) -> frozenset[str]:
    """Clients among whose newest events there are first contacts."""
    newest = (
        select(outcome_events.c.client_id, outcome_events.c.event)
        .order_by(outcome_events.c.seq.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    told = select(newest.c.client_id).where(newest.c.event == "contacted").distinct()
    return frozenset(conn.execute(told).scalars())


def uncontacted(conn: Connection, *, given_before: datetime, limit: int = MOST) -> list[Waiting]:
    """Open leads that came to their rep before then and that nobody contacted, those given first first."""
    rows = conn.execute(
        _OPEN.where(
            states.c.status == "open",
            states.c.contacted_at.is_(None),
            states.c.rep_id.is_not(None),
            states.c.given_at <= given_before,
            decisions.c.mode != "shadow",
        )
        .order_by(states.c.given_at)
        .limit(limit)
    ).all()
    taken = _taken(conn, [row.decision_id for row in rows])
    return [Waiting(*row, taken=taken.get((row.decision_id, row.version), frozenset())) for row in rows]


def holding_slots(conn: Connection, *, given_before: datetime, limit: int = MOST) -> list[Waiting]:
    """Open leads that came to their rep before then and still take a slot."""
    due = _OPEN.where(states.c.holds_slot, states.c.status == "open", states.c.given_at <= given_before)
    return [Waiting(*row) for row in conn.execute(due.order_by(states.c.given_at).limit(limit))]


def of_rep(conn: Connection, rep_id: str, *, limit: int = MOST) -> list[Waiting]:
    """The rep's open leads, those given first first."""
    theirs = _OPEN.where(states.c.rep_id == rep_id, states.c.status == "open")
    return [Waiting(*row) for row in conn.execute(theirs.order_by(states.c.given_at).limit(limit))]


def pooled(conn: Connection, *, before: datetime, limit: int = MOST) -> list[Waiting]:
    """Leads that came into the pool before then and that nobody claimed, the oldest first."""
    waiting = select(
        states.c.decision_id, decisions.c.client_id, decisions.c.lead_id, states.c.rep_id, states.c.version,
        states.c.decided_at, decisions.c.grade,
    ).join(decisions, decisions.c.decision_id == states.c.decision_id)  # fmt: skip
    due = waiting.where(states.c.status == "pooled", states.c.decided_at <= before).order_by(states.c.decided_at)
    return [Waiting(*row) for row in conn.execute(due.limit(limit))]


def left(conn: Connection, *, decided_after: datetime, limit: int = MOST) -> list[Left]:
    """Leads that nobody has, those that wait longest first: taken back, or never given since then."""
    ended = select(endings.c.kind).where(endings.c.decision_id == states.c.decision_id)
    last_ending = ended.order_by(endings.c.seq.desc()).limit(1).scalar_subquery()
    of_lead = decisions.alias("of_lead")
    recycles = (
        select(func.count())
        .select_from(endings)
        .join(of_lead, of_lead.c.decision_id == endings.c.decision_id)
        .where(
            of_lead.c.client_id == lead_states.c.client_id,
            of_lead.c.lead_id == lead_states.c.lead_id,
            endings.c.kind == "recycled",
        )
        .scalar_subquery()
    )
    rows = conn.execute(
        select(
            lead_states.c.client_id, lead_states.c.lead_id, states.c.decision_id, states.c.status, last_ending, recycles
        )
        .join(states, states.c.decision_id == lead_states.c.last_decision_id)
        .where(
            lead_states.c.decision_id.is_(None),
            lead_states.c.last_decision_id.is_not(None),
            lead_states.c.merged_into.is_(None),
            (states.c.status == "recycled")
            | ((states.c.status == "unassigned") & (states.c.decided_at >= decided_after)),
        )
        .order_by(states.c.decided_at)
        .limit(limit)
    )  # fmt: skip
    return [Left(*row) for row in rows]


def take(
    tx: Connection, waiting: Waiting, step: str, *, actor: str, at: datetime, told: Mapping[str, Any] | None = None
) -> bool:
    """Whether the step was taken here and now; False where the lead moved on, or somebody was quicker.

    A step that ends the decision or gives its slot back does so in the same transaction; what is told of it to
    others is written there too.
    """
    projection.lock_lead(tx, waiting.client_id, waiting.lead_id)
    now = tx.execute(select(states).where(states.c.decision_id == waiting.decision_id)).one()
    waits = now.status in ("open", "pooled") and now.rep_id == waiting.rep_id and now.version == waiting.version
    contact_matters = step in ("overdue", "escalated", "recycled")
    if not waits or (contact_matters and now.contacted_at is not None):
        return False
    row = {"decision_id": waiting.decision_id, "version": waiting.version, "step": step, "rep_id": waiting.rep_id}
    if tx.execute(_TAKE, {**row, "actor": actor, "at": at}).rowcount != 1:
        return False
    if step in ENDS:
        capacity.release(tx, waiting.decision_id, kind=ENDS[step], at=at, actor=actor)
    if step in _TOLD:
        outbox.announce(
            tx,
            _TOLD[step],
            at=at,
            client_id=waiting.client_id,
            lead_id=waiting.lead_id,
            data={**row, "since": waiting.since.isoformat(), "grade": waiting.grade, **(told or {})},
        )
    return True


def _taken(conn: Connection, decision_ids: Sequence[str]) -> dict[tuple[str, int], frozenset[str]]:
    found: dict[tuple[str, int], set[str]] = {}
    for start in range(0, len(decision_ids), 500):
        page = decision_ids[start : start + 500]
        rows = select(follow_ups.c.decision_id, follow_ups.c.version, follow_ups.c.step)
        for decision_id, version, step in conn.execute(rows.where(follow_ups.c.decision_id.in_(page))):
            found.setdefault((decision_id, version), set()).add(step)
    return {key: frozenset(steps) for key, steps in found.items()}
