"""A decision as it is kept for ever, and its columns in the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import numpy as np

from data.store.fold import SpellState
from data.store.packing import pack, unpack

VECTORS = ("available", "probability", "propensity_policy", "propensity_control", "propensity", "prices")
_STATE = "state."  # prefix of what else the policy saw, in the packed vectors
LONGEST_SOURCE = 200
_RENAMED = {"window": "local_day"}  # WINDOW is a word of SQL


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
    rep_id: str | None = None  # who got the lead (in shadow mode: who would have)
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
    basis: Mapping[str, Any] | None = None  # what the rule book made of the lead: route, methods, exploration
    customer_keys: Mapping[str, str] = field(default_factory=dict)  # kept apart; key -> kind


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
    """A row of the ledger and its present state (a duplicate's is that of the decision that it repeats)."""

    row: DecisionRow
    state: SpellState


_APART = {*VECTORS, "candidates", "state", "personal", "customer_keys"}
_PLAIN = tuple(each.name for each in fields(DecisionRow) if each.name not in _APART)


def to_columns(row: DecisionRow) -> dict[str, Any]:
    """The row as the table's columns. Raises ValueError for a vector that does not fit the candidates."""
    vectors = {name: getattr(row, name) for name in VECTORS if getattr(row, name) is not None}
    vectors |= {_STATE + name: values for name, values in row.state.items()}
    for name, values in vectors.items():
        if len(values) != len(row.candidates):
            raise ValueError(f"{name} has {len(values)} values for {len(row.candidates)} candidates")
    if both := row.personal.keys() & row.lead_snapshot.keys():
        raise ValueError(f"personal data belong apart from the snapshot: {sorted(both)}")
    if row.seed is not None and not 0 <= row.seed < 2**63:
        raise ValueError("a seed lies in [0, 2**63)")
    columns = {_RENAMED.get(name, name): getattr(row, name) for name in _PLAIN}
    source = row.lead_snapshot.get("source")
    listed = {"source": None if source is None else str(source)[:LONGEST_SOURCE]}
    return {**columns, **listed, "candidates": row.candidates, "vectors": pack(vectors)}


def from_columns(columns: Mapping[str, Any]) -> DecisionRow:
    """The row that `to_columns` wrote, except that personal data and customer keys are not read."""
    values: dict[str, Any] = {name: columns[_RENAMED.get(name, name)] for name in _PLAIN}
    vectors = unpack(columns["vectors"])
    values |= {name: vectors[name] for name in VECTORS if name in vectors}
    values["candidates"] = tuple(columns["candidates"])
    values["state"] = {name.removeprefix(_STATE): v for name, v in vectors.items() if name.startswith(_STATE)}
    return DecisionRow(**values)
