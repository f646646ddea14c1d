"""Which leads are one customer: keys of contact data beside each lead, and whose customer it is by now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, delete, func, select, text, true
from sqlalchemy.engine import Connection

from data.store.quick import Quick
from data.store.tables import customer_keys, decision_states, lead_states

_WRITE = Quick(
    text("""
        INSERT INTO customer_keys (client_id, customer_key, lead_id, kind)
        VALUES (:client_id, :customer_key, :lead_id, :kind) ON CONFLICT DO NOTHING
    """)
)
_LEADS = (
    select(
        customer_keys.c.customer_key,
        customer_keys.c.kind,
        customer_keys.c.lead_id,
        decision_states.c.decision_id,
        decision_states.c.rep_id,
        decision_states.c.status,
        decision_states.c.given_at,
    )
    .join(
        lead_states,
        (lead_states.c.client_id == customer_keys.c.client_id) & (lead_states.c.lead_id == customer_keys.c.lead_id),
    )
    .join(decision_states, decision_states.c.decision_id == lead_states.c.decision_id)
)


@dataclass(frozen=True)
class Lead:
    """A lead of a known customer, and who has it."""

    key: str  # by which it is the customer's
    kind: str  # phone, email, company or customer_id
    lead_id: str
    decision_id: str
    rep_id: str | None
    status: str
    given_at: datetime | None


def write(tx: Connection, client_id: str, lead_id: str, keys: Mapping[str, str]) -> None:
    """Keep the keys (key -> kind) of a lead's customer."""
    given = {"client_id": client_id, "lead_id": lead_id}
    if keys:
        _WRITE.run_many(tx, [{**given, "customer_key": key, "kind": kind} for key, kind in keys.items()])


def same(conn: Connection, client_id: str, lead_id: str, keys: Sequence[str], *, since: datetime) -> list[Lead]:
    """Other leads of the same customer that somebody has, given since then; the newest first."""
    if not keys:
        return []
    given = {"client_id": client_id, "lead_id": lead_id, "since": since} | _numbered(keys)
    found = [Lead(*row) for row in _under_any_of(len(keys)).rows(conn, given)]
    return sorted(found, key=lambda each: (each.given_at, each.lead_id), reverse=True)


@lru_cache(maxsize=32)
def _under_any_of(many: int) -> Quick:
    """The other leads under so many keys; a lead seldom has more than three."""
    return Quick(
        _LEADS.where(
            customer_keys.c.client_id == bindparam("client_id"),
            customer_keys.c.customer_key.in_([bindparam(name) for name in _numbered(range(many))]),
            customer_keys.c.lead_id != bindparam("lead_id"),
            decision_states.c.rep_id.is_not(None),
            decision_states.c.given_at >= bindparam("since"),
        )
    )


def _numbered(keys: Sequence[Any]) -> dict[str, Any]:
    return {f"key_{place}": key for place, key in enumerate(keys)}


def shared(
    conn: Connection, *, client_id: str | None = None, conflicts_only: bool = True, limit: int = 100
) -> list[list[Lead]]:
    """Customers with several leads: the leads of each, newest first.

    conflicts_only : only customers whose open leads are with different reps.
    """
    own = true() if client_id is None else customer_keys.c.client_id == client_id
    open_with = func.count(func.distinct(decision_states.c.rep_id)).filter(decision_states.c.status == "open")
    several = (
        select(customer_keys.c.client_id, customer_keys.c.customer_key)
        .join(
            lead_states,
            (lead_states.c.client_id == customer_keys.c.client_id)
            & (lead_states.c.lead_id == customer_keys.c.lead_id),
        )
        .join(decision_states, decision_states.c.decision_id == lead_states.c.decision_id)
        .where(own)
        .group_by(customer_keys.c.client_id, customer_keys.c.customer_key)
        .having(open_with > 1 if conflicts_only else func.count() > 1)
        .order_by(func.max(decision_states.c.given_at).desc())
        .limit(limit)
    )
    customers = []
    for client, key in conn.execute(several).all():
        leads = conn.execute(
            _LEADS.where(customer_keys.c.client_id == client, customer_keys.c.customer_key == key).order_by(
                decision_states.c.given_at.desc(), customer_keys.c.lead_id
            )
        )
        customers.append([Lead(*row) for row in leads])
    return customers


def forget(tx: Connection, client_id: str, lead_id: str) -> None:
    """Erase the keys of a lead's customer, so that nobody can find the person by them."""
    tx.execute(
        delete(customer_keys).where(customer_keys.c.client_id == client_id, customer_keys.c.lead_id == lead_id)
    )
