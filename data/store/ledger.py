"""One door to the ledger's database: short reads, one writer at a time, and BusyError when not in time."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import URL, Engine, make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from data.crash_points import crash_at
from data.errors import BusyError, InputError
from data.store import engines, schema
from data.store.kept import Kept
from data.store.locks import WriterTurn

__all__ = ["Connection", "Ledger"]

_STARTING_S = 60.0  # how long a starter waits for another one's migration
_BUSY, _LOCKED, _IO_ERROR, _FULL, _CANNOT_OPEN = 5, 6, 10, 13, 14  # SQLite's primary result codes


class Ledger:
    """An open ledger. Use `reading()` and `writing()`; the functions of this package take what they give."""

    def __init__(
        self, url: URL, writer: Engine | Kept, reader: Engine | Kept, turn: WriterTurn | None, wait_s: float
    ) -> None:
        self.url = url
        self._writer = writer
        self._reader = reader
        self._turn = turn  # SQLite's; PostgreSQL locks rows instead
        self._wait_s = wait_s
        self._failed = False

    @classmethod
    def open(cls, url: str, lock_timeout_s: float = 1.5) -> "Ledger":
        """The ledger at `url` (sqlite:///FILE or postgresql+psycopg://...), created or migrated if need be.

        lock_timeout_s : how long a writer waits for its turn before BusyError.
        Raises InputError, in one line, for a file that is corrupt, on a network file system, or written by a
        newer leadmatch; BusyError where the server cannot be reached.
        """
        parsed = _parsed(url)
        if parsed.get_backend_name() == "postgresql":
            ledger = cls(parsed, *engines.postgres(parsed, lock_timeout_s), None, lock_timeout_s)
        else:
            path = Path(str(parsed.database))
            engines.prepare_file(path)
            turn = WriterTurn(path.with_name(path.name + ".lock"))
            writer = engines.sqlite_writer(path, lock_timeout_s)
            ledger = cls(parsed, writer, engines.sqlite_reader(path, lock_timeout_s), turn, lock_timeout_s)
        try:
            ledger._prepare()
        except BaseException:
            ledger.close()
            raise
        return ledger

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file, where it is one."""
        return Path(str(self.url.database)) if self._turn else None

    def wal_bytes(self) -> int:
        """Size of SQLite's log beside the file: it grows while a reader keeps it from being taken in."""
        if self.sqlite_file is None:
            return 0
        wal = self.sqlite_file.with_name(f"{self.sqlite_file.name}-wal")
        return wal.stat().st_size if wal.exists() else 0

    def close(self) -> None:
        """Give all connections back to the system."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one snapshot and cannot write; keep it short. Raises BusyError."""
        with self._translating_errors(), self._reader.connect() as conn:
            yield conn  # begun by its first statement, rolled back at the end

    @contextmanager
    def writing(self, *, until: float = math.inf) -> Iterator[Connection]:
        """A transaction: committed when the block ends, rolled back when it raises. Raises BusyError.

        until : on the monotonic clock; SQLite's writers wait no longer for their turn.
        BusyError at the end of the block means that the commit's fate is unknown: look the key up, or let
        the client try again, which replays what was committed.
        """
        with self._writing(min(self._wait_s, max(until - time.monotonic(), 0.0))) as conn:
            yield conn

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes to SQLite's file meanwhile, not through us. Raises BusyError."""
        with self._turn.held(self._wait_s) if self._turn else nullcontext():
            yield

    def leave_no_trace(self, *, wait_s: float = 5.0) -> bool:
        """Whether old copies of what was erased are gone from the database's files; a long reader may keep them.

        SQLite overwrites what it frees; the write-ahead log still holds it until its pages have moved and it is cut.
        """
        if isinstance(self._writer, Engine):
            with self._writer.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                conn.execute(text("VACUUM"))
            return True
        deadline = time.monotonic() + wait_s
        while True:
            with self._translating_errors(), self._writer.connect() as conn:
                busy = conn.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if not busy or time.monotonic() >= deadline:
                return not busy
            time.sleep(0.05)

    @property
    def failed(self) -> bool:
        """Whether its disk failed under a write: nothing is written any more, until the service starts anew."""
        return self._failed

    @contextmanager
    def _writing(self, wait_s: float) -> Iterator[Connection]:
        if self._failed:
            raise BusyError("The ledger's disk failed; restart the service once it is repaired.", retry_after_s=30)
        with self._translating_errors():
            if self._turn is None:
                with self._writer.connect() as conn, conn.begin():
                    yield conn
                    crash_at("before_commit")
            else:
                with self._turn.held(wait_s), self._writer.connect() as conn, conn.begin():
                    yield conn
                    crash_at("before_commit")
        crash_at("after_commit")

    def _prepare(self) -> None:
        """Check the database and bring its schema up to date."""
        path = self.sqlite_file
        try:
            if path is None or path.stat().st_size:
                with self.reading() as conn:
                    if path is not None:
                        engines.check_file(path, conn)
                    if schema.is_current(conn):
                        return
            with self._writing(_STARTING_S) as tx:
                schema.bring_up_to_date(tx)
        except DatabaseError as error:
            if path is None:
                raise
            raise engines.corrupt(path, error) from None

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        """BusyError for what another try may mend: a lock, a full disk, a server that is gone."""
        try:
            yield
        except PoolTimeoutError:
            raise BusyError("All connections to the ledger are in use; try again.") from None
        except DBAPIError as error:
            code = getattr(error.orig, "sqlite_errorcode", None)
            if code is None and (error.connection_invalidated or isinstance(error, OperationalError)):
                raise BusyError(f"The ledger cannot be reached or locked: {_first_line(error)}") from None
            if code is not None and code & 0xFF in (_BUSY, _LOCKED, _IO_ERROR, _FULL, _CANNOT_OPEN):
                # After a failed fsync, what the kernel still holds of the file cannot be trusted.
                self._failed = self._failed or code & 0xFF == _IO_ERROR
                raise BusyError(f"The ledger cannot be written or locked: {_first_line(error)}") from None
            raise


def _first_line(error: DBAPIError) -> str:
    return f"{type(error.orig).__name__}: {error.orig}".splitlines()[0]


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter would repeat what stands where a port should: a password, say
        raise InputError("LEADMATCH_DATABASE_URL is not a database URL, such as sqlite:////srv/ledger.db.") from None
    if parsed.get_backend_name() == "postgresql":
        return parsed
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise InputError(
            "The ledger needs sqlite:////ABSOLUTE/FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE."
        )
    return parsed
