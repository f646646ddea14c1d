"""The decisions: immutable rows, found again by key, by lead, or page by page."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Select, bindparam, exists, func, insert, select, text, true
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from data.crash_points import crash_at
from data.errors import ConflictError, InputError
from data.store import counters, customers, outbox, personal, projection
from data.store.columns import to_microseconds
from data.store.decision_row import Decision, DecisionRow, Stored, from_columns, to_columns
from data.store.engines import allow_long_reads
from data.store.fold import Spell, SpellState, begun, waits
from data.store.packing import unpack
from data.store.quick import Quick
from data.store.tables import answers, capacity_ledger, decision_states, decisions, lead_states

__all__ = ["Decision", "DecisionRow", "SpellState", "Stored"]  # what the callers of this module hold

_STORED = (
    select(
        decisions.c.decision_id,
        decisions.c.client_id,
        decisions.c.lead_id,
        decisions.c.spell_id,
        decisions.c.rep_id,
        decisions.c.idempotency_key,
        decisions.c.request_digest,
        decisions.c.duplicate_of,
        answers.c.body.label("answer"),
    )
    .select_from(decisions)
    .outerjoin(answers, answers.c.decision_id == decisions.c.decision_id)
)
_BY_KEY = Quick(
    _STORED.where(decisions.c.client_id == bindparam("client_id"), decisions.c.idempotency_key == bindparam("key"))
)
_STANDING = Quick(
    select(*_STORED.selected_columns)
    .select_from(lead_states)
    .outerjoin(decisions, decisions.c.decision_id == lead_states.c.decision_id)
    .outerjoin(answers, answers.c.decision_id == lead_states.c.decision_id)
    .where(lead_states.c.client_id == bindparam("client_id"), lead_states.c.lead_id == bindparam("lead_id"))
)
_RESERVED = Quick(
    select(exists().where(capacity_ledger.c.decision_id == bindparam("decision_id")).label("reserved"))
)
_INSERT = Quick(insert(decisions).inline())
_INSERT_ANSWER = Quick(insert(answers).inline())
# The row of the lead is the claim to it: only a lead without a standing decision takes another.
_CLAIM_LEAD = Quick(
    text("""
        INSERT INTO lead_states (client_id, lead_id, decision_id, last_decision_id, spells, has_events)
        VALUES (:client_id, :lead_id, :standing, :decision_id, 1, :has_events)
        ON CONFLICT (client_id, lead_id) DO UPDATE
        SET decision_id = excluded.decision_id, last_decision_id = excluded.last_decision_id,
            spells = lead_states.spells + 1
        WHERE lead_states.decision_id IS NULL
        RETURNING spells, has_events,
            EXISTS (SELECT 1 FROM capacity_ledger WHERE capacity_ledger.decision_id = :decision_id) AS reserved
    """)
)
_ROWS = (
    select(decisions, *(column.label(f"state_{column.name}") for column in decision_states.c))
    .select_from(decisions)
    .outerjoin(
        decision_states,
        decision_states.c.decision_id == func.coalesce(decisions.c.duplicate_of, decisions.c.decision_id),
    )
)
_SCORED = (
    select(decisions.c.candidates, decisions.c.vectors, decisions.c.basis, decisions.c.duplicate_of)
    .order_by(decisions.c.seq.desc())
    .limit(bindparam("many"))
)
_BY_HOUR = text(
    "SELECT decided_at / :hour AS hour, COUNT(*) AS leads FROM decisions WHERE decided_at >= :since GROUP BY 1"
)
_UNIQUE_VIOLATION = "23505"  # PostgreSQL's
_ANNOUNCED = {  # field of the message -> field of the row
    "rep_id": "rep_id",
    "arm": "arm",
    "probability": "probability_chosen",
    "baseline_probability": "baseline",
    "uplift": "uplift",
    "lead_score": "lead_score",
    "grade": "grade",
    "model_version": "model_version",
    "policy_version": "policy_version",
}


def claim(tx: Connection, client_id: str, lead_id: str) -> None:
    """Lock the lead until the transaction ends.

    First statement of every deciding transaction: it makes two requests for one lead take turns. Whether the other
    one has decided meanwhile, `record` tells: nearly always it has not, and then looking first is for nothing.
    """
    crash_at("before_claim")
    projection.lock_lead(tx, client_id, lead_id)


def find_by_key(conn: Connection, client_id: str, key: str) -> Stored | None:
    """The decision made under an explicit key; another `request_digest` than now means 422."""
    row = _BY_KEY.row(conn, {"client_id": client_id, "key": key})
    return None if row is None else Stored(*row)


def open_decision(conn: Connection, client_id: str, lead_id: str) -> Stored | None:
    """The lead's standing decision; None if there is none, or it gave nobody, or the lead was recycled.

    Won and lost leads keep theirs: a CRM that sends them again must not have them given out again.
    """
    return known(conn, client_id, lead_id).standing


class Known(NamedTuple):
    """A lead as the ledger knows it before it is decided."""

    standing: Stored | None  # as `open_decision` has it
    seen: bool  # whether there is any row about it


def known(conn: Connection, client_id: str, lead_id: str) -> Known:
    """What there is about a lead, in one look."""
    row = _STANDING.row(conn, {"client_id": client_id, "lead_id": lead_id})
    if row is None:
        return Known(None, seen=False)
    return Known(None if row[0] is None else Stored(*row), seen=True)


def record(tx: Connection, decision: DecisionRow, answer: bytes) -> None:
    """Write a decision, its answer and the lead's state; the capacity must be reserved already.

    Raises ConflictError if the key was used or the lead got a standing decision meanwhile (roll back, then
    read it); ValueError where a rep is given without `capacity.reserve`, or a vector has the wrong length.
    """
    columns = to_columns(decision)
    crash_at("after_reserve")
    try:
        _INSERT.run(tx, columns)
    except IntegrityError as error:
        if not _is_unique_violation(error):
            raise
        raise ConflictError("This key has been decided meanwhile: read its decision.") from None
    _INSERT_ANSWER.run(tx, {"decision_id": decision.decision_id, "body": answer})
    if decision.personal:
        personal.write(tx, decision.client_id, decision.lead_id, decision.personal)
    customers.write(tx, decision.client_id, decision.lead_id, decision.customer_keys)
    if decision.duplicate_of is None:
        _open_spell(tx, decision)
    else:
        (reserved,) = _RESERVED.rows(tx, {"decision_id": decision.decision_id})[0]
        _check_reservation(decision, reserved=bool(reserved))
    if _takes_a_slot(decision):
        outbox.announce(
            tx,
            "assigned",
            at=decision.decided_at,
            client_id=decision.client_id,
            lead_id=decision.lead_id,
            data={"decision_id": decision.decision_id, "version": 1}
            | {name: getattr(decision, column) for name, column in _ANNOUNCED.items()},
        )


def _check_reservation(decision: DecisionRow, *, reserved: bool) -> None:
    takes = _takes_a_slot(decision)
    if takes != reserved:
        raise ValueError(
            f"decision {decision.decision_id} {'takes' if takes else 'does not take'} a slot, "
            f"but capacity.reserve {'gave' if reserved else 'did not give'} it one"
        )


def _takes_a_slot(decision: DecisionRow) -> bool:
    return decision.rep_id is not None and decision.mode != "shadow" and decision.duplicate_of is None


def _is_unique_violation(error: IntegrityError) -> bool:
    return getattr(error.orig, "sqlstate", None) == _UNIQUE_VIOLATION or "UNIQUE" in str(error.orig)


def _open_spell(tx: Connection, decision: DecisionRow) -> None:
    spell = Spell(
        decision.decision_id,
        decision.rep_id,
        decision.decided_at,
        shadow=decision.mode == "shadow",
        waits=waits(decision.arm, decision.rep_id),
    )
    state = begun(spell)
    given = {"client_id": decision.client_id, "lead_id": decision.lead_id, "decision_id": decision.decision_id}
    claimed = _CLAIM_LEAD.row(tx, {**given, "standing": state.standing, "has_events": False})
    if claimed is None:
        raise ConflictError("This lead has been decided meanwhile: read its decision.")
    spells, has_events, reserved = claimed
    _check_reservation(decision, reserved=bool(reserved))
    projection.insert_state(tx, state.spells[0])
    if spells > 1 or has_events:  # then there is more to fold than this decision
        _, moves = projection.refold(tx, decision.client_id, decision.lead_id)
        counters.settle(tx, moves, at=decision.decided_at)


def get(conn: Connection, decision_id: str) -> Decision | None:
    """One decision with its present state."""
    row = conn.execute(_ROWS.where(decisions.c.decision_id == decision_id)).one_or_none()
    return None if row is None else _decision(row._asdict())


def get_many(conn: Connection, decision_ids: list[str]) -> list[Decision]:
    """These decisions with their present states, in this order."""
    rows = conn.execute(_ROWS.where(decisions.c.decision_id.in_(decision_ids)))
    found = {row.decision_id: _decision(row._asdict()) for row in rows}
    return [found[decision_id] for decision_id in decision_ids]


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

    rep_id : who works the lead now (duplicates are left out then).
    Raises InputError for a cursor that is not one of ours.
    """
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InputError("cursor: give the next_cursor of the page before, unchanged.")
    wanted = (
        true() if client_id is None else decisions.c.client_id == client_id,
        true() if lead_id is None else decisions.c.lead_id == lead_id,
        true() if rep_id is None else decisions.c.decision_id.in_(_of_rep(rep_id)),
        true() if since is None else decisions.c.decided_at >= since,
        true() if cursor is None else decisions.c.seq < int(cursor),
    )
    page = _ROWS.where(*wanted).order_by(decisions.c.seq.desc()).limit(limit + 1)
    rows = [row._asdict() for row in conn.execute(page)]
    more = str(rows[limit - 1]["seq"]) if len(rows) > limit else None
    return [_decision(row) for row in rows[:limit]], more


class Scored(NamedTuple):
    """What a decision's lead was worth under whom."""

    candidates: tuple[str, ...]
    probability: np.ndarray  # in the candidates' order
    expected_value: float | None


def newest_scored(conn: Connection, *, among: int) -> list[Scored]:
    """Those of the newest decisions that a model scored, newest first, repeats left out."""
    found = []
    for candidates, vectors, basis, duplicate_of in conn.execute(_SCORED, {"many": among}):
        probability = unpack(vectors, ("probability",)).get("probability")
        if duplicate_of is None and candidates and probability is not None and np.isfinite(probability).all():
            found.append(Scored(tuple(candidates), probability, (basis or {}).get("expected_value")))
    return found


def spells_after(
    conn: Connection, number: int, *, since: datetime | None = None, limit: int
) -> list[tuple[int, Decision]]:
    """A page of the decisions that opened a spell, oldest first, each with its number to go on from."""
    page = (
        _ROWS.where(
            decisions.c.seq > number,
            decisions.c.duplicate_of.is_(None),
            true() if since is None else decisions.c.decided_at >= since,
        )
        .order_by(decisions.c.seq)
        .limit(limit)
    )
    return [(row["seq"], _decision(row)) for row in (each._asdict() for each in conn.execute(page))]


def by_hour(conn: Connection, since: datetime) -> dict[int, int]:
    """Decisions in each hour since a moment; hours are numbered since 1970."""
    rows = conn.execute(_BY_HOUR, {"since": to_microseconds(since), "hour": 3_600_000_000})
    return {row.hour: row.leads for row in rows}


def newest_spells(
    conn: Connection, *, since: datetime | None = None, until: datetime | None = None, limit: int
) -> list[tuple[int, Decision]]:
    """The newest decisions in [since, until) that opened a spell, oldest of them first, each with its number."""
    allow_long_reads(conn)
    wanted = _ROWS.where(
        decisions.c.duplicate_of.is_(None),
        true() if since is None else decisions.c.decided_at >= since,
        true() if until is None else decisions.c.decided_at < until,
    )
    newest = conn.execute(wanted.order_by(decisions.c.seq.desc()).limit(limit))
    return [(row["seq"], _decision(row)) for row in (each._asdict() for each in newest)][::-1]


def _of_rep(rep_id: str) -> Select:
    return select(decision_states.c.decision_id).where(decision_states.c.rep_id == rep_id)


def _decision(row: Mapping[str, Any]) -> Decision:
    return Decision(from_columns(row), SpellState(**{c.name: row[f"state_{c.name}"] for c in decision_states.c}))


def answers_of(conn: Connection, decision_ids: list[str]) -> dict[str, bytes]:
    """The stored answers of these decisions, as far as they are still kept."""
    asked = select(answers.c.decision_id, answers.c.body).where(answers.c.decision_id.in_(decision_ids))
    return {row.decision_id: bytes(row.body) for row in conn.execute(asked)}
