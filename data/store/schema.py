"""The schema's version: made or brought up to date once, under a lock; an unknown one is refused."""

from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from data.errors import InputError

HEAD = "0007"
KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
_ADVISORY_LOCK = 0x6C656164  # "lead": any number that our starters agree on


def is_current(conn: Connection) -> bool:
    """Whether the database has today's schema. Raises InputError for a schema that is not ours or newer."""
    tables = set(inspect(conn).get_table_names())
    if not tables:
        return False
    if "alembic_version" not in tables:
        raise InputError(f"{_named(conn)} holds tables of another program; name another LEADMATCH_DATABASE_URL.")
    versions = set(conn.execute(text("SELECT version_num FROM alembic_version")).scalars())
    if unknown := versions - set(KNOWN):
        raise InputError(
            f"{_named(conn)} has schema {', '.join(sorted(unknown))}, this leadmatch knows {HEAD}: "
            "it is a newer leadmatch's or another program's; upgrade leadmatch or name another database."
        )
    return versions == {HEAD}


def bring_up_to_date(conn: Connection) -> None:
    """Run the missing steps inside the caller's transaction, which no other starter shares."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SET LOCAL lock_timeout = '60s'"))
        conn.execute(text("SET LOCAL statement_timeout = 0"))
        conn.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK})
    if is_current(conn):  # another starter was first
        return
    from alembic import command  # here, not above: a worker that finds today's schema need not import it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    command.upgrade(config, "head")


def _named(conn: Connection) -> str:
    return f"The ledger {conn.engine.url.render_as_string(hide_password=True)}"
