"""What reports count: one narrow row a decision, kept up to date from the ledger's rows without anybody's waiting.

A decision's own row holds everything a replay needs and is some kilobytes wide; a report over a million of them
reads these instead. They follow the append-only rows by four marks, so that they can be thrown away and made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, delete, select, text, tuple_, type_coerce
from sqlalchemy.engine import Connection

from data.store.chances import Drawn, day_of, put
from data.store.columns import Instant, from_microseconds
from data.store.engines import allow_long_reads
from data.store.leads import LeadKey
from data.store.openings import Opening, Teams, facts_of_lead, openings_of
from data.store.quick import Quick
from data.store.tables import decision_facts, decisions, endings, fact_marks, outcome_events, overrides

PAGE = 500  # leads whose decisions are read at once
MOST_ROWS = 200  # of each kind that a batch follows: decisions wait while it is written
AT_ONCE = 2_000  # facts that are taken into memory before other threads have a turn
# A row written before another may be committed after it, on PostgreSQL; a gap older than this is a rollback's.
SETTLED_AFTER = timedelta(seconds=30)

_DECIDED = (decisions.c.client_id, decisions.c.lead_id)
SOURCES: dict[str, Select] = {  # mark -> (seq, moment, client_id, lead_id) of the rows that it follows
    "decisions": select(decisions.c.seq, decisions.c.decided_at.label("at"), *_DECIDED),
    "events": select(
        outcome_events.c.seq, outcome_events.c.received_at.label("at"), outcome_events.c.client_id,
        outcome_events.c.lead_id,
    ),
    "overrides": select(overrides.c.seq, overrides.c.at, *_DECIDED).join(
        decisions, decisions.c.decision_id == overrides.c.decision_id
    ),
    "endings": select(endings.c.seq, endings.c.at, *_DECIDED).join(
        decisions, decisions.c.decision_id == endings.c.decision_id
    ),
}  # fmt: skip
SEQ = {
    "decisions": decisions.c.seq,
    "events": outcome_events.c.seq,
    "overrides": overrides.c.seq,
    "endings": endings.c.seq,
}
_MARK = text("""
    INSERT INTO fact_marks (name, number) VALUES (:name, :number)
    ON CONFLICT (name) DO UPDATE SET number = excluded.number
""")
# Whoever takes the next revision writes alone until the transaction ends, and only if nobody did since it was read.
_NEXT_REVISION = text("""
    INSERT INTO fact_marks (name, number) VALUES ('revision', 1)
    ON CONFLICT (name) DO UPDATE SET number = fact_marks.number + 1 WHERE fact_marks.number = :last
    RETURNING number
""")
_REMOVE = Quick(delete(decision_facts).where(decision_facts.c.seq == bindparam("seq")))
_NAMES = decision_facts.c.keys()
# As text: a fact's values are as they are kept, and nothing is left to do about them while others wait.
_ADD = Quick(text(f"INSERT INTO decision_facts ({', '.join(_NAMES)}) VALUES (:{', :'.join(_NAMES)})"))  # noqa: S608
Place = tuple[int, int]  # (revision, decision) up to which a reader has read
BEGINNING: Place = (0, 0)
# As numbers: a million moments need not become objects first.
PLAIN = [type_coerce(c, BigInteger) if isinstance(c.type, Instant) else c for c in decision_facts.c]


@dataclass(frozen=True)
class Batch:
    """Facts made from the ledger and not written yet, and the marks between which its rows lie."""

    revision: int  # of the facts that were there
    begin: dict[str, int]
    end: dict[str, int]
    replaced: list[int]  # decisions whose facts are there already
    facts: list[dict[str, Any]]  # as they are kept, of the next revision
    sums: list[dict[str, Any]]  # of chances, with what was there
    more: bool  # rows of the ledger are left for the next batch


def prepare(conn: Connection, teams: Teams, *, at: datetime, most: int = MOST_ROWS) -> Batch | None:
    """The facts that follow from at most so many new rows of each kind; None where there is no new row.

    Only reads: making facts takes a while, and a writer must not keep decisions waiting.
    """
    allow_long_reads(conn)
    keys: set[LeadKey] = set()
    begin, end, more = {}, {}, False
    revision, marks = _read_so_far(conn)
    for name, rows_after in SOURCES.items():
        mark, seq = marks[name], SEQ[name]
        found = conn.execute(rows_after.where(seq > mark).order_by(seq).limit(most)).all()
        keys |= {(row.client_id, row.lead_id) for row in found}
        begin[name], end[name] = mark, _settled([(row.seq, row.at) for row in found], mark, at)
        more |= len(found) == most and end[name] != mark
    if not keys:
        return None
    ordered, drawn = sorted(keys), Drawn()
    facts: list[dict[str, Any]] = []
    replaced: list[int] = []
    for start in range(0, len(ordered), PAGE):
        made, counted = _made(conn, ordered[start : start + PAGE], teams, drawn)
        facts += [fact | {"revision": revision + 1} for fact in made]
        replaced += counted
    facts.sort(key=itemgetter("seq"))  # at the table's end, one after the other
    return Batch(revision, begin, end, replaced, facts, drawn.added(conn), more)


def write(tx: Connection, batch: Batch) -> bool:
    """Put a batch in its place; False, and nothing is written, where another process was quicker."""
    if tx.execute(_NEXT_REVISION, {"last": batch.revision}).scalar() is None:
        return False
    if batch.replaced:
        _REMOVE.run_many(tx, [{"seq": seq} for seq in batch.replaced])
    if batch.facts:
        _ADD.run_many(tx, batch.facts)
    put(tx, batch.sums)
    for name, mark in batch.end.items():
        if mark != batch.begin[name]:
            tx.execute(_MARK, {"name": name, "number": mark})
    return True


def changed_since(conn: Connection, place: Place, *, most: int = 50_000) -> tuple[dict[str, list[Any]], Place]:
    """A page of the facts that changed after a place, as columns, and the place that it ends at.

    Sorted by decision; instants in microseconds. An empty page: that was all.
    """
    allow_long_reads(conn)
    key = tuple_(decision_facts.c.revision, decision_facts.c.seq)
    page = select(*PLAIN).where(key > tuple_(*place)).order_by(decision_facts.c.revision, decision_facts.c.seq)
    columns: dict[str, list[Any]] = {column.name: [] for column in decision_facts.c}
    for part in conn.execute(page.limit(most)).partitions(AT_ONCE):
        for column, values in zip(columns.values(), zip(*part, strict=True), strict=True):
            column.extend(values)
    revision, seq = columns["revision"], columns["seq"]
    if not seq:
        return {}, place
    end = (revision[-1], seq[-1])
    order = sorted(range(len(seq)), key=seq.__getitem__)
    if order != list(range(len(seq))):
        columns = {name: [column[number] for number in order] for name, column in columns.items()}
    return columns, end


def named(conn: Connection, numbers: Sequence[int]) -> dict[int, tuple[str, str]]:
    """(decision_id, lead_id) of decisions by their number."""
    asked = select(decisions.c.seq, decisions.c.decision_id, decisions.c.lead_id).where(decisions.c.seq.in_(numbers))
    return {row.seq: (row.decision_id, row.lead_id) for row in conn.execute(asked)}


def marks_of(conn: Connection) -> dict[str, int]:
    """The number of the last row of each kind that the facts follow."""
    return _read_so_far(conn)[1]


def _read_so_far(conn: Connection) -> tuple[int, dict[str, int]]:
    """The newest revision, and the marks."""
    known = {row.name: row.number for row in conn.execute(select(fact_marks))}
    return known.get("revision", 0), {name: known.get(name, 0) for name in SOURCES}


def _settled(rows: Sequence[tuple[int, datetime]], mark: int, at: datetime) -> int:
    """The last number before which nothing can still appear."""
    for seq, moment in rows:
        if seq != mark + 1 and moment > at - SETTLED_AFTER:
            return mark
        mark = seq
    return mark


def _made(
    conn: Connection, keys: Sequence[LeadKey], teams: Teams, drawn: Drawn
) -> tuple[list[dict[str, Any]], list[int]]:
    """The facts of all decisions about these leads, made anew, and the numbers of those that are there already.

    The chances of the others are counted.
    """
    by_lead = openings_of(conn, keys)
    numbers = [opening.row.seq for openings in by_lead.values() for opening in openings]
    there = conn.execute(select(decision_facts.c.seq).where(decision_facts.c.seq.in_(numbers)))
    counted = set(there.scalars())
    facts: list[dict[str, Any]] = []
    for openings in by_lead.values():
        facts += facts_of_lead(conn, openings, teams)
        for opening in openings:
            if opening.row.seq not in counted:
                count(drawn, opening)
    return facts, sorted(counted)


def count(drawn: Drawn, opening: Opening) -> None:
    """Count a decision's chances, where it was drawn and gave somebody something."""
    row, draw = opening
    if draw is not None and row.mode != "shadow":
        day = day_of(from_microseconds(row.decided_at))
        drawn.add((day, row.source or ""), row.candidates, draw[0], row.baseline or 0.0)
