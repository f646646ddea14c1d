"""What takes long to make and is not needed for a decision: made once the service is ready, or by who asks before."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """Something that the first call makes, while whoever calls meanwhile waits for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: T | None = None

    @property
    def made(self) -> T | None:
        """It, or None while it has not been made."""
        return self._made

    def __call__(self) -> T:
        """It. What goes wrong in making it is raised here, and tried again by the next call."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made
