"""A chain of hashes over every row that never changes: whoever edits, deletes or reorders one breaks it.

The rows carry the content, the chain only hashes of it (canonical JSON, RFC 8785). What an erasure may blank is hashed
apart, with a salt of its own that the erasure deletes: afterwards nobody can tell from the hash what had been there.
One sealer at a time adds to the chain, some seconds behind the rows, so that writers never wait for it. Who owns the
database can rewrite the chain as a whole; only a head that was kept elsewhere shows that.
"""

import hashlib
import hmac
import math
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from json.encoder import encode_basestring
from typing import Any

import rfc8785
from sqlalchemy import BigInteger, Column, Select, Table, Text, func, insert, select, type_coerce
from sqlalchemy.engine import Connection

from data.store import heads
from data.store.columns import Instant, Json, to_microseconds
from data.store.ledger import Ledger
from data.store.tables import APPEND_ONLY, acts, audit, audit_salts, metadata, roster_history

ERASABLE = {"decisions": "lead_snapshot", "outcome_events": "reason", "overrides": "reason"}
ERASED = {"decisions": "{}", "outcome_events": None, "overrides": ""}  # what an erasure leaves
FIRST = "0" * 64  # what the first row of the chain follows
LATE = 10_000  # a row may be committed after this many later ones of its table: PostgreSQL gives out numbers early
HEAD = "audit"
AT_ONCE = 200  # rows that are added to the chain in one transaction
_PARTS = {"roster_versions": roster_history}  # rows that have no number of their own go with those that have
_NUMBERS = ("seq", "version", "number")
_MOST_EXACT = 2**53 - 1  # JSON's numbers are doubles


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
    newest = select(audit.c.number, audit.c.hash, audit.c.at).order_by(audit.c.number.desc()).limit(1)
    row = conn.execute(newest).one_or_none()
    return None if row is None else Head(*row)


def seal(ledger: Ledger, *, at: datetime, limit: int = AT_ONCE) -> int:
    """How many rows were added to the chain, at most `limit`.

    They are hashed from a snapshot, so that no writer waits for it, and dropped where another sealer was quicker.
    """
    with ledger.reading() as conn:
        batch = _prepared(conn, at=at, limit=limit)
    if not batch.links:
        return 0
    with ledger.writing() as tx:
        return len(batch.links) if _added(tx, batch) else 0


@dataclass(frozen=True)
class _Batch:
    """Rows of the chain as they follow from a snapshot, and what must still be so when they are added."""

    after: int  # the newest number of the chain
    acts: int  # the newest act: an erasure since then may have blanked what was hashed
    links: list[dict[str, Any]]
    salts: list[dict[str, Any]]


def _prepared(conn: Connection, *, at: datetime, limit: int) -> _Batch:
    last = head(conn)
    number, previous = (0, FIRST) if last is None else (last.number, last.hash)
    batch = _Batch(number, _newest_act(conn), [], [])
    for name in SEALED:
        numbers = _rows_to_seal(conn, name, limit=limit - len(batch.links))
        contents = contents_of(conn, name, numbers)
        for row in numbers:
            number, content, salt = number + 1, contents[row], secrets.token_hex(16)
            link = {
                "number": number,
                "at": at,
                "of_table": name,
                "of_row": row,
                "content": content.fixed,
                "erasable": None if content.erasable is None else salted(salt, content.erasable),
                "previous": previous,
            }
            previous = link_hash(link)
            batch.links.append({**link, "hash": previous})
            if content.erasable is not None:
                batch.salts.append({"number": number, "salt": salt})
    return batch


def _added(tx: Connection, batch: _Batch) -> bool:
    if heads.hold(tx, HEAD) != batch.after or _newest_act(tx) != batch.acts:
        return False
    heads.advance(tx, HEAD, by=len(batch.links))
    tx.execute(insert(audit), batch.links)
    if batch.salts:
        tx.execute(insert(audit_salts), batch.salts)
    return True


def _newest_act(conn: Connection) -> int:
    return conn.execute(select(func.max(acts.c.seq))).scalar() or 0


def _rows_to_seal(conn: Connection, name: str, *, limit: int) -> list[int]:
    """Numbers of rows that are not in the chain yet, oldest first."""
    number = SEALED[name]
    newest = select(func.max(audit.c.of_row)).where(audit.c.of_table == name)
    since = (conn.execute(newest).scalar() or 0) - (LATE if conn.dialect.name == "postgresql" else 0)
    in_chain = select(audit.c.number).where(audit.c.of_table == name, audit.c.of_row == number).exists()
    wanted = select(number).where(number > since, ~in_chain).order_by(number).limit(limit)
    return list(conn.execute(wanted).scalars())


def contents_of(conn: Connection, name: str, numbers: Sequence[int]) -> dict[int, Content]:
    """What is hashed of these rows of one table, as they lie in the ledger now."""
    if not numbers:
        return {}
    key, erasable = SEALED[name], ERASABLE.get(name)
    parts = _parts_of(conn, name, numbers)
    found = {}
    for row in conn.execute(_rows_of(name).where(key.in_(numbers))):
        values = row._asdict()
        number, blanked = values[key.name], values.pop(erasable, None) if erasable else None
        kept = None if erasable is None or blanked == ERASED[name] else str(blanked)
        found[number] = Content(_digest({"row": _plain(values), "parts": parts.get(number, [])}), kept)
    return found


def _parts_of(conn: Connection, name: str, numbers: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    part = _PARTS.get(name)
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    if part is not None:
        ordered = select(*_raw(part)).where(part.c.version.in_(numbers)).order_by(*part.primary_key.columns)
        for row in conn.execute(ordered):
            found[row.version].append(_plain(row._asdict()))
    return found


def link_hash(link: Mapping[str, Any]) -> str:
    """The hash of one row of the chain, over its own columns and the hash of the row before."""
    at = to_microseconds(link["at"])
    return _digest({name: at if name == "at" else link[name] for name in link if name != "hash"})


def salted(salt: str, text: str) -> str:
    """A hash that says nothing without its salt."""
    return hmac.digest(bytes.fromhex(salt), text.encode(), "sha256").hex()


@cache
def _rows_of(name: str) -> Select[Any]:
    """One table's rows as they lie there; put together once, as it has many columns."""
    return select(*_raw(SEALED[name].table))


def _raw(table: Table) -> Iterator[Any]:
    """The columns as they lie in the database: JSON as its text, instants as microseconds."""
    for column in table.columns:
        if isinstance(column.type, Json):
            yield type_coerce(column, Text).label(column.name)
        elif isinstance(column.type, Instant):
            yield type_coerce(column, BigInteger).label(column.name)
        else:
            yield column


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can say exactly; a column without a value is left out, so that a new column changes no old hash."""
    return {name: _exact(value) for name, value in values.items() if value is not None}


def _exact(value: Any) -> Any:
    match value:
        case bool() | str():
            return value
        case int():
            return value if abs(value) <= _MOST_EXACT else str(value)
        case float():
            return value if math.isfinite(value) else repr(value)
        case _:
            return hashlib.sha256(bytes(value)).hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: Any) -> str:
    """The value as RFC 8785 writes it; names are ASCII, as those of columns are.

    rfc8785 itself takes a call for every quote in a string, and the candidates of a decision are a string with a
    thousand names in it. JSON's own encoder escapes the same characters in the same way.
    """
    match value:
        case str():
            return encode_basestring(value)
        case list():
            return f"[{','.join(map(canonical, value))}]"
        case dict():
            return f"{{{','.join(f'{encode_basestring(name)}:{canonical(value[name])}' for name in sorted(value))}}}"
        case _:
            return rfc8785.dumps(value).decode()
