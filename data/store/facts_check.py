"""The facts that reports count, made again from the ledger's rows and held against those that lie there."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from sqlalchemy import select, tuple_
from sqlalchemy.engine import Connection

from data.store import chances, facts, openings
from data.store.columns import Instant, from_microseconds
from data.store.findings import Finding
from data.store.leads import LeadKey
from data.store.tables import decision_facts, decisions

_PAGE = 500
_ROUNDED = 1e-9  # relative: sums come to the same in another order
_KEY = (decisions.c.client_id, decisions.c.lead_id)


def follows(conn: Connection) -> Iterator[Finding]:
    """Facts and sums of chances that do not follow from the rows. Leads whose newest rows are not counted yet wait."""
    behind, teams, drawn = _behind(conn), openings.Teams(), chances.Drawn()
    for keys in _pages(conn):
        by_lead = openings.openings_of(conn, keys)
        numbers = [opening.row.seq for own in by_lead.values() for opening in own]
        read = conn.execute(select(*facts.PLAIN).where(decision_facts.c.seq.in_(numbers)))
        there = {row.seq: row._asdict() for row in read}
        for key, own in by_lead.items():
            for opening, made in zip(own, openings.facts_of_lead(conn, own, teams), strict=True):
                if opening.row.seq in there:
                    facts.count(drawn, opening)
                if key not in behind:
                    yield from _of_decision(opening.row.decision_id, made, there.get(opening.row.seq))
    yield from _of_sums(conn, drawn.sums())


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
            is_moment = isinstance(decision_facts.c[name].type, Instant)
            told = [from_microseconds(each) if is_moment and each is not None else each for each in (want, have)]
            yield Finding(f"decision_facts.{name}", decision_id, *told)


def _of_sums(conn: Connection, expected: Mapping[chances.Key, chances.Sums]) -> Iterator[Finding]:
    for key in sorted(expected.keys() | chances.days_and_sources(conn)):
        want, have = expected.get(key), chances.stored(conn, key)
        rep_ids = sorted({*(want[0] if want else ()), *(have[0] if have else ())})
        wanted, found = (_rows(sums, rep_ids) for sums in (want, have))
        alike = np.isclose(wanted, found, rtol=_ROUNDED, atol=_ROUNDED).all(axis=1)
        for place in np.flatnonzero(~alike):
            told = [None if np.isnan(each).all() else each.round(6).tolist() for each in (wanted[place], found[place])]
            yield Finding("chance_sums", " ".join((*key, rep_ids[place])), *told)


def _rows(sums: chances.Sums | None, rep_ids: list[str]) -> np.ndarray:
    """The sums of these reps, a row each; NaN for whom there are none."""
    rows = np.full((len(rep_ids), len(chances.SUMMED)), np.nan)
    if sums is not None:
        place = {rep_id: number for number, rep_id in enumerate(rep_ids)}
        rows[[place[rep_id] for rep_id in sums[0]]] = sums[1].T
    return rows
