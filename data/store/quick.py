"""Statements of the hot path, run on SQLite's own cursor.

SQLAlchemy takes some 70 microseconds about a statement that SQLite answers in 5, and a decision has eighteen of them.
Each is compiled once here; types read and write as everywhere else, errors are SQLAlchemy's own. On PostgreSQL the way
to the server is what costs, so there they go through SQLAlchemy as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

Process = Callable[[Any], Any] | None


class _Compiled(NamedTuple):
    sql: str
    binds: Sequence[tuple[str, Process]]
    results: Sequence[Process]  # nothing where no column needs any


class Quick:
    """One statement without values of its own; every call gives it values of the same names."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: _Compiled | None = None

    def rows(self, conn: Connection, given: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """The rows that it finds or returns."""
        if conn.dialect.name != "sqlite":
            return conn.execute(self._statement, given).all()
        found, results = self._run(conn, given).fetchall(), self._prepared(conn.dialect, given).results
        if not results:
            return list(found)
        return [
            tuple(process(value) if process else value for process, value in zip(results, row, strict=True))
            for row in found
        ]

    def row(self, conn: Connection, given: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row, of one at most; None where there is none."""
        found = self.rows(conn, given)
        return found[0] if found else None

    def run(self, conn: Connection, given: Mapping[str, Any]) -> int:
        """Execute it; how many rows it changed."""
        if conn.dialect.name != "sqlite":
            return conn.execute(self._statement, given).rowcount
        return int(self._run(conn, given).rowcount)

    def _run(self, conn: Connection, given: Mapping[str, Any]) -> Any:
        if not conn.in_transaction():
            conn.begin()  # as SQLAlchemy does before its first statement: all of them see one snapshot
        prepared = self._prepared(conn.dialect, given)
        values = [process(given[name]) if process else given[name] for name, process in prepared.binds]
        driver = conn.connection.dbapi_connection
        try:
            return driver.execute(prepared.sql, values)  # type: ignore[union-attr]  # it is open
        except conn.dialect.loaded_dbapi.Error as error:
            base = conn.dialect.loaded_dbapi.Error
            raise DBAPIError.instance(prepared.sql, None, error, base, hide_parameters=True) from error

    def _prepared(self, dialect: Dialect, given: Mapping[str, Any]) -> _Compiled:
        if self._compiled is None:
            self._compiled = _compiled(self._statement, dialect, list(given))
        return self._compiled


def _compiled(statement: Executable, dialect: Dialect, names: list[str]) -> _Compiled:
    made: Any = statement.compile(dialect=dialect, column_keys=names)  # type: ignore[attr-defined]
    binds = [(name, _bind(made.binds[name].type, dialect)) for name in made.positiontup or ()]
    columns = statement.selected_columns if isinstance(statement, Select) else ()
    results = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    return _Compiled(made.string, binds, results if any(results) else ())


def _bind(kind: TypeEngine[Any], dialect: Dialect) -> Process:
    return kind.dialect_impl(dialect).bind_processor(dialect)
