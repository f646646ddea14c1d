"""One door to the ledger's database: short reads, one writer at a time, and BusyError when not in time."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection


class Ledger:
    """An open ledger. Use `reading()` and `writing()`; the functions of this package take what they give."""

    @classmethod
    def open(cls, url: str, lock_timeout_s: float = 1.5) -> "Ledger":
        """The ledger at `url` (sqlite:///FILE or postgresql+psycopg://...), created or migrated if need be.

        lock_timeout_s : how long a writer waits for its turn before BusyError.
        Raises InputError, in one line, for a file that is corrupt, on a network file system, or written by a
        newer leadmatch; BusyError where the server cannot be reached.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give all connections back to the system."""
        raise NotImplementedError

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one snapshot and cannot write; keep it short. Raises BusyError."""
        raise NotImplementedError
        yield

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: committed when the block ends, rolled back when it raises. Raises BusyError.

        BusyError at the end of the block means that the commit's fate is unknown: look the key up, or let
        the client try again, which replays what was committed.
        """
        raise NotImplementedError
        yield
