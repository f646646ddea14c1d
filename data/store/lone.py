"""One at a time: a lock that a job holds for as long as its process lives."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import RefusedError


@contextmanager
def alone(file: Path, what: str) -> Iterator[None]:
    """The block runs in one process of this machine at a time; the system gives the lock back if it dies.

    Raises RefusedError where another process holds it; `what` names the job in the message.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
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
