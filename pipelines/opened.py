"""The installation's ledger, for commands."""

from collections.abc import Iterator
from contextlib import contextmanager

from data.settings import Settings
from data.store.ledger import Ledger


@contextmanager
def ledger() -> Iterator[Ledger]:
    """The installation's ledger, closed afterwards."""
    opened = Ledger.open(Settings().ledger_url)
    try:
        yield opened
    finally:
        opened.close()
