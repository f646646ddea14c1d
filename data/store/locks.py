"""One writer at a time: threads by a lock, processes by flock. SQLite's own waiting starves writers."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import BusyError

_POLL_S = 0.001


class WriterTurn:
    """The right to write to one SQLite file. The kernel takes it back from a process that is killed."""

    def __init__(self, lock_file: Path) -> None:
        self._lock_file = str(lock_file)
        self._threads = threading.Lock()

    @contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:
        """The block runs alone. Raises BusyError where the turn does not come in time."""
        deadline = time.monotonic() + timeout_s
        if not self._threads.acquire(timeout=timeout_s):
            raise _busy(timeout_s)
        try:
            # Opened anew each time: a lock on an inherited descriptor would be shared with a forked child.
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                while not _locked(descriptor):
                    if time.monotonic() >= deadline:
                        raise _busy(timeout_s)
                    time.sleep(_POLL_S)
                yield
            finally:
                os.close(descriptor)
        finally:
            self._threads.release()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _busy(timeout_s: float) -> BusyError:
    return BusyError(f"The ledger was busy for {timeout_s:g} s; try again.")
