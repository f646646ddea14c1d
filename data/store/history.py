"""The ledger as a data set: leads, reps and assignments, one row a spell."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import select, tuple_
from sqlalchemy.engine import Connection

from data.names import ASSIGNMENT_COLUMNS
from data.store import decisions, privacy, roster
from data.store.decision_row import Decision
from data.store.engines import allow_long_reads
from data.store.fold import SpellState, fold
from data.store.leads import LeadKey, rows_of
from data.store.tables import lead_states, personal_data

_BY_ARM = {
    "model": "model",
    "explore": "model",
    "holdout": "rotation",
    "fallback": "rotation",
    "rule": "rule",
    "sticky": "rule",
    "pool": "claim",
}
_DRAWN = ("model", "explore", "holdout", "fallback")  # the others were settled before any draw
_INSTANTS = {"leads": ["created_at"], "assignments": ["assigned_at", "closed_at", "first_contact_at"]}
_INSTANTS["reps"] = ["hired_at", "left_at", "absent_from", "absent_until"]
_PAGE = 1000


def export_tables(
    conn: Connection, since: datetime | None = None, *, personal: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(leads, reps, assignments) with the columns of a data set folder.

    since : decisions from then on. personal : with the columns of personal data.
    One assignment row a spell that somebody had. `assigned_by`: model and explore -> "model", holdout and a drawn
    fallback -> "rotation", rule, sticky and a fallback without choice -> "rule", pool -> "claim"; for whoever works
    the lead after an override, "manual". `propensity` is the logged mixture's, where the rep who works the lead
    was drawn. A lead that was merged into another goes by the other's id. Leads that were erased are left out.
    """
    allow_long_reads(conn)
    survivors = _survivors(conn)
    names = _names(conn, survivors)
    leads: dict[str, dict[str, Any]] = {}
    assignments: list[dict[str, Any]] = []
    erased = privacy.erased_leads(conn)
    for decision in _spells(conn, since):
        own = (decision.row.client_id, decision.row.lead_id)
        if own in erased:
            continue
        survivor = survivors.get(own, own)
        state: SpellState | None = decision.state
        if survivor != own:
            state = _state_after_merge(conn, own, survivor, decision)
        name = names[survivor]
        if survivor == own or name not in leads:
            leads[name] = {"lead_id": name, **_attributes(decision)}
        if state is not None and state.rep_id is not None:
            assignments.append({"lead_id": name, **_assignment(decision, state)})
    if personal:
        _add_personal(conn, leads, names)
    return (
        _frame("leads", list(leads.values()), ("lead_id", "created_at")),
        _frame("reps", _reps(conn, {row["rep_id"] for row in assignments}), ("rep_id",)),
        _frame("assignments", assignments, ASSIGNMENT_COLUMNS),
    )


def _spells(conn: Connection, since: datetime | None) -> Iterator[Decision]:
    """Decisions that opened a spell, oldest first, a page at a time."""
    last = 0
    while True:
        page = decisions.spells_after(conn, last, since=since, limit=_PAGE)
        yield from (decision for _, decision in page)
        if len(page) < _PAGE:
            return
        last = page[-1][0]


def _survivors(conn: Connection) -> dict[LeadKey, LeadKey]:
    """Of each merged lead, the one that remains."""
    merged = conn.execute(
        select(lead_states.c.client_id, lead_states.c.lead_id, lead_states.c.merged_into).where(
            lead_states.c.merged_into.is_not(None)
        )
    )
    into: dict[LeadKey, LeadKey] = {(client, lead): (client, other) for client, lead, other in merged}
    found: dict[LeadKey, LeadKey] = {}
    for lead in into:
        seen, end = {lead}, into[lead]
        while end in into and end not in seen:  # merged on and on; in a circle nobody remains but the last
            seen.add(end)
            end = into[end]
        found[lead] = end
    return found


def _names(conn: Connection, survivors: Mapping[LeadKey, LeadKey]) -> dict[LeadKey, str]:
    """Each lead's id in the data set: its own, with the client's before it where two clients use the same."""
    known = {(row.client_id, row.lead_id) for row in conn.execute(select(lead_states))} | set(survivors.values())
    seen: dict[str, int] = {}
    for _, lead in known:
        seen[lead] = seen.get(lead, 0) + 1
    return {(client, lead): lead if seen[lead] == 1 else f"{client}/{lead}" for client, lead in known}


def _state_after_merge(
    conn: Connection, own: LeadKey, survivor: LeadKey, decision: Decision
) -> SpellState | None:
    """The merged lead's spell, with what became of the survivor; None where the survivor has spells of its own."""
    rows, later = rows_of(conn, *own), rows_of(conn, *survivor)
    if later.spells:
        return None
    happened = [each for each in (*rows.happenings, *later.happenings) if each.kind != "merged"]
    states = fold(rows.spells, happened).spells
    return next(state for state in states if state.decision_id == decision.row.decision_id)


def _attributes(decision: Decision) -> dict[str, Any]:
    snapshot = {name: _cell(value) for name, value in decision.row.lead_snapshot.items() if name != "lead_id"}
    return {"created_at": decision.row.decided_at, **snapshot}


def _cell(value: Any) -> Any:
    return ";".join(str(each) for each in value) if isinstance(value, list | tuple) else value


def _assignment(decision: Decision, state: SpellState) -> dict[str, Any]:
    row = decision.row
    outcome, closed_at = state.status, state.closed_at
    if outcome not in ("won", "lost"):
        outcome, closed_at = ("qualified", state.qualified_at) if state.qualified_at else ("open", None)
    as_drawn = row.mode != "shadow" and state.rep_id == row.rep_id
    propensity = _propensity(decision) if as_drawn else None
    return {
        "rep_id": state.rep_id,
        "assigned_at": state.given_at or row.decided_at,
        "outcome": outcome,
        "closed_at": closed_at,
        "first_contact_at": state.contacted_at,
        "value": state.value,
        "lost_reason": state.lost_reason,
        "assigned_by": _assigned_by(decision, propensity) if as_drawn else _by_others(decision),
        "policy": None if row.policy_version is None else str(row.policy_version),
        "propensity": propensity,
    }


def _propensity(decision: Decision) -> float | None:
    row = decision.row
    if row.arm not in _DRAWN or row.propensity is None or row.rep_drawn != row.rep_id or row.rep_id is None:
        return None
    return float(row.propensity[row.candidates.index(row.rep_id)]) or None


def _assigned_by(decision: Decision, propensity: float | None) -> str:
    if decision.row.arm == "fallback" and propensity in (None, 1.0):
        return "rule"
    return _BY_ARM.get(decision.row.arm, "unknown")


def _by_others(decision: Decision) -> str:
    """Why the rep whom the CRM or a person named: in shadow mode, nobody told us."""
    return "unknown" if decision.row.mode == "shadow" else "manual"


def _reps(conn: Connection, used: set[str]) -> list[dict[str, Any]]:
    """Every rep who is or was in the roster, and those whom only the CRM knows."""
    known = []
    for rep in roster.everybody(conn):
        record = asdict(rep)
        attributes = record.pop("attributes")
        known.append({name: _cell(value) for name, value in {**attributes, **record}.items()})
    strangers = used - {rep["rep_id"] for rep in known}
    return known + [{"rep_id": rep_id, "active": False} for rep_id in sorted(strangers)]


def _add_personal(conn: Connection, leads: Mapping[str, dict[str, Any]], names: Mapping[LeadKey, str]) -> None:
    keys = sorted(names)
    for start in range(0, len(keys), _PAGE):
        page = keys[start : start + _PAGE]
        own = tuple_(personal_data.c.client_id, personal_data.c.lead_id)
        for row in conn.execute(select(personal_data).where(own.in_(page))):
            lead = leads.get(names[row.client_id, row.lead_id])
            if lead is not None:
                lead |= {name: _cell(value) for name, value in row.body.items()}


def _frame(table: str, rows: list[dict[str, Any]], first: tuple[str, ...]) -> pd.DataFrame:
    columns = dict.fromkeys([*first, *(name for row in rows for name in row)])
    frame = pd.DataFrame(rows, columns=list(columns))
    for name in _INSTANTS[table]:
        if name in frame:
            read = pd.to_datetime(frame[name], utc=True, format="ISO8601", errors="coerce")
            frame[name] = read.astype("datetime64[us, UTC]")
    return frame.astype({name: float for name in ("value", "propensity") if table == "assignments"})
