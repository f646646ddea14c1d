"""Whether the ledger is sound: everything that follows from its rows is worked out again and compared."""

from data.store import checks
from data.store.checks import Finding
from data.store.ledger import Ledger

__all__ = ["Finding", "examine"]


def examine(ledger: Ledger) -> list[Finding]:
    """What differs from what the rows say; empty for a sound ledger.

    Capacity from its entries, every lead's and decision's state from decisions, events, overrides and endings,
    stored answers from their decisions, the roster from its history, and SQLite's file by its own check.
    """
    with ledger.reading() as conn:
        return checks.everything(conn)
