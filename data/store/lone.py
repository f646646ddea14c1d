"""One at a time: locks that a process holds for as long as it lives."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import RefusedError
from data.store.folders import make_folder

log = logging.getLogger(__name__)


@contextmanager
def alone(file: Path, what: str) -> Iterator[None]:
    """The block runs in one process of this machine at a time; the system gives the lock back if it dies.

    Raises RefusedError where another process holds it; `what` names the job in the message.
    """
    make_folder(file.parent)
    number = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"{what} is already running; this one ends. See {file.name} for its process.") from None
        os.ftruncate(number, 0)
        os.write(number, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(number)


class Caretaker:
    """The one process of a home that does what need be done once; each may become it when the last one is gone.

    It guards work, not rows: where the file is gone or several machines share a database, what two of them prepare is
    still written once. `held` may be asked by any thread, the rest is one thread's.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._number: int | None = None

    @property
    def held(self) -> bool:
        """Whether it is this process."""
        return self._number is not None

    def take(self) -> bool:
        """Whether it is this process: from now on, if it was nobody."""
        if self._number is None:
            make_folder(self._file.parent)
            number = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(number)
                return False
            except OSError:  # a file system without locks: each worker is its own caretaker, as the rows bear it
                log.warning("%s cannot be locked here: every worker does what one would do for all", self._file.name)
            self._number = number
        return True

    def give_up(self) -> None:
        """Let it be another process, which may be one that can do the work."""
        if self._number is not None:
            number, self._number = self._number, None
            os.close(number)
