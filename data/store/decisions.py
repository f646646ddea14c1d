"""The decisions: immutable rows, found again by key, by lead, or page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection

from data.store.fold import SpellState


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionRow:
    """One decision as it is kept for ever. Vectors have one value a candidate, in the candidates' order."""

    decision_id: str
    client_id: str
    idempotency_key: str | None = None  # the explicit key; None: the lead is the key
    request_digest: str
    lead_id: str
    customer_id: str | None = None
    spell_id: str  # normally the decision's own id; a duplicate carries the spell that it repeats
    duplicate_of: str | None = None  # decision repeated under another key: takes no capacity, opens no spell
    mode: str = "live"  # live | trial | shadow; a shadow decision takes no capacity
    decided_at: datetime
    lead_snapshot: Mapping[str, Any]  # attributes without personal data
    personal: Mapping[str, Any] = field(default_factory=dict)  # kept apart, erasable by lead
    roster_version: int
    policy_version: int | None = None
    model_version: str | None = None
    model_digest: str | None = None
    candidates: tuple[str, ...] = ()  # the eligible reps
    excluded: Mapping[str, Sequence[str]] = field(default_factory=dict)  # reason -> rep ids
    available: np.ndarray | None = None  # bool
    probability: np.ndarray | None = None
    propensity_policy: np.ndarray | None = None
    propensity_control: np.ndarray | None = None
    propensity: np.ndarray | None = None  # the mixture; None where nothing was drawn
    prices: np.ndarray | None = None
    state: Mapping[str, np.ndarray] = field(default_factory=dict)  # what else the policy saw, by name
    arm: str
    holdout_share: float | None = None
    seed: int | None = None  # in [0, 2**63)
    draw_number: int = 0  # 0: the first draw stood; n: n slots were lost to others first
    rep_drawn: str | None = None
    rep_id: str | None = None  # who got the lead
    window: str | None = None  # the rep's local day, as reserved
    probability_chosen: float | None = None
    baseline: float | None = None
    uplift: float | None = None
    uplift_low: float | None = None
    uplift_high: float | None = None
    lead_score: int | None = None
    grade: str | None = None
    degraded: str | None = None
    unassigned_reason: str | None = None


@dataclass(frozen=True)
class Stored:
    """A decision already made, as far as a replay needs it."""

    decision_id: str
    client_id: str
    lead_id: str
    spell_id: str
    rep_id: str | None
    idempotency_key: str | None
    request_digest: str
    duplicate_of: str | None
    answer: bytes | None  # None once its retention is over: build it again from the row


@dataclass(frozen=True)
class Decision:
    """A row of the ledger and its present state (None for a duplicate, whose state is the original's)."""

    row: DecisionRow
    state: SpellState | None


def claim(tx: Connection, client_id: str, lead_id: str, key: str | None) -> Stored | None:
    """The decision that already answers this request; if None, the lead is locked until the transaction ends.

    First statement of every deciding transaction: it makes two requests for one lead take turns.
    With `key`, the decision under that key; else, or if there is none, the lead's standing decision.
    Compare `request_digest` only where the key itself was found (see `find_by_key`).
    """
    raise NotImplementedError


def find_by_key(conn: Connection, client_id: str, key: str) -> Stored | None:
    """The decision made under an explicit key; another `request_digest` than now means 422."""
    raise NotImplementedError


def open_decision(conn: Connection, client_id: str, lead_id: str) -> Stored | None:
    """The lead's standing decision; None if there is none, or it gave nobody, or the lead was recycled.

    Won and lost leads keep theirs: a CRM that sends them again must not have them given out again.
    """
    raise NotImplementedError


def record(tx: Connection, decision: DecisionRow, answer: bytes) -> None:
    """Write a decision, its answer and the lead's state; the capacity must be reserved already.

    Raises ConflictError if the key was used or the lead got a standing decision meanwhile (roll back, then
    read it); ValueError where a rep is given without `capacity.reserve`, or a vector has the wrong length.
    """
    raise NotImplementedError


def get(conn: Connection, decision_id: str) -> Decision | None:
    """One decision with its present state."""
    raise NotImplementedError


def search(
    conn: Connection,
    *,
    client_id: str | None = None,
    lead_id: str | None = None,
    rep_id: str | None = None,
    since: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[Decision], str | None]:
    """A page of decisions, newest first, and the cursor of the next page (None: no more).

    rep_id : who works the lead now. Raises InputError for a cursor that is not one of ours.
    """
    raise NotImplementedError


def customer_owner(conn: Connection, client_id: str, customer_id: str) -> str | None:
    """The rep who works this customer's newest assigned lead, for sticky assignment."""
    raise NotImplementedError


def drop_answers(tx: Connection, *, decided_before: datetime) -> int:
    """Forget stored answers of older decisions and return how many; the decisions stay."""
    raise NotImplementedError
