"""The chain held against the rows: the first row that is not what was sealed."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row, select, tuple_
from sqlalchemy.engine import Connection

from data.errors import InputError
from data.store import audit
from data.store.audit import FIRST, SEALED, Content, contents_of, link_hash, salted
from data.store.findings import Finding
from data.store.tables import audit as links
from data.store.tables import audit_salts, decisions, erasures, outcome_events, overrides

_PAGE = 500
_LEAD_OF = {
    "decisions": select(decisions.c.seq, decisions.c.client_id, decisions.c.lead_id),
    "outcome_events": select(outcome_events.c.seq, outcome_events.c.client_id, outcome_events.c.lead_id),
    "overrides": select(overrides.c.seq, decisions.c.client_id, decisions.c.lead_id).join(
        decisions, decisions.c.decision_id == overrides.c.decision_id
    ),
}


def chain(conn: Connection) -> Iterator[Finding]:
    """The first bad row of the chain, or of what it seals; nothing for a sound one."""
    previous, expected = FIRST, 1
    while True:
        page = conn.execute(
            select(links, audit_salts.c.salt)
            .outerjoin(audit_salts, audit_salts.c.number == links.c.number)
            .where(links.c.number >= expected)
            .order_by(links.c.number)
            .limit(_PAGE)
        ).all()
        contents = _contents(conn, page)
        for row in page:
            problem = _of_link(row, previous, expected) or _of_row(conn, row, contents)
            if problem is not None:
                yield problem
                return
            previous, expected = row.hash, expected + 1
        if len(page) < _PAGE:
            yield from _forgotten(conn)
            return


def follows(conn: Connection, kept: str) -> Iterator[Finding]:
    """Whether the chain still holds a head that was kept elsewhere, as NUMBER:HASH."""
    number, _, digest = kept.strip().partition(":")
    if not number.isdigit() or len(digest) != 64:
        raise InputError("A head of the audit chain is NUMBER:HASH, as `leadmatch audit head` prints it.")
    held = conn.execute(select(links.c.hash).where(links.c.number == int(number))).scalar_one_or_none()
    if held != digest:
        yield Finding("the audit chain", f"number {number}", digest, held)


def _of_link(row: Row[Any], previous: str, expected: int) -> Finding | None:
    named = f"number {expected}"
    if row.number != expected:
        return Finding("audit", named, "a row", "deleted")
    if row.previous != previous:
        return Finding("audit.previous", named, previous, row.previous)
    now = link_hash({name: row._mapping[name] for name in links.columns.keys()})  # noqa: SIM118 - names, not columns
    return None if now == row.hash else Finding("audit.hash", named, row.hash, now)


def _of_row(conn: Connection, link: Row[Any], contents: dict[tuple[str, int], Content]) -> Finding | None:
    named = f"{link.of_table} {link.of_row}"
    now = contents.get((link.of_table, link.of_row))
    if now is None:
        return Finding("a sealed row", named, "as it was sealed", "deleted")
    if now.fixed != link.content:
        return Finding("a sealed row", named, "as it was sealed", "edited")
    if link.salt is not None:
        same = now.erasable is not None and salted(link.salt, now.erasable) == link.erasable
        return None if same else Finding("a sealed row", named, "as it was sealed", "edited in what may be erased")
    if link.erasable is None and now.erasable is None:
        return None
    if now.erasable is None and _erased(conn, link):
        return None
    return Finding("a sealed row", named, "as it was sealed, or erased", "edited in what may be erased")


def _erased(conn: Connection, link: Row[Any]) -> bool:
    """Whether the erasure of this row's lead stands in the ledger."""
    lead = _LEAD_OF[link.of_table].where(SEALED[link.of_table] == link.of_row).subquery()
    found = select(erasures.c.seq).join(
        lead, tuple_(lead.c.client_id, lead.c.lead_id) == tuple_(erasures.c.client_id, erasures.c.lead_id)
    )
    return conn.execute(found).first() is not None


def _contents(conn: Connection, page: Any) -> dict[tuple[str, int], Content]:
    wanted: dict[str, list[int]] = {}
    for row in page:
        wanted.setdefault(row.of_table, []).append(row.of_row)
    return {
        (name, number): content
        for name, numbers in wanted.items()
        if name in SEALED
        for number, content in contents_of(conn, name, numbers).items()
    }


def _forgotten(conn: Connection) -> Iterator[Finding]:
    """A row that was slipped in among rows that are sealed."""
    for name, number in SEALED.items():
        newest = select(links.c.of_row).where(links.c.of_table == name).order_by(links.c.of_row.desc()).limit(1)
        last = conn.execute(newest).scalar() or 0
        until = last - (audit.LATE if conn.dialect.name == "postgresql" else 0)
        in_chain = select(links.c.number).where(links.c.of_table == name, links.c.of_row == number).exists()
        for row in conn.execute(select(number).where(number <= until, ~in_chain).order_by(number).limit(1)).scalars():
            yield Finding("a row", f"{name} {row}", "sealed with its neighbours", "slipped in later")


