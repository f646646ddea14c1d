"""Whether a model does on real leads what it did on its canaries: it scores them, with finite numbers."""

import threading
from collections import deque

RECENT = 200  # leads that are looked back on
FEWEST = 10  # failures, so that a few odd leads do not speak against a model
SHARE = 0.05  # of the recent leads


class Probation:
    """The recent leads of one bundle in one process, and how many of them it failed on."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._lock = threading.Lock()

    def note(self, *, well: bool) -> None:
        """Count a lead that was scored, or was not."""
        with self._lock:
            self._recent.append(well)

    def problem(self) -> str | None:
        """Why the model should not stay in force; None: it may."""
        with self._lock:
            seen, failed = len(self._recent), self._recent.count(False)
        if failed < FEWEST or failed < SHARE * seen:
            return None
        return f"{failed} of the last {seen} leads could not be scored"
