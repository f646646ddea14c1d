"""More requests than can be served, sent when they are due and not when the one before was answered.

A client that waits for its answer before it asks again slows down with the service, and hides what everybody else
would meet. Loopback alone, and bounded: so many seconds, and at most MOST_CONNECTIONS at once.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MOST_CONNECTIONS = 300
AT_ONCE = 4  # clients that ask one request after the other, to find the most that can be served
UNLOADED, OVERLOADED, AFTERWARDS = 0.2, 3.0, 0.5  # shares of that most
FLOOR_S = 0.06  # waits below this are no harm, whatever the unloaded ones are
REJECTED_WITHIN_S, RECOVERED_WITHIN_S = 0.02, 3.0


@dataclass(frozen=True)
class Answer:
    """What came of one request: seconds since the beginning of its run, and how long it took."""

    sent_s: float
    took_s: float
    late_s: float  # how long after it was due it was sent: the generator's own delay
    status: int
    retry_after: str | None

    @property
    def rejected(self) -> bool:
        """Whether it was told to come back."""
        return self.status in (429, 503)


@dataclass(frozen=True)
class Outcome:
    """What was measured, in seconds and requests a second."""

    most: float
    unloaded: Sequence[Answer]
    overloaded: Sequence[Answer]
    afterwards: Sequence[Answer]
    unsent: int

    @property
    def limit_s(self) -> float:
        """What an accepted request may take at most, in the 99th of a hundred."""
        return max(2 * p99(self.unloaded), FLOOR_S)

    def recovery_s(self) -> float:
        """Seconds from the end of the overload to the last request that was rejected or took too long."""
        slow = [one.sent_s for one in self.afterwards if one.rejected or one.took_s > self.limit_s]
        return max(slow, default=0.0)

    def problems(self) -> Iterator[str]:
        """What is not as it must be, whatever the machine's speed."""
        for one in (*self.unloaded, *self.overloaded, *self.afterwards):
            if one.status not in (200, 429, 503):
                yield f"an answer of status {one.status}"
            if one.rejected and one.retry_after not in ("1", "2", "3"):
                yield f"turned away with Retry-After {one.retry_after}"
        if not any(one.rejected for one in self.overloaded):
            yield "nobody was turned away"

    def missed(self) -> Iterator[str]:
        """The targets in time that were not met here."""
        if p99(accepted(self.overloaded)) > self.limit_s:
            yield f"accepted p99 within {_ms(self.limit_s)}"
        if p99(rejected(self.overloaded)) > REJECTED_WITHIN_S:
            yield f"rejections within {_ms(REJECTED_WITHIN_S)}"
        if self.recovery_s() > RECOVERED_WITHIN_S:
            yield f"recovery within {RECOVERED_WITHIN_S:g} s"

    def __str__(self) -> str:
        good, away = accepted(self.overloaded), rejected(self.overloaded)
        return (
            f"at most {self.most:.0f} requests/s; unloaded p99 {_ms(p99(self.unloaded))}; "
            f"at {OVERLOADED:g} times that: {len(self.overloaded)} sent, {len(good)} accepted in p50 {_ms(p50(good))} "
            f"p99 {_ms(p99(good))}, {len(away)} turned away in p50 {_ms(p50(away))} p99 {_ms(p99(away))}; "
            f"recovered after {self.recovery_s():.1f} s; sender late p99 "
            f"{_ms(float(np.quantile([one.late_s for one in self.overloaded], 0.99)))}, unsent {self.unsent}; "
            f"not met: {'; '.join(self.missed()) or 'nothing'}"
        )


def accepted(answers: Sequence[Answer]) -> list[Answer]:
    """Those that were served."""
    return [one for one in answers if one.status == 200]


def rejected(answers: Sequence[Answer]) -> list[Answer]:
    """Those that were told to come back."""
    return [one for one in answers if one.rejected]


def p99(answers: Sequence[Answer]) -> float:
    """Seconds that 99 of 100 stayed within; nan of none."""
    return float(np.quantile([one.took_s for one in answers], 0.99)) if answers else float("nan")


def p50(answers: Sequence[Answer]) -> float:
    """Seconds that half of them stayed within; nan of none."""
    return float(np.quantile([one.took_s for one in answers], 0.5)) if answers else float("nan")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


class Connection(asyncio.Protocol):
    """A kept connection that has one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, str | None]] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to ask."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> "asyncio.Future[tuple[int, str | None]]":
        """The coming (status, Retry-After); ConnectionError where the connection ends."""
        assert self._transport is not None
        self._answer, self._received = asyncio.get_running_loop().create_future(), b""
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Wait for the whole answer."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or self._answer is None or self._answer.done():
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        if len(body) >= int(headers.get("content-length", 0)):
            self._answer.set_result((int(lines[0].split(" ", 2)[1]), headers.get("retry-after")))

    def connection_lost(self, exc: Exception | None) -> None:
        """No answer will come."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed before the answer"))

    @property
    def closed(self) -> bool:
        """Whether it cannot be asked any more."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()


class Load:
    """Requests to 127.0.0.1:port, each for another lead."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._made = 0
        self._idle: deque[Connection] = deque()
        self._open = 0
        self.unsent = 0

    async def closed_loop(self, seconds: float) -> float:
        """Requests a second that AT_ONCE clients get answered who ask one after the other."""
        ends, served = time.monotonic() + seconds, 0

        async def client() -> None:
            nonlocal served
            while time.monotonic() < ends:
                answer = await self._one(time.monotonic(), time.monotonic())
                served += answer.status == 200  # not in one line with the wait: others count meanwhile

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        return served / seconds

    async def open_loop(self, rate: float, seconds: float) -> list[Answer]:
        """The answers to `rate` requests a second, each sent when it is due."""
        begun, tasks = time.monotonic(), []
        for number in range(round(rate * seconds)):
            due = begun + number / rate
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if not self._idle and self._open >= MOST_CONNECTIONS:
                self.unsent += 1
            else:
                tasks.append(asyncio.create_task(self._one(begun, due)))
        return list(await asyncio.gather(*tasks))

    async def _one(self, begun: float, due: float) -> Answer:
        connection = await self._connection()
        self._made += 1
        request = self._request(self._made)
        sent = time.monotonic()
        status, retry_after = await connection.ask(request)
        took_s = time.monotonic() - sent
        self._idle.append(connection)
        return Answer(sent - begun, took_s, sent - due, status, retry_after)

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            self._open -= 1
        self._open += 1
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, "127.0.0.1", self._port))[1]

    def _request(self, number: int) -> bytes:
        body = json.dumps({"lead": {"lead_id": f"L-{number}", "source": "web", "region": "north"}}).encode()
        head = f"POST /v1/assign HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._key}\r\n"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            connection.close()


async def _measured(port: int, key: str, seconds: float) -> Outcome:
    load = Load(port, key)
    await load.closed_loop(seconds / 4)  # warm
    most = await load.closed_loop(seconds / 2)
    unloaded = await load.open_loop(UNLOADED * most, seconds)
    overloaded = await load.open_loop(OVERLOADED * most, seconds)
    afterwards = await load.open_loop(AFTERWARDS * most, RECOVERED_WITHIN_S * 2)
    load.close()
    return Outcome(most, unloaded, overloaded, afterwards, load.unsent)


def saturated(port: int, key: str, seconds: float) -> Outcome:
    """One service at leisure, at three times what it can do for `seconds`, and afterwards."""
    return asyncio.run(_measured(port, key, seconds))
