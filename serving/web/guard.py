"""What stands before every request: an id, limits on size, time and number, strict JSON, and one shape of error."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio import to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.running import metrics
from serving.web.admission import Lane
from serving.web.problems import MEDIA_TYPE, FieldError, Problem, problem_of
from serving.web.strict_json import MalformedJsonError, read_json

log = logging.getLogger(__name__)
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
WITH_BODY = ("POST", "PUT", "PATCH")
TIMEOUT_S = 30.0  # longer than any deadline of ours: whoever is cut off here does not know what became of the request
LONG_WAIT_S = 10.0  # for a slot of those that take seconds
PATIENT = 2  # calls of leads that may wait for each slot: fewer, and a few callers that never pause are turned away
LARGE_BYTES = 65_536  # above this, parsing moves to a thread: it would hold up everybody else


@dataclass(frozen=True)
class Limits:
    """How much one request may ask for, and how many may be under way at once."""

    body_bytes: int
    batch_body_bytes: int
    batch_paths: Collection[str]
    deadline_s: float
    object_paths: Collection[str] = ()  # where another framework reads the body, and would log what is no object
    read_s: float = 5.0  # a slow body gets no longer than this
    slots: int = 4  # requests at work at once
    short_wait_s: float = 0.02  # a wait for a slot that is always allowed
    burst: int = 100  # requests that may wait longer, before it has to calm down
    lead_paths: Collection[str] = ()  # the calls of every lead have slots of their own: no table stands in their way
    lead_slots: int = 2
    long_paths: Collection[str] = ()  # those that take seconds have slots of their own, as their deadlines are long
    long_slots: int = 2
    always_answered: Collection[str] = ("/livez", "/readyz", "/healthz", "/metrics")


class Guard:
    """Outermost ASGI middleware: gives every request an id, logs it, and turns every error into a problem reply."""

    def __init__(self, app: ASGIApp, *, timeout_s: float = TIMEOUT_S) -> None:
        self._app = app
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, whatever happens below."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        async def send_in_time(message: Message) -> None:
            if message["type"] == "http.response.start":
                time_out.reschedule(None)  # how long a table takes to come across is its reader's own affair
            await send_with_id(message)

        try:
            async with asyncio.timeout(self._timeout_s) as time_out:
                await self._app(scope, receive, send_in_time)
        except Exception as error:
            late = isinstance(error, TimeoutError) and time_out.expired()
            problem = self._too_late() if late else problem_of(error)
            if problem is None:
                log.error("unforeseen error", exc_info=error, extra={"request_id": request_id})
                problem = Problem(500, "Something went wrong here; it is in the log under this request's id.")
            if not status:
                await send_problem(problem, request_id, send_with_id)
        finally:
            _note(scope, status, time.perf_counter() - begun)

    def _too_late(self) -> Problem:
        return Problem(504, f"There was no answer within {self._timeout_s:g} seconds; ask again, with the same key.")


class Bodies:
    """ASGI middleware that admits a request only with a whole, small enough, strictly readable JSON body."""

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        short = partial(Lane, short_s=limits.short_wait_s, burst=limits.burst)
        self._lane = short(slots=limits.slots, waited=partial(metrics.waited, "other"))
        lead_lane = short(
            slots=limits.lead_slots, patient=PATIENT * limits.lead_slots, waited=partial(metrics.waited, "lead")
        )
        long_lane = Lane(
            slots=limits.long_slots, short_s=LONG_WAIT_S, burst=0, waited=partial(metrics.waited, "batch")
        )
        self._lanes = dict.fromkeys(limits.lead_paths, lead_lane) | dict.fromkeys(limits.long_paths, long_lane)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body read, or raise the Problem that answers it."""
        if scope["type"] != "http" or scope["path"] in self._limits.always_answered:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        scope["state"]["deadline"] = time.monotonic() + self._deadline_s(headers)
        body = None
        if scope["method"] in WITH_BODY:
            _check_media_type(headers)
            # Before a slot is taken: clients that send slowly must not keep the others out.
            body = await self._body(scope["path"], headers, receive)
            receive = _replayed(body, receive)
        is_long = scope["path"] in self._limits.long_paths
        lane = self._lanes.get(scope["path"], self._lane)
        async with lane.slot(time.monotonic() + LONG_WAIT_S if is_long else scope["state"]["deadline"]):
            if body is not None:  # not read for those who are turned away
                scope["state"]["body"] = await self._value(scope["path"], body)
            await self._app(scope, receive, send)

    async def _value(self, path: str, body: bytes) -> Any:
        value = await _read(body)
        if path in self._limits.object_paths and not isinstance(value, dict):
            raise Problem(422, "The body must be an object.", [FieldError("body", "must be an object")])
        return value

    async def _body(self, path: str, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The whole body, counted as it comes in: a client's own word on its length is not enough."""
        large = path in self._limits.batch_paths
        limit = self._limits.batch_body_bytes if large else self._limits.body_bytes
        too_large = Problem(413, f"The body may have at most {limit} bytes.")
        said = headers.get(b"content-length")
        if said is not None and not (said.isdigit() and len(said) < 16):
            raise Problem(400, "Content-Length is not a number.")
        if said is not None and int(said) > limit:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.read_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "The connection ended before the body did.")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > limit:
                        raise too_large
        except TimeoutError:
            raise Problem(408, f"The body did not arrive within {self._limits.read_s:g} seconds.") from None
        return bytes(body)

    def _deadline_s(self, headers: dict[bytes, bytes]) -> float:
        asked = headers.get(b"x-request-deadline-ms", b"")
        if asked.isdigit() and len(asked) < 10:
            return min(int(asked) / 1000, self._limits.deadline_s)
        return self._limits.deadline_s


async def send_problem(problem: Problem, request_id: str, send: Send) -> None:
    """Send the problem as the whole answer."""
    headers = [(b"content-type", MEDIA_TYPE.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    body = problem.as_bytes(request_id)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _check_media_type(headers: dict[bytes, bytes]) -> None:
    media_type, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise Problem(415, "Send the body as application/json in UTF-8.")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(415, "Send the body without a content encoding.")


async def _read(body: bytes) -> Any:
    try:
        return await to_thread.run_sync(read_json, body) if len(body) > LARGE_BYTES else read_json(body)
    except MalformedJsonError as error:
        raise Problem(400, f"The body is not JSON that everybody reads alike: {error}.") from None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body in one piece, then whatever the connection says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _note(scope: Scope, status: int, seconds: float) -> None:
    """One line of the log and of the metrics; the route as it is declared, so that no id and no query is in it."""
    state: dict[str, Any] = scope["state"]
    route = state.get("route", "unknown")
    method = scope["method"] if scope["method"] in (*WITH_BODY, "GET", "HEAD", "DELETE", "OPTIONS") else "other"
    metrics.request_done(method, route, status, seconds)
    caller = state.get("caller")
    extra = {
        "request_id": state["request_id"],
        "method": method,
        "route": route,
        "status": status,
        "ms": round(1000 * seconds, 1),
        "client": caller.client_id if caller else None,
        "key": caller.key_id if caller else None,
    }
    log.info("request", extra=extra)
