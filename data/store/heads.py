"""The newest number of each numbered list; who holds its row is the only one to add to the list."""

from sqlalchemy import text
from sqlalchemy.engine import Connection

from data.store.quick import Quick

_READ = text("SELECT number FROM heads WHERE name = :name")
_LOOK = Quick(_READ)
_LOOK_AT_ALL = Quick(text("SELECT name, number FROM heads"))
_HOLD = text("SELECT number FROM heads WHERE name = :name FOR UPDATE")
_ADVANCE = text("UPDATE heads SET number = number + :by WHERE name = :name RETURNING number")


def number(conn: Connection, name: str) -> int:
    """The newest number; 0 while the list is empty."""
    (found,) = _LOOK.rows(conn, {"name": name})
    return int(found[0])


def numbers(conn: Connection) -> dict[str, int]:
    """The newest number of each list, by name: of all of them in one look."""
    return {name: int(found) for name, found in _LOOK_AT_ALL.rows(conn, {})}


def hold(tx: Connection, name: str) -> int:
    """The same; nobody else adds to the list before this transaction ends."""
    return tx.execute(_READ if tx.dialect.name == "sqlite" else _HOLD, {"name": name}).scalar_one()


def advance(tx: Connection, name: str, *, by: int = 1) -> int:
    """The next number, or the last of the next `by`, taken."""
    return tx.execute(_ADVANCE, {"name": name, "by": by}).scalar_one()
