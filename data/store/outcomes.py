"""Outcome events: at least once, in any order, before the decision too; the state is a fold over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

EVENTS = ("contacted", "qualified", "won", "lost", "reopened", "feedback", "owner_changed", "merged")


@dataclass(frozen=True, kw_only=True)
class OutcomeEvent:
    """Something that happened to a lead, as the CRM tells it."""

    event_id: str
    lead_id: str
    event: str  # one of EVENTS
    occurred_at: datetime
    value: float | None = None
    reason: str | None = None
    rep_id: str | None = None  # owner_changed: the new owner
    into: str | None = None  # merged: the surviving lead


def receive(tx: Connection, client_id: str, events: Sequence[OutcomeEvent], *, at: datetime) -> list[str]:
    """What became of each event, in their order; states and capacity follow in the same transaction.

    "accepted"; "duplicate" (this event_id came before with this content); "conflict" (it came before with
    another content: ignored); "unmatched" (kept; applied once the lead is decided).
    """
    raise NotImplementedError
