"""The installation's settings and ledger, for commands; what reads them is loaded only by a command that asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data.settings import Settings
    from data.store.ledger import Ledger


def settings() -> "Settings":
    """The installation's settings, as the environment has them. Raises InputError for one that cannot be used."""
    from data.settings import read_settings

    return read_settings()


@contextmanager
def ledger() -> Iterator["Ledger"]:
    """The installation's ledger, closed afterwards."""
    from data.store.ledger import Ledger

    opened = Ledger.open(settings().ledger_url)
    try:
        yield opened
    finally:
        opened.close()
