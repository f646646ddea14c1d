"""The two calls that come with every lead, without what the framework does for a call in general.

They are declared in `serving.routes.decisions`, from where the API's description has them. FastAPI would read the body
a second time, look for dependencies and pass six layers of its own, which takes as long as everything that stands
before it; here the same functions are called with the body that was read already. Errors rise to the guard.
"""

from typing import TypeVar

from anyio import to_thread
from fastapi import FastAPI
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.api import AssignIn, ScoreIn
from serving.problems import invalid
from serving.routes.decisions import assign, score

Body = TypeVar("Body", bound=BaseModel)


async def answer_score(request: Request) -> Response:
    """`POST /v1/score`."""
    return await to_thread.run_sync(score, _body(ScoreIn, request), request)


async def answer_assign(request: Request) -> Response:
    """`POST /v1/assign`."""
    key = request.headers.get("idempotency-key")
    return await to_thread.run_sync(assign, _body(AssignIn, request), request, key)


ANSWERS = {"/v1/score": answer_score, "/v1/assign": answer_assign}


class Quick:
    """Innermost ASGI middleware: answers the two calls itself; any other goes on."""

    def __init__(self, app: ASGIApp, *, application: FastAPI) -> None:
        """The layer before `app`. application : whose state has the service's parts."""
        self._app = app
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on. The gate has let through nothing but the declared method."""
        answer = ANSWERS.get(scope["state"]["route"]) if scope["type"] == "http" else None
        if answer is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._application
        response = await answer(Request(scope, receive, send))
        await response(scope, receive, send)


def _body(kind: type[Body], request: Request) -> Body:
    """The body as the guard read it. Raises the Problem that FastAPI's own check would lead to."""
    try:
        return kind.model_validate(request.state.body, from_attributes=True)
    except ValidationError as error:
        raise invalid(error.errors()) from None
