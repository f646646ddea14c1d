"""Who may begin now, who waits a moment, and who is turned away: nobody is answered late.

A service that accepts everything answers everybody late, and then nobody in time. This one lets so many requests
work at once; some wait, and more while their wait is short; a burst may wait longer, but no burst lasts for ever:
once its credit is used up, whoever does not get a slot within some milliseconds is told to come back. Told at once,
clients that do not pause would ask again at once, and a few of them would keep the service busy turning them away.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serving.web.problems import Problem, retry_later

FIRST_HOLD_S = 0.005  # taken for a request's time in its slot until some have been seen
NEWEST_COUNTS = 0.05  # share of the newest request in the mean
MOST_COUNTED = 2.0  # times the mean, or a short wait, as which a longer one counts: a moment's halt says little
TOLD_AFTER_S = 0.006  # then whoever had to expect more than a short wait is turned away
REFILLED_IN_S = 5.0  # a burst's whole credit comes back within this time of leisure
RETRY_WITHIN_S = 3  # whoever is turned away is told 1 to 3 seconds in turn, so that they do not come back together


class Lane:
    """Slots for the requests under way and the queue before them. For one event loop."""

    def __init__(
        self,
        *,
        slots: int,
        short_s: float,
        burst: int,
        waited: Callable[[float], None],
        patient: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """An empty lane.

        slots : requests at work at once; patient : how many may wait until their deadline, as many as there are slots
        if not told; short_s : a wait always allowed; burst : requests that may wait longer, up to their own deadline,
        where they have to expect it; waited : is told each one's seconds in the queue, whether a slot came or not.
        """
        self._slots = slots
        self._patient = slots if patient is None else patient
        self._short_s = short_s
        self._burst = burst
        self._waited = waited
        self._clock = clock
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._hold_s = FIRST_HOLD_S
        self._credit = float(burst)
        self._credit_as_of = clock()
        self._turned_away = 0

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @asynccontextmanager
    async def slot(self, deadline: float) -> AsyncIterator[None]:
        """The block runs in a slot. Raises Problem 503 where none comes soon enough, or by the (monotonic) deadline."""
        self._refill()
        if self._busy >= self._slots or self._waiting:
            await self._wait(deadline)
        else:
            self._busy += 1
        begun = self._clock()
        try:
            yield
        finally:
            counted_s = min(self._clock() - begun, max(MOST_COUNTED * self._hold_s, self._short_s))
            self._hold_s += NEWEST_COUNTS * (counted_s - self._hold_s)
            self._release()

    def _longest_wait(self, deadline: float) -> float:
        """How long whoever joins the queue now may stay there; the longer ones take from the burst's credit."""
        left_s = max(deadline - self._clock(), 0.0)
        expected_s = (len(self._waiting) + 1) * self._hold_s / self._slots
        if len(self._waiting) < self._patient or expected_s <= self._short_s:
            return left_s
        if self._credit < 1.0 or expected_s > left_s:
            return min(TOLD_AFTER_S, self._short_s, left_s)
        self._credit -= 1.0
        return left_s

    async def _wait(self, deadline: float) -> None:
        longest_s = self._longest_wait(deadline)
        turn = asyncio.get_running_loop().create_future()
        begun = self._clock()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(longest_s):
                await turn
        except TimeoutError:
            self._leave(turn)
            raise self._busy_now() from None
        except asyncio.CancelledError:
            self._leave(turn)
            raise
        finally:
            self._waited(self._clock() - begun)

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """Give up a place in the queue, or the slot that came at the very moment."""
        if turn in self._waiting:
            self._refill()
            self._waiting.remove(turn)
        elif not turn.cancelled():
            self._release()

    def _release(self) -> None:
        """Give a slot back, and hand what is free to those who wait longest."""
        self._refill()
        self._busy -= 1
        while self._waiting and self._busy < self._slots:
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)

    def _refill(self) -> None:
        """Credit for the time since the last change; only leisure brings some.

        Leisure is half of the slots idle: where too many come, there are moments without a queue, and a credit from
        them would let a late one in again and again.
        """
        now = self._clock()
        if self._busy <= self._slots // 2:
            gained = (now - self._credit_as_of) * self._burst / REFILLED_IN_S
            self._credit = min(self._credit + gained, float(self._burst))
        self._credit_as_of = now

    def _busy_now(self) -> Problem:
        self._turned_away += 1
        return retry_later(503, "Too many requests are under way; try again.", 1 + self._turned_away % RETRY_WITHIN_S)
