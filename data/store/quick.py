"""Statements of the hot path, run on SQLite's own cursor.

SQLAlchemy takes some 70 microseconds about a statement that SQLite answers in 5, and a decision has sixteen of them.
Each is compiled once here; types read and write as everywhere else, errors are SQLAlchemy's own. On PostgreSQL the way
to the server is what costs, so there they go through SQLAlchemy as they are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable

Process = Callable[[Any], Any]


class _Compiled(NamedTuple):
    sql: str
    names: Sequence[str]  # of the values, in the order in which they are bound
    binds: Sequence[tuple[int, Process]]  # the places of those that are written otherwise than they are given
    results: Sequence[tuple[int, Process]]  # the same of the columns that it returns


class Quick:
    """One statement without values of its own; every call gives it values of the same names."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: _Compiled | None = None

    def rows(self, conn: Connection, given: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """The rows that it finds or returns."""
        if conn.dialect.name != "sqlite":
            return conn.execute(self._statement, given).all()
        prepared = self._compiled or self._prepared(conn, given)
        found: list[Sequence[Any]] = _run(conn, "execute", prepared.sql, _bound(prepared, given)).fetchall()
        return [_processed([*row], prepared.results) for row in found] if prepared.results else found

    def row(self, conn: Connection, given: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row, of one at most; None where there is none."""
        found = self.rows(conn, given)
        return found[0] if found else None

    def run(self, conn: Connection, given: Mapping[str, Any]) -> int:
        """Execute it; how many rows it changed."""
        if conn.dialect.name != "sqlite":
            return conn.execute(self._statement, given).rowcount
        prepared = self._compiled or self._prepared(conn, given)
        return int(_run(conn, "execute", prepared.sql, _bound(prepared, given)).rowcount)

    def run_many(self, conn: Connection, given: Sequence[Mapping[str, Any]]) -> None:
        """Execute it once for each of these values, of which there is at least one."""
        if conn.dialect.name != "sqlite":
            conn.execute(self._statement, given)
            return
        prepared = self._compiled or self._prepared(conn, given[0])
        _run(conn, "executemany", prepared.sql, (_bound(prepared, each) for each in given))

    def _prepared(self, conn: Connection, given: Mapping[str, Any]) -> _Compiled:
        self._compiled = _compiled(self._statement, conn.dialect, list(given))
        return self._compiled


def _run(conn: Connection, how: str, sql: str, values: Iterable[Any]) -> Any:
    """The driver's own cursor, after it was told to execute."""
    if not conn.in_transaction():
        conn.begin()  # as SQLAlchemy does before its first statement: all of them see one snapshot
    try:
        return getattr(conn.connection.dbapi_connection, how)(sql, values)
    except conn.dialect.loaded_dbapi.Error as error:
        base = conn.dialect.loaded_dbapi.Error
        raise DBAPIError.instance(sql, None, error, base, hide_parameters=True) from error


def _bound(prepared: _Compiled, given: Mapping[str, Any]) -> Sequence[Any]:
    return _processed([given[name] for name in prepared.names], prepared.binds)


def _processed(values: list[Any], processes: Sequence[tuple[int, Process]]) -> list[Any]:
    for place, process in processes:
        values[place] = process(values[place])
    return values


def _compiled(statement: Executable, dialect: Dialect, names: list[str]) -> _Compiled:
    made: Any = statement.compile(dialect=dialect, column_keys=names)  # type: ignore[attr-defined]
    bound = made.positiontup or ()
    columns = statement.selected_columns if isinstance(statement, Select) else ()
    binds = [made.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in bound]
    results = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    return _Compiled(made.string, tuple(bound), _those(binds), _those(results))


def _those(processes: Sequence[Process | None]) -> Sequence[tuple[int, Process]]:
    return [(place, process) for place, process in enumerate(processes) if process is not None]
