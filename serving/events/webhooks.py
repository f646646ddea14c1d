"""What lies in the outbox, sent: signed, again and again until it arrives, in order for each lead.

Any number of workers may run a sender: a lease on a message keeps the others from it. A sender that is killed between
sending and writing it down leaves its message to be sent again, under the same id.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from data.errors import BusyError, InputError
from data.store import endpoints, outbox
from data.store.endpoints import Endpoint
from data.store.ledger import Ledger
from data.store.outbox import DEAD, PENDING, SENT, Message, Settled
from serving.events import secret_sources
from serving.events.attempts import Attempt
from serving.events.outward import Outward, UnreachableError
from serving.events.signing import standard_headers
from serving.events.writeback import dynamics, hubspot, odoo, pipedrive, salesforce, zoho
from serving.running import metrics

log = logging.getLogger(__name__)
# Before each attempt, as Standard Webhooks recommends; after the tenth a message is dead, some 75 hours old.
DELAYS_S = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.1
ENDING_S = 2.0
MOST_AT_ONCE = 16  # messages under one lease
HELD_S, MOST_HELD_S = 4.0, 240.0  # an endpoint in trouble is left alone, twice as long each time


Deliver = Callable[[Outward, Endpoint, str, Message, datetime], Awaitable[Attempt]]


async def post_signed(outward: Outward, endpoint: Endpoint, secret: str, message: Message, at: datetime) -> Attempt:
    """Tell an endpoint of the kind `webhook`: the message as it lies in the outbox, signed now."""
    body = message.body.encode()
    headers = standard_headers(secret, message.message_id, int(at.timestamp()), body)
    headers["content-type"] = "application/json"
    answer = await outward.request(
        "POST", endpoint.url, content=body, headers=headers, private_allowed=endpoint.private_allowed
    )
    return Attempt.of(answer, at)


DELIVERIES: dict[str, Deliver] = {
    "webhook": post_signed,
    "salesforce": salesforce.deliver,
    "hubspot": hubspot.deliver,
    "zoho": zoho.deliver,
    "pipedrive": pipedrive.deliver,
    "odoo": odoo.deliver,
    "dynamics": dynamics.deliver,
}


class Sender:
    """Sends on a thread of its own."""

    def __init__(
        self,
        ledger: Ledger,
        home: Path,
        *,
        clock: Callable[[], datetime],
        rng: np.random.Generator,
        timeout_s: float = 10.0,
        lease_s: float = 60.0,
        poll_s: float = 1.0,
    ) -> None:
        self._ledger = ledger
        self._home = home
        self._clock = clock
        self._rng = rng
        self._timeout_s = timeout_s
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._held: dict[str, tuple[float, datetime]] = {}  # endpoint -> for how long, until when
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is being sent has a moment to be finished."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * ENDING_S)

    def send_due(self) -> None:
        """Send, on this thread, what is due now."""

        async def once() -> None:
            async with Outward(timeout_s=self._timeout_s) as outward:
                await asyncio.gather(*(self._tell(outward, one) for one in self._due()))

        asyncio.run(once())

    def _run(self) -> None:
        asyncio.run(self._loop())

    async def _loop(self) -> None:
        busy: dict[str, asyncio.Task[None]] = {}
        async with Outward(timeout_s=self._timeout_s) as outward:
            while not self._stopped.is_set():
                busy = {name: task for name, task in busy.items() if not task.done()}
                for name in await asyncio.to_thread(self._due_or_none):
                    if name not in busy:  # one slow endpoint keeps nobody waiting but itself
                        busy[name] = asyncio.create_task(self._tell(outward, name))
                await asyncio.to_thread(self._stopped.wait, self._poll_s)
            if busy:
                await asyncio.wait(busy.values(), timeout=ENDING_S)  # whoever is cut off is told again

    def _due(self) -> list[str]:
        now = self._clock()
        with self._ledger.reading() as conn:
            due = outbox.endpoints_with_due(conn, now)
        return [name for name in due if name not in self._held or self._held[name][1] <= now]

    def _due_or_none(self) -> list[str]:
        try:
            return self._due()
        except BusyError:
            return []  # the upkeep beside us says so

    async def _tell(self, outward: Outward, endpoint_id: str) -> None:
        """Tell one endpoint all that is due, until it is in trouble; whatever goes wrong is tried again later."""
        try:
            goes_on = True
            while goes_on and not self._stopped.is_set():
                goes_on = await self._tell_some(outward, endpoint_id)
        except BusyError as error:
            log.warning("the outbox will be tried again: %s", error)
        except Exception as error:
            log.error("an endpoint could not be told and will be tried again", exc_info=error,
                      extra={"endpoint": endpoint_id})  # fmt: skip

    async def _tell_some(self, outward: Outward, endpoint_id: str) -> bool:
        """Whether there may be more to tell."""
        endpoint, token, messages = await asyncio.to_thread(self._leased, endpoint_id)
        if endpoint is None or not messages:
            return False
        results: list[Settled] = []
        ended, gone = asyncio.get_running_loop().time() + self._lease_s / 2, False
        trouble = False
        for message in messages:
            attempt = await self._attempt(outward, endpoint, message)
            results.append(self._settled(message, attempt))
            trouble, gone = attempt.in_trouble, gone or attempt.gone
            self._hold(endpoint_id, attempt)
            if trouble or gone or asyncio.get_running_loop().time() > ended:
                break
        await asyncio.to_thread(self._write_down, endpoint, token, results, gone)
        return not trouble and not gone

    def _leased(self, endpoint_id: str) -> tuple[Endpoint | None, str, list[Message]]:
        at = self._clock()
        with self._ledger.writing() as tx:
            endpoint = endpoints.find(tx, endpoint_id)
            if endpoint is None or not endpoint.active:
                return None, "", []
            until = at + timedelta(seconds=self._lease_s)
            return endpoint, *outbox.lease(tx, endpoint_id, at=at, until=until, limit=MOST_AT_ONCE)

    async def _attempt(self, outward: Outward, endpoint: Endpoint, message: Message) -> Attempt:
        at = self._clock()
        try:
            secret = secret_sources.read(endpoint.secret_from, self._home)
            attempt = await DELIVERIES[endpoint.kind](outward, endpoint, secret, message, at)
        except UnreachableError as error:
            attempt = Attempt(str(error), in_trouble=True)
        except InputError as error:  # the secret, or what the endpoint was told to do, cannot be used
            attempt = Attempt(str(error), in_trouble=True)
        metrics.told(endpoint.kind, message.topic, arrived=attempt.error is None)
        return attempt

    def _hold(self, endpoint_id: str, attempt: Attempt) -> None:
        if not attempt.in_trouble:
            self._held.pop(endpoint_id, None)
            return
        before_s = self._held.get(endpoint_id, (0.0, None))[0]
        for_s = min(max(2 * before_s, HELD_S), MOST_HELD_S)
        asked_s = min(attempt.retry_after_s, DELAYS_S[-1])
        self._held[endpoint_id] = (for_s, self._clock() + timedelta(seconds=max(for_s, asked_s)))

    def _settled(self, message: Message, attempt: Attempt) -> Settled:
        at, done = self._clock(), message.attempts + 1
        if attempt.error is None:
            return Settled(message.seq, SENT, at, at)
        if done >= len(DELAYS_S):
            return Settled(message.seq, DEAD, at, at, attempt.error)
        wait_s = DELAYS_S[done] * (1 + self._rng.uniform(-JITTER, JITTER))
        wait_s = min(max(wait_s, attempt.retry_after_s), DELAYS_S[-1] * (1 + JITTER))
        return Settled(message.seq, PENDING, at, at + timedelta(seconds=wait_s), attempt.error)

    def _write_down(self, endpoint: Endpoint, token: str, results: list[Settled], gone: bool) -> None:
        with self._ledger.writing() as tx:
            died = outbox.settle(tx, token, results)
            outbox.release(tx, token)
            if gone:
                endpoints.switch(tx, endpoint.endpoint_id, active=False, why_not="it answered 410 Gone")
            for message in died:
                if message.topic != "alarm":  # else a dead alarm would raise the next
                    about = {"endpoint_id": endpoint.endpoint_id, "message_id": message.message_id}
                    outbox.announce(tx, "alarm", at=self._clock(), data={"kind": "dead letter", **about})
        of_endpoint = {"endpoint": endpoint.endpoint_id}
        for message in died:
            log.error("a message was given up", extra={**of_endpoint, "message_id": message.message_id})
        if gone:
            log.error("an endpoint is gone and disabled", extra=of_endpoint)
