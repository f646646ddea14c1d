"""The tables that follow from the rows: kept in step here, and nowhere else."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.engine import Connection

from data.store.counters import Move
from data.store.fold import Happening, LeadState, SpellState
from data.store.leads import rows_of
from data.store.quick import Quick
from data.store.tables import decision_states, decisions, lead_states

_ENSURE_LEAD = text("""
    INSERT INTO lead_states (client_id, lead_id, spells, has_events) VALUES (:client_id, :lead_id, 0, :has_events)
    ON CONFLICT (client_id, lead_id) DO NOTHING
""")
_LOCK_LEAD = text("SELECT 1 FROM lead_states WHERE client_id = :client_id AND lead_id = :lead_id FOR UPDATE")

_STATES_OF_LEAD = (
    select(decision_states)
    .join(decisions, decisions.c.decision_id == decision_states.c.decision_id)
    .where(decisions.c.client_id == bindparam("client_id"), decisions.c.lead_id == bindparam("lead_id"))
)
_INSERT_STATE = Quick(insert(decision_states).inline())
_UPDATE_STATE = update(decision_states).where(decision_states.c.decision_id == bindparam("id"))
_UPDATE_LEAD = update(lead_states).where(
    lead_states.c.client_id == bindparam("client"), lead_states.c.lead_id == bindparam("lead")
)
_LEAD_OF = select(decisions.c.client_id, decisions.c.lead_id, decisions.c.duplicate_of).where(
    decisions.c.decision_id == bindparam("decision_id")
)


def lock_lead(tx: Connection, client_id: str, lead_id: str) -> None:
    """Make others who change this lead wait until the transaction ends.

    Always before any capacity counter: everybody takes their locks in the same order.
    """
    if tx.dialect.name == "sqlite":  # one writer at a time as it is
        return
    given = {"client_id": client_id, "lead_id": lead_id, "has_events": False}
    tx.execute(_ENSURE_LEAD, given)
    tx.execute(_LOCK_LEAD, given)


def lead_of(conn: Connection, decision_id: str) -> tuple[str, str]:
    """(client_id, lead_id) of a decision. Raises ValueError for one that is unknown or a duplicate."""
    found = conn.execute(_LEAD_OF, {"decision_id": decision_id}).one_or_none()
    if found is None:
        raise ValueError(f"there is no decision {decision_id}")
    if found.duplicate_of is not None:
        raise ValueError(f"decision {decision_id} repeats {found.duplicate_of}: name that one")
    return found.client_id, found.lead_id


def insert_state(tx: Connection, state: SpellState) -> None:
    """The first state of a new decision."""
    _INSERT_STATE.run(tx, vars(state))


def refold(tx: Connection, client_id: str, lead_id: str) -> tuple[LeadState, list[Move]]:
    """The lead's state, made anew from its rows and written, and the slots that now have to change hands.

    The caller settles the moves, all leads of a transaction together.
    """
    rows = rows_of(tx, client_id, lead_id)
    state = rows.state()
    before = {
        row.decision_id: SpellState(**row._mapping)
        for row in tx.execute(_STATES_OF_LEAD, {"client_id": client_id, "lead_id": lead_id})
    }
    moves: list[Move] = []
    for spell in state.spells:
        old = before.get(spell.decision_id)
        if old is None:
            insert_state(tx, spell)
        elif old != spell:
            changed = dict(vars(spell))
            tx.execute(_UPDATE_STATE, {"id": changed.pop("decision_id"), **changed})
        moves += _moves(old, spell)
    has_events = any(each.decision_id is None for each in rows.happenings)
    tx.execute(_ENSURE_LEAD, {"client_id": client_id, "lead_id": lead_id, "has_events": has_events})
    written = {
        "decision_id": state.standing,
        "last_decision_id": state.spells[-1].decision_id if state.spells else None,
        "spells": len(state.spells),
        "has_events": has_events,
        "merged_into": state.merged_into,
    }
    tx.execute(_UPDATE_LEAD, {"client": client_id, "lead": lead_id, **written})
    return state, moves


def _moves(old: SpellState | None, new: SpellState) -> list[Move]:
    had = old.rep_id if old is not None and old.holds_slot else None
    has = new.rep_id if new.holds_slot else None
    if had == has:
        return []
    changed_hands = had is not None and has is not None
    back = "reassigned" if changed_hands or new.status == "unassigned" else new.status
    if new.status == "open" and not changed_hands:
        back = "timed_out"
    taken = "reassigned" if old is None or old.rep_id != new.rep_id else "reopened"
    given_back = [Move(had, new.decision_id, -1, back)] if had is not None else []
    return given_back + ([Move(has, new.decision_id, +1, taken)] if has is not None else [])


def after_all(happenings: Sequence[Happening], at: datetime) -> datetime:
    """`at`, or just after the lead's latest row where a clock is behind: what was decided knowing it comes after."""
    return max([at, *(each.at + timedelta(microseconds=1) for each in happenings)])
