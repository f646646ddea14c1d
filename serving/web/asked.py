"""What a route takes from a request besides its body: the service's parts, who asks, and how long there is."""

import time

from starlette.requests import Request
from starlette.responses import Response

from serving.running.parts import Parts
from serving.web.auth import Caller
from serving.web.problems import retry_later


def parts_of(request: Request) -> Parts:
    """The service's parts. Raises Problem 503 while they are not together yet."""
    parts: Parts | None = request.app.state.parts
    if parts is None:
        raise retry_later(503, "The service is starting; try again.")
    return parts


def caller_of(request: Request) -> Caller:
    """Who asks, as the gate found out."""
    caller: Caller = request.state.caller
    return caller


def deadline_of(request: Request, *, at_least_s: float = 0.0) -> float:
    """When this request's time is over, on the monotonic clock."""
    return max(float(request.state.deadline), time.monotonic() + at_least_s if at_least_s else 0.0)


def json_reply(body: bytes, headers: dict[str, str] | None = None) -> Response:
    """A reply of JSON that is encoded already."""
    return Response(body, media_type="application/json", headers=headers)
