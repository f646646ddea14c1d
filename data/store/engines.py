"""Connections to SQLite and PostgreSQL, set so that what was acknowledged is on the disk."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite_driver
from sqlalchemy import URL, Engine, create_engine, event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool, PoolProxiedConnection

from data.errors import InputError
from data.store.filesystems import network_file_system
from data.store.folders import make_folder
from data.store.kept import Kept

WAL_SAFE_SINCE = (3, 51, 3)  # before it, two connections could corrupt the file when the WAL was reset
QUICK_CHECK_UP_TO_BYTES = 64 * 2**20  # a larger file is left to `leadmatch doctor`
MOST_STATEMENTS = 1_000  # that a connection keeps compiled: more than the service has, migrations and all
_TIMEOUT_S = 2
_GONE_AFTER_S = 15  # without a sign of the server


def journal_mode(version: tuple[int, int, int]) -> str:
    """The journal that this SQLite can be trusted with, several processes at once."""
    return "WAL" if version >= WAL_SAFE_SINCE else "TRUNCATE"


def prepare_file(path: Path) -> None:
    """Make the ledger's file, readable by its owner alone. Raises InputError where SQLite must not run."""
    make_folder(path.parent)
    if kind := network_file_system(path.parent):
        raise InputError(
            f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold: "
            "set LEADMATCH_HOME to a local disk, or LEADMATCH_DATABASE_URL to a PostgreSQL."
        )
    # A file that is there is not opened here: closing it would drop the locks that this process has on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def sqlite_writer(path: Path, timeout_s: float) -> Kept:
    """Connections whose transactions take SQLite's lock at once; one, as writers take turns."""
    return _sqlite(path, timeout_s, begin="BEGIN IMMEDIATE")


def sqlite_reader(path: Path, timeout_s: float) -> Kept:
    """Connections that cannot write; each transaction sees one snapshot."""
    return _sqlite(path, timeout_s, begin="BEGIN", pragma="query_only=ON")


def _sqlite(path: Path, timeout_s: float, *, begin: str, pragma: str | None = None) -> Kept:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        module=sqlite_driver,
        connect_args={
            "timeout": timeout_s,
            "check_same_thread": False,
            "isolation_level": None,
            # A full cache takes nothing new in: what is asked for all the time would be compiled each time.
            "cached_statements": MOST_STATEMENTS,
        },
        hide_parameters=True,  # an error's text goes to logs: no customer data in it
        poolclass=NullPool,
    )
    pragmas = [
        f"journal_mode={journal_mode(sqlite_driver.sqlite_version_info)}",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        *([pragma] if pragma else []),
    ]

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        for each in pragmas:
            connection.execute(f"PRAGMA {each}")

    def begin_at_once(connection: PoolProxiedConnection) -> None:
        connection.cursor().execute(begin)

    # Not as a listener: an engine with one asks every statement who listens, a tenth of what a statement costs.
    engine.dialect.do_begin = begin_at_once  # type: ignore[method-assign, assignment]
    return Kept(engine)


def check_file(path: Path, conn: Connection) -> None:
    """Raise InputError for a file that is damaged, as far as a quick look tells."""
    if path.stat().st_size > QUICK_CHECK_UP_TO_BYTES:
        return
    found = conn.execute(text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise corrupt(path, str(found).splitlines()[-1])


def corrupt(path: Path, problem: str | DatabaseError) -> InputError:
    """The one line that a damaged file gets."""
    said = problem if isinstance(problem, str) else str(problem.orig)
    return InputError(f"The ledger {path} is damaged ({said}): restore it from a backup.")


def postgres(url: URL, lock_timeout_s: float) -> tuple[Engine, Engine]:
    """(writer, reader) on one bounded pool: READ COMMITTED, and read-only snapshots."""
    lock_ms = max(1, round(lock_timeout_s * 1000))
    settings = (
        f"-c lock_timeout={lock_ms} -c statement_timeout={max(lock_ms, _TIMEOUT_S * 1000)} "
        f"-c idle_in_transaction_session_timeout=30000 -c timezone=UTC -c synchronous_commit=on"
    )
    writer = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": _TIMEOUT_S, "options": settings, "application_name": "leadmatch",
            # A network that swallows everything must not hold a thread for ever: no server's time-out comes across it.
            "tcp_user_timeout": 1_000 * _GONE_AFTER_S, "keepalives_idle": 5, "keepalives_interval": 5,
            "keepalives_count": 2,
        },
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        pool_size=4,
        max_overflow=4,
        pool_timeout=lock_timeout_s,
        pool_pre_ping=True,
    )
    return writer, writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def allow_long_reads(conn: Connection) -> None:
    """Let this transaction's statements take their time: for exports and checks, never on a request's path."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SET LOCAL statement_timeout = 0"))
