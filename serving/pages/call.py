"""The service's own interface, called as whoever is signed in: a page can do what a client can, and nothing else."""

import json
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.auth import Caller
from serving.web.problems import FieldError, Problem

JSON = {"Content-Type": "application/json"}


class Api:
    """Calls in this process, past the gate and its rules like any other."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def call(self, caller: Caller, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The reply's JSON. Raises Problem for an error, whether a rule, a type or a route refused."""
        transport = httpx.ASGITransport(_As(self._app, caller))
        content = None if body is None else json.dumps(body).encode()
        given = {name: value for name, value in query.items() if value is not None}
        async with httpx.AsyncClient(transport=transport, base_url="http://service", trust_env=False) as client:
            reply = await client.request(method, path, content=content, headers=JSON if content else {}, params=given)
        if reply.is_success:
            return reply.json()
        told = reply.json()
        errors = [FieldError(error["field"], error["problem"]) for error in told.get("errors", [])]
        raise Problem(reply.status_code, told["detail"], errors)


class _As:
    """The application with a caller who is known already."""

    def __init__(self, app: ASGIApp, caller: Caller) -> None:
        self._app = app
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": {"caller": self._caller}}, receive, send)
