"""Whether the ledger is sound: everything that follows from its rows is worked out again and compared."""

from pathlib import Path

from data.errors import InputError
from data.store import audit_check, checks, endpoints, sources
from data.store.checks import Finding
from data.store.ledger import Connection, Ledger
from serving.events import secret_sources

__all__ = ["Finding", "examine"]


def examine(ledger: Ledger, *, home: Path | None = None, kept_head: str | None = None) -> list[Finding]:
    """What differs from what the rows say; empty for a sound ledger.

    Capacity from its entries, every lead's and decision's state from decisions, events, overrides and endings,
    stored answers from their decisions, the facts that reports count, the roster from its history, SQLite's file by its
    own check, and the first row that is not what the audit chain sealed.
    home : where secrets lie: whether each that an endpoint or a source names can be read, and by its owner alone.
    kept_head : NUMBER:HASH of the chain as it was printed at some time: whether the chain still holds it.
    """
    with ledger.reading() as conn:
        found = checks.everything(conn)
        if home is not None:
            found += _secrets(conn, home)
        return found + (list(audit_check.follows(conn, kept_head)) if kept_head else [])


def _secrets(conn: Connection, home: Path) -> list[Finding]:
    named = [(one.endpoint_id, one.secret_from) for one in endpoints.everybody(conn) if one.active]
    named += [(one.source_id, secret) for one in sources.everybody(conn) for secret in one.secrets_from]
    found = []
    for name, source in named:
        try:
            secret_sources.read(source, home)
        except InputError as error:
            found.append(Finding("the secret", name, "readable by its owner alone", str(error)))
    return found
