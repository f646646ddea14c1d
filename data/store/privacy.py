"""What is known of the person behind a lead: shown, erased, and forgotten in time.

An erasure takes the personal data, the stored answers, the lead's own columns and every free text; decisions, events
and their numbers stay, so that capacity, policy values and the audit chain hold. The lead is left out of training.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, exists, func, or_, select, text, update
from sqlalchemy.engine import Connection

from data.errors import InputError
from data.store import acts, counters, heads, outbox, overrides, personal, projection
from data.store.audit import HEAD
from data.store.keys import check_client
from data.store.leads import LeadKey
from data.store.tables import (
    answers,
    audit,
    audit_salts,
    decision_facts,
    decisions,
    erasures,
    outcome_events,
    personal_data,
)
from data.store.tables import overrides as override_rows

_NOTE_ERASURE = text("""
    INSERT INTO erasures (client_id, lead_id, actor, at) VALUES (:client_id, :lead_id, :actor, :at)
    ON CONFLICT (client_id, lead_id) DO NOTHING
""")
_OF_DECISION = ("decision_id", "decided_at", "rep_id", "lead_snapshot")
_OF_EVENT = ("event_id", "event", "occurred_at", "received_at", "value", "reason", "rep_id", "into_lead_id")
_AHEAD = timedelta(days=1)  # a clock this far before the newest row is not believed


def known(conn: Connection, client_id: str, lead_id: str) -> dict[str, Any]:
    """Everything in the ledger about one lead. Raises InputError for a lead that is not in it."""
    of_lead = (decisions.c.client_id == client_id) & (decisions.c.lead_id == lead_id)
    made = conn.execute(
        select(decisions.c.decision_id, decisions.c.decided_at, decisions.c.rep_id, decisions.c.lead_snapshot)
        .where(of_lead)
        .order_by(decisions.c.seq)
    ).all()
    events = conn.execute(
        select(outcome_events)
        .where(outcome_events.c.client_id == client_id, outcome_events.c.lead_id == lead_id)
        .order_by(outcome_events.c.seq)
    ).all()
    person = personal.read(conn, client_id, lead_id)
    if not (made or events or person):
        raise InputError(f"There is no lead {lead_id!r} of the client {client_id!r} in the ledger.")
    erased = conn.execute(
        select(erasures.c.at).where(erasures.c.client_id == client_id, erasures.c.lead_id == lead_id)
    ).scalar_one_or_none()
    return {
        "client_id": client_id,
        "lead_id": lead_id,
        "person": person,
        "decisions": [{name: getattr(row, name) for name in _OF_DECISION} for row in made],
        "events": [{name: getattr(row, name) for name in _OF_EVENT} for row in events],
        "overrides": [asdict(one) for row in made for one in overrides.of_decision(conn, row.decision_id)],
        "erased_at": erased,
    }


def erase(tx: Connection, client_id: str, lead_id: str, *, actor: str, at: datetime) -> dict[str, int]:
    """How much was erased, by kind; a second time it is nothing. Then call `Ledger.leave_no_trace`.

    Raises InputError for a client that there is not.
    """
    check_client(tx, client_id)
    projection.lock_lead(tx, client_id, lead_id)
    heads.hold(tx, HEAD)  # no row of the chain is made of what is being erased
    given = {"client_id": client_id, "lead_id": lead_id, "actor": actor, "at": at}
    tx.execute(_NOTE_ERASURE.bindparams(outbox.AT), given)
    of_lead = select(decisions.c.decision_id).where(
        decisions.c.client_id == client_id, decisions.c.lead_id == lead_id
    )
    erased = {"person": int(personal.erase(tx, client_id, lead_id))}
    erased["answers"] = tx.execute(delete(answers).where(answers.c.decision_id.in_(of_lead))).rowcount
    tx.execute(delete(audit_salts).where(audit_salts.c.number.in_(_links_of(client_id, lead_id))))
    erased["snapshots"] = tx.execute(
        update(decisions)
        .where(decisions.c.client_id == client_id, decisions.c.lead_id == lead_id, decisions.c.lead_snapshot != {})
        .values(lead_snapshot={})
    ).rowcount
    texts = tx.execute(
        update(outcome_events)
        .where(
            outcome_events.c.client_id == client_id,
            outcome_events.c.lead_id == lead_id,
            outcome_events.c.reason.is_not(None),
        )
        .values(reason=None)
    ).rowcount
    texts += tx.execute(
        update(override_rows)
        .where(override_rows.c.decision_id.in_(of_lead), override_rows.c.reason != "")
        .values(reason="")
    ).rowcount
    erased["texts"] = texts
    _forget_in_projections(tx, client_id, lead_id, at)
    acts.note(tx, actor=actor, action="lead.erased", on=f"{client_id}/{lead_id}", at=at, detail=erased)
    return erased


def _links_of(client_id: str, lead_id: str) -> Any:
    """The rows of the audit chain that seal what is erased."""
    of_decision = (decisions.c.client_id == client_id) & (decisions.c.lead_id == lead_id)
    rows = {
        "decisions": select(decisions.c.seq).where(of_decision),
        "outcome_events": select(outcome_events.c.seq).where(
            outcome_events.c.client_id == client_id, outcome_events.c.lead_id == lead_id
        ),
        "overrides": select(override_rows.c.seq)
        .join(decisions, decisions.c.decision_id == override_rows.c.decision_id)
        .where(of_decision),
    }
    sealing = [and_(audit.c.of_table == name, audit.c.of_row.in_(numbers)) for name, numbers in rows.items()]
    return select(audit.c.number).where(or_(*sealing))


def _forget_in_projections(tx: Connection, client_id: str, lead_id: str, at: datetime) -> None:
    _, moves = projection.refold(tx, client_id, lead_id)
    counters.settle(tx, moves, at=at)
    of_lead = select(decisions.c.seq).where(decisions.c.client_id == client_id, decisions.c.lead_id == lead_id)
    tx.execute(update(decision_facts).where(decision_facts.c.seq.in_(of_lead)).values(lost_reason=None))


def erased_leads(conn: Connection) -> set[LeadKey]:
    """The leads that were erased: never to be learned from again."""
    return {(row.client_id, row.lead_id) for row in conn.execute(select(erasures.c.client_id, erasures.c.lead_id))}


@dataclass(frozen=True)
class Expired:
    """What a retention would forget, or forgot."""

    persons: int
    answers: int
    messages: int


def expired(conn: Connection, *, now: datetime, days: int, answer_days: int) -> Expired:
    """How much is older than it may be; nothing is changed."""
    person_until, answer_until = _limits(conn, now, days, answer_days)
    old = select(func.count()).select_from(answers).join(decisions).where(decisions.c.decided_at < answer_until)
    messages = select(func.count()).select_from(outbox.rows).where(outbox.arrived_before(answer_until))
    return Expired(
        persons=conn.execute(select(func.count()).select_from(_persons(person_until).subquery())).scalar_one(),
        answers=conn.execute(old).scalar_one(),
        messages=conn.execute(messages).scalar_one(),
    )


def forget_some(tx: Connection, *, now: datetime, days: int, answer_days: int, limit: int) -> Expired:
    """Forget up to `limit` of each kind that is older than it may be; nothing left to forget: all zeros.

    Age is counted from the lead's latest decision or event, and never by a clock that runs far ahead of the ledger.
    """
    person_until, answer_until = _limits(tx, now, days, answer_days)
    persons = tx.execute(_persons(person_until).limit(limit)).all()
    old = select(answers.c.decision_id).join(decisions).where(decisions.c.decided_at < answer_until).limit(limit)
    gone = list(tx.execute(old).scalars())
    sent = select(outbox.rows.c.seq).where(outbox.arrived_before(answer_until)).limit(limit)
    messages = list(tx.execute(sent).scalars())
    for client_id, lead_id in persons:
        personal.erase(tx, client_id, lead_id)
    if gone:
        tx.execute(delete(answers).where(answers.c.decision_id.in_(gone)))
    if messages:
        tx.execute(delete(outbox.rows).where(outbox.rows.c.seq.in_(messages)))
    return Expired(len(persons), len(gone), len(messages))


def _limits(conn: Connection, now: datetime, days: int, answer_days: int) -> tuple[datetime, datetime]:
    newest = max(
        (at for at in (conn.execute(select(func.max(column))).scalar() for column in _WHEN) if at is not None),
        default=now,
    )
    believed = min(now, newest + _AHEAD)
    return believed - timedelta(days=days), believed - timedelta(days=answer_days)


_WHEN = (decisions.c.decided_at, outcome_events.c.received_at)


def _persons(until: datetime) -> Any:
    """Leads with personal data and nothing that happened since `until`."""
    key = (personal_data.c.client_id, personal_data.c.lead_id)
    decided = exists().where(
        decisions.c.client_id == key[0], decisions.c.lead_id == key[1], decisions.c.decided_at >= until
    )
    happened = exists().where(
        outcome_events.c.client_id == key[0],
        outcome_events.c.lead_id == key[1],
        outcome_events.c.received_at >= until,
    )
    return select(*key).where(~decided, ~happened).order_by(*key)


