"""What one worker runs, whatever serves it: the application with what stands before it, and the upkeep behind it."""

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from anyio import to_thread
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from data import customers
from data.settings import read_settings
from serving.policy import prices
from serving.routes.decisions import score_of
from serving.running.logs import write_json_lines
from serving.running.parts import Parts, Upkeep
from serving.running.process import keep_to_one_core, to_serve
from serving.telling import answers
from serving.web.api import ScoreIn
from serving.web.app import FRAMEWORK, build_app, layers
from serving.web.problems import invalid, problem_of, retry_later

THREADS = 16  # of the pool that runs the routes; more would only wait for each other


class Told(NamedTuple):
    """An answer that is sent by others."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]


class Worker:
    """One worker's application, and its life from the start to the stop."""

    def __init__(self) -> None:
        self.settings = read_settings()
        self.app = build_app()
        self._upkeep = Upkeep(self.settings, self._begin)

    def in_front_of(self, framework: ASGIApp) -> ASGIApp:
        """The whole service: what every request has to pass, then the application, or the framework for its own."""
        theirs = {path for _, path in FRAMEWORK}

        async def either(scope: Scope, receive: Receive, send: Send) -> None:
            own = scope["type"] == "http" and scope["state"]["route"] not in theirs
            await (self.app if own else framework)(scope, receive, send)

        whole: ASGIApp = either
        for layer, arguments in reversed(layers(self.app, self.settings)):
            whole = layer(whole, **arguments)
        return whole

    def start(self, number: int = 0) -> None:
        """Begin the upkeep, which makes the service ready once there is a ledger. number : among the workers."""
        write_json_lines()
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        self._upkeep.start()
        if self.settings.one_core:
            keep_to_one_core(number)
        to_serve()

    async def stop(self) -> None:
        """End the upkeep and close the ledger."""
        self.app.state.parts = None
        await to_thread.run_sync(self._upkeep.stop)

    @property
    def ready(self) -> bool:
        """Whether there is a ledger that can be written; without a model the rule book's fallback decides."""
        parts: Parts | None = self.app.state.parts
        return parts is not None and not parts.ledger.failed

    async def score(self, body: Any) -> "Told":
        """What `POST /v1/score` answers to this body."""
        try:
            asked = ScoreIn.model_validate(body)
            return Told(200, {}, answers.plain(await to_thread.run_sync(score_of, asked, self._parts())))
        except ValidationError as error:
            problem = invalid(error.errors())
        except Exception as error:
            foreseen = problem_of(error)
            if foreseen is None:
                raise
            problem = foreseen
        return Told(problem.status, problem.headers, problem.as_dict())

    def _parts(self) -> Parts:
        parts: Parts | None = self.app.state.parts
        if parts is None:
            raise retry_later(503, "The service is starting; try again.")
        return parts

    def _begin(self, parts: Parts) -> None:
        self.app.state.parts = parts
        threading.Thread(target=self._complete, name="later", daemon=True).start()

    def _complete(self) -> None:
        """Make what was left for later; nobody has to wait for it any more."""
        for make in (customers.prepare, prices.prepare, *self.app.state.later):
            make()
        to_serve()
