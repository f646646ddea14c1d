"""How often somebody may ask: a bucket of requests for each key, and a count of failed tries for each source."""

import math
import time
from collections.abc import Callable
from typing import Any

from serving.web.problems import Problem, retry_later

MINUTE_S = 60.0
MOST_NAMES = 4_096  # buckets and counts held at once; the longest unused goes first


class Quota:
    """A bucket for each name: it holds a minute's worth of requests and fills up evenly. For one thread."""

    def __init__(self, a_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}  # name -> (requests left, as of)

    def take(self, name: str) -> None:
        """Take one request out of the bucket. Raises Problem 429 where it is empty."""
        left, now = self._level(name)
        if left < 1.0:
            wait_s = (1.0 - left) * MINUTE_S / self._a_minute
            raise retry_later(429, f"This key may ask {self._a_minute} times a minute.", math.ceil(wait_s))
        _keep(self._left, name, (left - 1.0, now))

    def _level(self, name: str) -> tuple[float, float]:
        now = self._clock()
        left, as_of = self._left.get(name, (float(self._a_minute), now))
        return min(left + (now - as_of) * self._a_minute / MINUTE_S, float(self._a_minute)), now


class FailedTries:
    """How often each source presented something that opens nothing. For one thread.

    A key is 256 random bits, so this does not save keys from being guessed: it saves the ledger from the guessing.
    """

    def __init__(self, a_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._tries: dict[str, list[float]] = {}

    def refusal(self, source: str) -> Problem | None:
        """The 429 that a source gets which failed too often within the last minute."""
        recent = self._recent(source)
        if len(recent) < self._a_minute:
            return None
        wait_s = recent[0] + MINUTE_S - self._clock()
        return retry_later(429, "Too many keys were refused from this address; try again later.", math.ceil(wait_s))

    def note(self, source: str) -> None:
        """Count a failed try."""
        _keep(self._tries, source, [*self._recent(source), self._clock()])

    def _recent(self, source: str) -> list[float]:
        since = self._clock() - MINUTE_S
        return [at for at in self._tries.get(source, ()) if at > since]


def _keep(held: dict[str, Any], name: str, value: Any) -> None:
    held.pop(name, None)
    if len(held) >= MOST_NAMES:
        del held[next(iter(held))]
    held[name] = value
