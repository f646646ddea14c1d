"""The ledger held against itself: what its rows say, and what its projections say instead."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Column, case, func, literal, select, text, union_all
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError

from data.store import audit_check, facts_check
from data.store.decision_row import VECTORS, from_columns
from data.store.engines import allow_long_reads
from data.store.findings import Finding
from data.store.fold import SpellState
from data.store.leads import LeadKey, every_lead
from data.store.tables import (
    answers,
    audit,
    capacity_ledger,
    daily_load,
    decision_states,
    decisions,
    heads,
    lead_states,
    open_load,
    policy_versions,
    promotions,
    reps,
    roster_history,
    roster_versions,
)

_PAGE = 500
_ROUNDED = 0.005  # an answer may round what its row keeps exactly
_SAID = {  # answer's field -> column
    "decision_id": "decision_id",
    "lead_id": "lead_id",
    "rep_id": "rep_id",
    "arm": "arm",
    "grade": "grade",
    "lead_score": "lead_score",
    "probability": "probability_chosen",
    "baseline_probability": "baseline",
}


def everything(conn: Connection) -> list[Finding]:
    """Whatever is not as the rows say; empty for a sound ledger."""
    allow_long_reads(conn)
    if damaged := list(integrity(conn)):
        return damaged  # what a damaged file says of its rows is worth nothing
    checks = (
        references, capacity, lead_and_decision_states, rows_and_answers, numbered_lists, audit_check.chain,
        facts_check.follows,
    )  # fmt: skip
    return [finding for check in checks for finding in check(conn)]


def integrity(conn: Connection) -> Iterator[Finding]:
    """What the database itself says of its file; PostgreSQL checks its pages as it reads them."""
    if conn.dialect.name != "sqlite":
        return
    try:
        said = list(conn.execute(text("PRAGMA integrity_check(20)")).scalars())
    except DatabaseError as error:
        said = [str(error.orig)]
    for problem in said:
        if problem != "ok":
            yield Finding("the file", "SQLite's integrity check", "ok", problem)


def references(conn: Connection) -> Iterator[Finding]:
    """Rows that refer to nothing: possible where somebody wrote to the file past the ledger."""
    if conn.dialect.name != "sqlite":
        return
    for row in conn.execute(text("PRAGMA foreign_key_check")):
        yield Finding("a reference", f"{row[0]} row {row[1]}", f"a row of {row[2]}", None)


def capacity(conn: Connection) -> Iterator[Finding]:
    """Counters against the entries of the capacity ledger."""
    entry = capacity_ledger.c
    newest = func.max(case((entry.day_delta == 1, entry.at)))
    by_rep = select(entry.rep_id, func.sum(entry.open_delta), newest).group_by(entry.rep_id)
    expected = {rep: (int(used), at) for rep, used, at in conn.execute(by_rep)}
    found = {row.rep_id: (row.used, row.last_assigned_at) for row in conn.execute(select(open_load))}
    for rep in sorted(expected.keys() | found.keys()):
        yield from _differs("open_load", rep, expected.get(rep, (0, None)), found.get(rep, (0, None)))
    by_day = select(entry.local_day, entry.rep_id, func.sum(entry.day_delta)).where(entry.day_delta != 0)
    days = {
        (day, rep): int(used) for day, rep, used in conn.execute(by_day.group_by(entry.local_day, entry.rep_id))
    }
    counted = {(row.local_day, row.rep_id): row.used for row in conn.execute(select(daily_load))}
    for key in sorted(days.keys() | counted.keys()):
        yield from _differs("daily_load", " ".join(key), days.get(key, 0), counted.get(key, 0))


def lead_and_decision_states(conn: Connection) -> Iterator[Finding]:
    """Each lead's fold against the stored states, and against the slots that its decisions hold."""
    states = {row.decision_id: SpellState(**row._mapping) for row in conn.execute(select(decision_states))}
    leads = {(row.client_id, row.lead_id): row for row in conn.execute(select(lead_states))}
    entry = capacity_ledger.c
    held_by = select(entry.decision_id, entry.rep_id, func.sum(entry.open_delta)).group_by(
        entry.decision_id, entry.rep_id
    )
    slots: dict[str, dict[str, int]] = {}
    for decision_id, rep, held in conn.execute(held_by):
        if held:
            slots.setdefault(decision_id, {})[rep] = int(held)
    for key, rows in every_lead(conn):
        state = rows.state()
        for spell in state.spells:
            stored = states.pop(spell.decision_id, None)
            for each in fields(SpellState):
                want, have = getattr(spell, each.name), None if stored is None else getattr(stored, each.name)
                yield from _differs(f"decision_states.{each.name}", spell.decision_id, want, have)
            holds = {spell.rep_id: 1} if spell.holds_slot else {}
            yield from _differs("slots", spell.decision_id, holds, slots.pop(spell.decision_id, {}))
        last = state.spells[-1].decision_id if state.spells else None
        has_events = any(each.decision_id is None for each in rows.happenings)
        yield from _lead(key, leads, (state.standing, last, len(state.spells), has_events, state.merged_into))
    for decision_id in sorted(states.keys() | slots.keys()):
        yield Finding("decision_states", decision_id, None, "a state or a slot of no decision")


def _lead(key: LeadKey, leads: Mapping[LeadKey, Any], expected: tuple[Any, ...]) -> Iterator[Finding]:
    row = leads.get(key)
    names = ("decision_id", "last_decision_id", "spells", "has_events", "merged_into")
    for name, want in zip(names, expected, strict=True):
        yield from _differs(f"lead_states.{name}", "/".join(key), want, None if row is None else getattr(row, name))


def rows_and_answers(conn: Connection) -> Iterator[Finding]:
    """Whether each decision can be read, its vectors fit, and its stored answer says what the row says."""
    last = 0
    while True:
        page = conn.execute(
            select(decisions, answers.c.body)
            .outerjoin(answers, answers.c.decision_id == decisions.c.decision_id)
            .where(decisions.c.seq > last)
            .order_by(decisions.c.seq)
            .limit(_PAGE)
        ).all()
        for row in page:
            columns = row._asdict()
            yield from _row(columns)
            if columns["body"] is not None:
                yield from _answer(columns)
        if len(page) < _PAGE:
            return
        last = page[-1].seq


def _row(columns: Mapping[str, Any]) -> Iterator[Finding]:
    key = columns["decision_id"]
    try:
        row = from_columns(columns)
    except (ValueError, KeyError, TypeError) as error:
        yield Finding("decisions.vectors", key, "packed vectors", type(error).__name__)
        return
    for name in VECTORS:
        vector = getattr(row, name)
        if vector is not None:
            yield from _differs(f"length of {name}", key, len(row.candidates), len(vector))
    for name in ("propensity_policy", "propensity_control", "propensity"):
        vector = getattr(row, name)
        if vector is not None and len(vector) and not math.isclose(float(vector.sum()), 1.0, abs_tol=1e-6):
            yield Finding(f"sum of {name}", key, 1.0, float(vector.sum()))
    if row.rep_drawn is not None and row.candidates and row.rep_drawn not in row.candidates:
        yield Finding("decisions.rep_drawn", key, "one of the candidates", row.rep_drawn)


def _answer(columns: Mapping[str, Any]) -> Iterator[Finding]:
    key = columns["decision_id"]
    try:
        told = json.loads(columns["body"])
    except ValueError:
        told = None
    if not isinstance(told, dict):
        yield Finding("answers.body", key, "a JSON object", "something else")
        return
    for name, column in _SAID.items():
        if name in told:
            yield from _differs(f"answers.{name}", key, columns[column], told[name], within=_ROUNDED)


def numbered_lists(conn: Connection) -> Iterator[Finding]:
    """The roster against its history, and each list's newest number against the list."""
    newest = union_all(
        *(
            select(literal(name).label("name"), func.coalesce(func.max(column), 0).label("number"))
            for name, column in _NUMBERED.items()
        )
    )
    found = {row.name: row.number for row in conn.execute(select(heads))}
    for name, number in conn.execute(newest):
        yield from _differs("heads.number", name, number, found.get(name))
    listed = {row.rep_id: row.record for row in conn.execute(select(reps).where(reps.c.listed))}
    last: dict[str, Any] = {}
    for row in conn.execute(select(roster_history).order_by(roster_history.c.version)):
        last[row.rep_id] = row.after
    for rep_id in sorted(last.keys() | listed.keys()):
        yield from _differs("reps.record", rep_id, last.get(rep_id), listed.get(rep_id))


_NUMBERED: dict[str, Column[Any]] = {
    "roster": roster_versions.c.version,
    "promotion": promotions.c.number,
    "policy": policy_versions.c.version,
    "audit": audit.c.number,
}


def _differs(subject: str, key: str, expected: Any, found: Any, *, within: float = 0.0) -> Iterator[Finding]:
    numbers = within > 0 and isinstance(expected, float) and isinstance(found, int | float)
    if abs(expected - found) > within if numbers else expected != found:
        yield Finding(subject, key, expected, found)
