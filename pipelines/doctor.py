"""Whether the ledger is sound: everything that follows from its rows is worked out again and compared."""

from data.store import audit_check, checks
from data.store.checks import Finding
from data.store.ledger import Ledger

__all__ = ["Finding", "examine"]


def examine(ledger: Ledger, *, kept_head: str | None = None) -> list[Finding]:
    """What differs from what the rows say; empty for a sound ledger.

    Capacity from its entries, every lead's and decision's state from decisions, events, overrides and endings,
    stored answers from their decisions, the roster from its history, SQLite's file by its own check, and the first
    row that is not what the audit chain sealed.
    kept_head : NUMBER:HASH of the chain as it was printed at some time: whether the chain still holds it.
    """
    with ledger.reading() as conn:
        found = checks.everything(conn)
        return found + (list(audit_check.follows(conn, kept_head)) if kept_head else [])
