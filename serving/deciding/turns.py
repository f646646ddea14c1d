"""Turns within one process: two requests for one lead are answered one after the other."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from serving.web.problems import retry_later


class Turns:
    """Lets two requests for one lead take turns; the second finds the first one's decision."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], tuple[threading.Lock, int]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def alone(self, name: tuple[str, str], deadline: float) -> Iterator[None]:
        """The block runs alone for this lead in this process. Raises Problem 409 where the turn does not come."""
        with self._lock:
            turn, waiting = self._turns.get(name, (threading.Lock(), 0))
            self._turns[name] = (turn, waiting + 1)
        try:
            if not turn.acquire(timeout=min(max(deadline - time.monotonic(), 0.0), 60.0)):
                raise retry_later(409, "This lead is being decided right now; try again.")
            try:
                yield
            finally:
                turn.release()
        finally:
            with self._lock:
                turn, waiting = self._turns.pop(name)
                if waiting > 1:
                    self._turns[name] = (turn, waiting - 1)
