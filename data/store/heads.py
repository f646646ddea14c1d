"""The newest number of each numbered list; who holds its row is the only one to add to the list."""

from sqlalchemy import text
from sqlalchemy.engine import Connection

from data.store.quick import Quick

_LOOK = Quick(text("SELECT number FROM heads WHERE name = :name"))
_LOOK_AT_ALL = Quick(text("SELECT name, number FROM heads"))
_HOLD = text("SELECT number FROM heads WHERE name = :name FOR UPDATE")
_ADVANCE = Quick(text("UPDATE heads SET number = number + :by WHERE name = :name RETURNING number"))


def number(conn: Connection, name: str) -> int:
    """The newest number; 0 while the list is empty."""
    (found,) = _LOOK.rows(conn, {"name": name})
    return int(found[0])


def numbers(conn: Connection) -> dict[str, int]:
    """The newest number of each list, by name: of all of them in one look."""
    return {name: int(found) for name, found in _LOOK_AT_ALL.rows(conn, {})}


def hold(tx: Connection, name: str) -> int:
    """The same; nobody else adds to the list before this transaction ends."""
    if tx.dialect.name == "sqlite":  # whoever writes to it writes alone
        return number(tx, name)
    return tx.execute(_HOLD, {"name": name}).scalar_one()


def advance(tx: Connection, name: str, *, by: int = 1) -> int:
    """The next number, or the last of the next `by`, taken."""
    (found,) = _ADVANCE.rows(tx, {"name": name, "by": by})
    return int(found[0])
