"""A chain of hashes over every row that never changes: whoever edits, deletes or reorders one breaks it.

The rows carry the content, the chain only hashes of it (canonical JSON, RFC 8785). What an erasure may blank is hashed
apart, with a salt of its own that the erasure deletes: afterwards nobody can tell from the hash what had been there.
One sealer at a time adds to the chain, some seconds behind the rows, so that writers never wait for it. Who owns the
database can rewrite the chain as a whole; only a head that was kept elsewhere shows that.
"""

import hashlib
import hmac
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Select,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    text,
    type_coerce,
)
from sqlalchemy.engine import Connection

from data.store import heads
from data.store.canonical import canonical
from data.store.columns import Instant, Json, from_microseconds, to_microseconds
from data.store.ledger import Ledger
from data.store.quick import Quick
from data.store.tables import APPEND_ONLY, audit, audit_salts, metadata, roster_history

ERASABLE = {"decisions": "lead_snapshot", "outcome_events": "reason", "overrides": "reason"}
ERASED = {"decisions": "{}", "outcome_events": None, "overrides": ""}  # what an erasure leaves
FIRST = "0" * 64  # what the first row of the chain follows
LATE = 10_000  # a row may be committed after this many later ones of its table: PostgreSQL gives out numbers early
HEAD = "audit"
AT_ONCE = 200  # rows that are hashed from one snapshot
MOST_HELD = 100  # rows that are added in one transaction: decisions wait for it
_PARTS = {"roster_versions": roster_history}  # rows that have no number of their own go with those that have
_NUMBERS = ("seq", "version", "number")
_LINK = [(name, f'"{name}":') for name in sorted(audit.columns.keys()) if name != "hash"]
_OF_TABLE = bindparam("of_table", type_=Text)
_LATE = bindparam("late", type_=BigInteger)
_NEWEST = Quick(text("SELECT number, hash, at FROM audit ORDER BY number DESC LIMIT 1"))
_NEWEST_ACT = Quick(text("SELECT coalesce(max(seq), 0) FROM acts"))
_ADD_LINK = Quick(insert(audit).inline())
_ADD_SALT = Quick(insert(audit_salts).inline())


def _number_of(table: Table) -> Column[Any]:
    return next(table.c[name] for name in _NUMBERS if name in table.primary_key.columns)


SEALED: dict[str, Column[Any]] = {
    name: _number_of(metadata.tables[name]) for name in APPEND_ONLY if name not in ("audit", "roster_history")
}


@dataclass(frozen=True)
class Head:
    """The newest row of the chain: kept elsewhere, it vouches for all before it."""

    number: int
    hash: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True)
class Content:
    """What is hashed of a row."""

    fixed: str  # hash of what never changes
    erasable: str | None  # what an erasure may blank, as text


def head(conn: Connection) -> Head | None:
    """The newest row of the chain; None while nothing is sealed."""
    row = _NEWEST.row(conn, {})
    return None if row is None else Head(row[0], row[1], from_microseconds(row[2]))


def seal(ledger: Ledger, *, at: datetime, limit: int = AT_ONCE) -> int:
    """How many rows were added to the chain, at most `limit`.

    They are hashed from a snapshot, so that no writer waits for it, and dropped where another sealer was quicker.
    """
    with ledger.reading() as conn:
        batch = _prepared(conn, at=at, limit=limit)
    added = 0
    while added < len(batch.links):
        links = batch.links[added : added + MOST_HELD]
        with ledger.writing() as tx:
            if not _added(tx, batch, links):
                break
        added += len(links)
    return added


@dataclass(frozen=True)
class _Batch:
    """Rows of the chain as they follow from a snapshot, and what must still be so when they are added."""

    acts: int  # the newest act: an erasure since then may have blanked what was hashed
    links: list[dict[str, Any]]
    salts: dict[int, str]  # by number


def _prepared(conn: Connection, *, at: datetime, limit: int) -> _Batch:
    last = head(conn)
    number, previous = (0, FIRST) if last is None else (last.number, last.hash)
    batch = _Batch(_newest_act(conn), [], {})
    for name in SEALED:
        for row, content in _contents_to_seal(conn, name, limit=limit - len(batch.links)).items():
            number, erasable = number + 1, None
            if content.erasable is not None:
                batch.salts[number] = secrets.token_hex(16)
                erasable = salted(batch.salts[number], content.erasable)
            link = {
                "number": number,
                "at": at,
                "of_table": name,
                "of_row": row,
                "content": content.fixed,
                "erasable": erasable,
                "previous": previous,
            }
            previous = link_hash(link)
            batch.links.append({**link, "hash": previous})
    return batch


def _added(tx: Connection, batch: _Batch, links: list[dict[str, Any]]) -> bool:
    if heads.hold(tx, HEAD) != links[0]["number"] - 1 or _newest_act(tx) != batch.acts:
        return False
    heads.advance(tx, HEAD, by=len(links))
    _ADD_LINK.run_many(tx, links)
    numbers = (link["number"] for link in links)
    salts = [{"number": number, "salt": batch.salts[number]} for number in numbers if number in batch.salts]
    if salts:
        _ADD_SALT.run_many(tx, salts)
    return True


def _newest_act(conn: Connection) -> int:
    ((newest,),) = _NEWEST_ACT.rows(conn, {})
    return int(newest)


def link_hash(link: Mapping[str, Any]) -> str:
    """The hash of one row of the chain, over its own columns and the hash of the row before."""
    own = {**link, "at": to_microseconds(link["at"])}
    return _digest(f"{{{','.join([name + canonical(own[column]) for column, name in _LINK])}}}")


def salted(salt: str, text: str) -> str:
    """A hash that says nothing without its salt."""
    return hmac.digest(bytes.fromhex(salt), text.encode(), "sha256").hex()


def contents_of(conn: Connection, name: str, numbers: Sequence[int]) -> dict[int, Content]:
    """What is hashed of these rows of one table, as they lie in the ledger now."""
    if not numbers:
        return {}
    return _contents(conn, name, conn.execute(_table(name).rows.where(SEALED[name].in_(numbers))).all())


def _contents_to_seal(conn: Connection, name: str, *, limit: int) -> dict[int, Content]:
    """The same of rows that are not in the chain yet, oldest first."""
    late = LATE if conn.dialect.name == "postgresql" else 0
    rows = _table(name).not_sealed.rows(conn, {"of_table": name, "late": late, "most": limit})
    return _contents(conn, name, rows) if rows else {}


def _contents(conn: Connection, name: str, rows: Sequence[Sequence[Any]]) -> dict[int, Content]:
    table, erased = _table(name), ERASED.get(name)
    parts = _parts_of(conn, name, [row[table.number] for row in rows])
    found = {}
    for row in rows:
        number, blanked = row[table.number], erased if table.erasable is None else row[table.erasable]
        fixed = _digest(f'{{"parts":[{",".join(parts[number])}],"row":{_written(table.members, row)}}}')
        found[number] = Content(fixed, None if blanked == erased else str(blanked))
    return found


def _parts_of(conn: Connection, name: str, numbers: Sequence[int]) -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    part = _PARTS.get(name)
    if part is not None:
        members = _members(part)
        ordered = select(*_raw(part)).where(part.c.version.in_(numbers)).order_by(*part.primary_key.columns)
        for row in conn.execute(ordered):
            found[row.version].append(_written(members, row))
    return found


@dataclass(frozen=True)
class _Table:
    """How the rows of one table are read and hashed."""

    members: Sequence[tuple[str, int]]
    number: int  # the place of the row's number
    erasable: int | None  # the place of what is hashed apart
    rows: Select[Any]
    not_sealed: Quick


@cache
def _table(name: str) -> _Table:
    """Put together once, as a table has many columns."""
    number, erasable = SEALED[name], ERASABLE.get(name)
    places = number.table.columns.keys()
    # In the order of the table: a wide row lies in a chain of pages, which SQLite follows from the start to go back.
    rows = select(*_raw(number.table))
    of_table = audit.c.of_table == _OF_TABLE
    newest = select(func.coalesce(func.max(audit.c.of_row), text("0"))).where(of_table).scalar_subquery()
    in_chain = select(audit.c.number).where(of_table, audit.c.of_row == number).exists()
    left = rows.where(number > newest - _LATE, ~in_chain).order_by(number)
    not_sealed = Quick(left.suffix_with(text("LIMIT :most")))
    apart = None if erasable is None else places.index(erasable)
    return _Table(_members(number.table, apart=erasable), places.index(number.name), apart, rows, not_sealed)


def _raw(table: Table) -> Iterator[ColumnElement[Any]]:
    """The columns as they lie in the database: JSON as its text, instants as microseconds."""
    for column in table.columns:
        if isinstance(column.type, Json):
            yield type_coerce(column, Text).label(column.name)
        elif isinstance(column.type, Instant):
            yield type_coerce(column, BigInteger).label(column.name)
        else:
            yield column


def _members(table: Table, *, apart: str | None = None) -> list[tuple[str, int]]:
    """A table's names but one, as and in the order in which canonical JSON has them, and the place of each value."""
    places = {name: place for place, name in enumerate(table.columns.keys())}
    return [(f'"{name}":', places[name]) for name in sorted(places) if name != apart]  # our own names are ASCII


def _written(members: Sequence[tuple[str, int]], row: Sequence[Any]) -> str:
    """The row as canonical JSON; a column without a value is left out, so that a new column changes no old hash."""
    return f"{{{','.join([name + canonical(row[place]) for name, place in members if row[place] is not None])}}}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
