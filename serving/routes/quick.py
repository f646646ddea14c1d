"""The two calls that come with every lead, without what the framework does for a call in general.

They are declared in `serving.routes.decisions`, from where the API's description has them. FastAPI would read the body
a second time and look for dependencies, which takes as long as everything that stands before it; here the same
functions are called with the body that was read already.
"""

from typing import TypeVar

from anyio import to_thread
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.api import AssignIn, ScoreIn
from serving.problems import invalid
from serving.routes.decisions import assign, score

Body = TypeVar("Body", bound=BaseModel)


def quick_routes() -> list[Route]:
    """The routes that answer in place of those which are declared."""
    return [Route("/v1/score", _score, methods=["POST"]), Route("/v1/assign", _assign, methods=["POST"])]


async def _score(request: Request) -> Response:
    return await to_thread.run_sync(score, _body(ScoreIn, request), request)


async def _assign(request: Request) -> Response:
    key = request.headers.get("idempotency-key")
    return await to_thread.run_sync(assign, _body(AssignIn, request), request, key)


def _body(kind: type[Body], request: Request) -> Body:
    """The body as the guard read it. Raises the Problem that FastAPI's own check would lead to."""
    try:
        return kind.model_validate(request.state.body, from_attributes=True)
    except ValidationError as error:
        raise invalid(error.errors()) from None
