"""The two calls that come with every lead, without what the framework does for a call in general.

They are declared in `serving.routes.decisions`, from where the API's description has them. FastAPI would read the body
a second time, look for dependencies and pass six layers of its own, which takes as long as everything that stands
before it; here the same functions are called with the body that was read already, on threads that cost a turn of the
event loop less than the framework's. Errors rise to the guard.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from fastapi import FastAPI
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.routes.decisions import assign, score
from serving.web.api import AssignIn, ScoreIn
from serving.web.problems import invalid

Body = TypeVar("Body", bound=BaseModel)


def answer_score(request: Request) -> Callable[[], Response]:
    """`POST /v1/score`, ready to be worked out."""
    return partial(score, _body(ScoreIn, request), request)


def answer_assign(request: Request) -> Callable[[], Response]:
    """`POST /v1/assign`, ready to be worked out."""
    return partial(assign, _body(AssignIn, request), request, request.headers.get("idempotency-key"))


ANSWERS = {"/v1/score": answer_score, "/v1/assign": answer_assign}
THREADS = 16  # more would only wait for each other


class Quick:
    """Innermost ASGI middleware: answers the two calls itself; any other goes on."""

    def __init__(self, app: ASGIApp, *, application: FastAPI) -> None:
        """The layer before `app`. application : whose state has the service's parts."""
        self._app = app
        self._application = application
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="answer")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on. The gate has let through nothing but the declared method."""
        answer = ANSWERS.get(scope["state"]["route"]) if scope["type"] == "http" else None
        if answer is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._application
        work = answer(Request(scope, receive, send))
        response = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        await response(scope, receive, send)


def _body(kind: type[Body], request: Request) -> Body:
    """The body as the guard read it. Raises the Problem that FastAPI's own check would lead to."""
    try:
        return kind.model_validate(request.state.body, from_attributes=True)
    except ValidationError as error:
        raise invalid(error.errors()) from None
