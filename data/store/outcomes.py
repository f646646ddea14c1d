"""Outcome events: at least once, in any order, before the decision too; the state is a fold over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.engine import Connection

from data.crash_points import crash_at
from data.store import counters, echoes, projection
from data.store.columns import Instant
from data.store.counters import Move
from data.store.tables import lead_states, outcome_events

EVENTS = ("contacted", "qualified", "won", "lost", "reopened", "feedback", "owner_changed", "merged")

_INSERT = text("""
    INSERT INTO outcome_events (client_id, event_id, lead_id, event, occurred_at, received_at, value, reason,
                                rep_id, into_lead_id)
    VALUES (:client_id, :event_id, :lead_id, :event, :occurred_at, :received_at, :value, :reason,
            :rep_id, :into_lead_id)
    ON CONFLICT (client_id, event_id) DO NOTHING
""").bindparams(bindparam("occurred_at", type_=Instant), bindparam("received_at", type_=Instant))
_CONTENT = ("lead_id", "event", "occurred_at", "value", "reason", "rep_id", "into_lead_id")
_KNOWN = select(*(outcome_events.c[name] for name in _CONTENT)).where(
    outcome_events.c.client_id == bindparam("client_id"), outcome_events.c.event_id == bindparam("event_id")
)


@dataclass(frozen=True, kw_only=True)
class OutcomeEvent:
    """Something that happened to a lead, as the CRM tells it."""

    event_id: str
    lead_id: str
    event: str  # one of EVENTS
    occurred_at: datetime
    value: float | None = None
    reason: str | None = None
    rep_id: str | None = None  # owner_changed: the new owner; None: nobody, a queue
    into: str | None = None  # merged: the surviving lead

    def __post_init__(self) -> None:
        if self.event not in EVENTS:
            raise ValueError(f"an event is one of {', '.join(EVENTS)}, not {self.event!r}")
        if self.event == "merged" and self.into in (None, self.lead_id):
            raise ValueError("merged needs the other lead that survives, as `into`")


def receive(tx: Connection, client_id: str, events: Sequence[OutcomeEvent], *, at: datetime) -> list[str]:
    """What became of each event, in their order; states and capacity follow in the same transaction.

    "accepted"; "duplicate" (this event_id came before with this content); "conflict" (it came before with
    another content: ignored); "unmatched" (kept; applied once the lead is decided); "own_change" (a new owner that
    a write-back of ours set: not kept, for nobody chose it).
    """
    said = [""] * len(events)
    # Everybody inserts, and then locks leads, in one order: two batches never wait for each other.
    for number in sorted(range(len(events)), key=lambda each: events[each].event_id):
        said[number] = _insert(tx, client_id, events[number], at)
    crash_at("in_outcomes")
    touched = sorted({event.lead_id for event, status in zip(events, said, strict=True) if status == "accepted"})
    for lead_id in touched:
        projection.lock_lead(tx, client_id, lead_id)
    moves: list[Move] = []
    unmatched: set[str] = set()
    for lead_id in touched:
        state, of_lead = projection.refold(tx, client_id, lead_id)
        moves += of_lead
        if not state.spells:
            unmatched.add(lead_id)
    counters.settle(tx, moves, at=at)
    return [
        "unmatched" if status == "accepted" and event.lead_id in unmatched else status
        for event, status in zip(events, said, strict=True)
    ]


def never_matched(conn: Connection, *, received_before: datetime) -> int:
    """Events told before then of leads that nobody has asked to have decided: the CRM may use other ids there."""
    lead = (lead_states.c.client_id == outcome_events.c.client_id) & (lead_states.c.lead_id == outcome_events.c.lead_id)
    of_unknown = (
        select(func.count())
        .select_from(outcome_events)
        .join(lead_states, lead)
        .where(lead_states.c.spells == 0, outcome_events.c.received_at < received_before)
    )
    return conn.execute(of_unknown).scalar_one()


def _insert(tx: Connection, client_id: str, event: OutcomeEvent, at: datetime) -> str:
    if event.event == "owner_changed" and echoes.is_own_change(
        tx, client_id, event.lead_id, event.rep_id, occurred_at=event.occurred_at, now=at
    ):
        return "own_change"
    content: dict[str, Any] = {**vars(event), "into_lead_id": event.into}
    del content["into"]
    if tx.execute(_INSERT, {**content, "client_id": client_id, "received_at": at}).rowcount == 1:
        return "accepted"
    known = tx.execute(_KNOWN, {"client_id": client_id, "event_id": event.event_id}).one()
    return "duplicate" if all(known._mapping[name] == content[name] for name in _CONTENT) else "conflict"
