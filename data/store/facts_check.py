"""The facts that reports count, made again from the ledger's rows and held against those that lie there."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from sqlalchemy import select, tuple_
from sqlalchemy.engine import Connection

from data.store import decisions as ledger_rows
from data.store import facts
from data.store.findings import Finding
from data.store.leads import LeadKey
from data.store.tables import chance_sums, decision_facts, decisions

_PAGE = 500
_ROUNDED = 1e-9  # relative: sums come to the same in another order
_KEY = (decisions.c.client_id, decisions.c.lead_id)


def follows(conn: Connection) -> Iterator[Finding]:
    """Facts and sums of chances that do not follow from the rows. Leads whose newest rows are not counted yet wait."""
    behind, teams, sums = _behind(conn), facts.Teams(conn), facts.Sums()
    for keys in _pages(conn):
        by_lead: dict[LeadKey, list[tuple[int, Any]]] = defaultdict(list)
        for seq, decision in ledger_rows.spells_of(conn, keys):
            by_lead[decision.row.client_id, decision.row.lead_id].append((seq, decision))
        numbers = [seq for spells in by_lead.values() for seq, _ in spells]
        read = conn.execute(select(decision_facts).where(decision_facts.c.seq.in_(numbers)))
        there = {row.seq: row._asdict() for row in read}
        for key, spells in by_lead.items():
            for (seq, decision), made in zip(spells, facts.of_lead(spells, teams), strict=True):
                if seq in there:
                    sums.add(decision)
                if key not in behind:
                    yield from _of_decision(decision.row.decision_id, made, there.get(seq))
    yield from _of_sums(conn, sums)


def _behind(conn: Connection) -> set[LeadKey]:
    marks = facts.marks_of(conn)
    return {
        (row.client_id, row.lead_id)
        for name, rows_after in facts.SOURCES.items()
        for row in conn.execute(rows_after.where(facts.SEQ[name] > marks[name]))
    }


def _pages(conn: Connection) -> Iterator[list[LeadKey]]:
    last: LeadKey | None = None
    while True:
        page = select(*_KEY).distinct().order_by(*_KEY).limit(_PAGE)
        if last is not None:
            page = page.where(tuple_(*_KEY) > tuple_(*last))
        keys = [(row.client_id, row.lead_id) for row in conn.execute(page)]
        if not keys:
            return
        yield keys
        last = keys[-1]


def _of_decision(decision_id: str, made: dict[str, Any], there: dict[str, Any] | None) -> Iterator[Finding]:
    if there is None:
        yield Finding("decision_facts", decision_id, "a fact", None)
        return
    for name, want in made.items():
        have = there[name]
        alike = isinstance(want, float) and have is not None and np.isclose(want, have, rtol=_ROUNDED)
        if not alike and want != have:
            yield Finding(f"decision_facts.{name}", decision_id, want, have)


def _of_sums(conn: Connection, sums: facts.Sums) -> Iterator[Finding]:
    expected = {(row["day"], row["source"], row["rep_id"]): row for row in sums.rows()}
    found = {(row.day, row.source, row.rep_id): row._asdict() for row in conn.execute(select(chance_sums))}
    for key in sorted(expected.keys() | found.keys()):
        want, have = (np.array([each[key][name] for name in facts.SUMMED]) if key in each else None
                      for each in (expected, found))  # fmt: skip
        if want is None or have is None or not np.allclose(want, have, rtol=_ROUNDED, atol=_ROUNDED):
            told = [None if each is None else each.round(6).tolist() for each in (want, have)]
            yield Finding("chance_sums", " ".join(key), *told)
