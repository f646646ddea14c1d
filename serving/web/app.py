"""The web application: routes, the table of who may call them, and what stands before them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from data.errors import BusyError, ConflictError, InputError
from data.settings import Settings
from data.store.keys import Key
from serving.pages.late import LatePages
from serving.routes import customers, decisions, hooks, model, pool, privacy, replay, reports, roster, rules, webhooks
from serving.routes.quick import ANSWERS, Quick
from serving.running import gauges, metrics
from serving.running.parts import Parts
from serving.web.auth import ANYONE, Gate, Rule, Rules, keys_of
from serving.web.described import described
from serving.web.guard import Bodies, Guard, Limits
from serving.web.problems import MEDIA_TYPE, Problem, invalid, problem_of, retry_later
from serving.web.quotas import FailedTries, Quota

OPEN: Rules = {
    ("GET", "/openapi.json"): ANYONE,
    ("GET", "/docs"): ANYONE,
    ("GET", "/metrics"): Rule(roles=frozenset({"analyst", "admin"}), without_key="this machine"),
}
# Those that the framework around the application answers itself.
FRAMEWORK: Rules = {
    ("GET", "/livez"): ANYONE,
    ("GET", "/readyz"): ANYONE,
    ("GET", "/healthz"): ANYONE,
    ("GET", "/schema.json"): ANYONE,
    ("GET", "/static_content/{path:path}"): ANYONE,
    ("POST", "/score"): keys_of("crm", "manager", "analyst", "admin"),
}
ROUTES = (
    decisions,
    customers,
    roster,
    rules,
    model,
    replay,
    reports,
    webhooks,
    hooks,
    privacy,
    pool,
)
RULES: Rules = {**OPEN, **FRAMEWORK, **{call: rule for routes in ROUTES for call, rule in routes.RULES.items()}}
PREFIXES = ("/v1/", "/static_content/")
FIXED = frozenset(path for _, path in {**OPEN, **FRAMEWORK})
BATCH_PATHS = frozenset({"/v1/assign/batch", "/v1/outcomes", "/v1/reps"})
STARTED_WITHIN_S = 1.5  # that a request waits for its worker
LONG_PATHS = frozenset({"/v1/assign/batch"})  # a thousand leads must not stand between one lead and its answer


class Application(FastAPI):
    """The application, which describes its errors as they are sent."""

    def openapi(self) -> dict[str, Any]:
        """The description at `/openapi.json`."""
        if self.openapi_schema is None:
            self.openapi_schema = described(super().openapi(), RULES)
        return self.openapi_schema


def build_app() -> FastAPI:
    """The application; it answers 503 until `state.parts` are set, and `state.later` is to be called after that."""
    bearer = Security(HTTPBearer(auto_error=False))
    app = Application(title="leadmatch", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.parts = None
    app.state.later = []
    for routes in ROUTES:
        app.include_router(routes.router, dependencies=[bearer])
    app.add_api_route("/docs", docs, include_in_schema=False)
    app.add_api_route("/metrics", latest_metrics, include_in_schema=False)
    for known in (Problem, BusyError, ConflictError, InputError):
        app.add_exception_handler(known, _foreseen)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(Exception, _unforeseen)
    return app


def layers(app: FastAPI, settings: Settings) -> list[tuple[type, dict[str, Any]]]:
    """What stands before the application, outermost first: class and arguments of each ASGI middleware."""
    limits = Limits(
        body_bytes=settings.max_body_bytes,
        batch_body_bytes=settings.max_batch_body_bytes,
        batch_paths=BATCH_PATHS,
        deadline_s=settings.request_deadline_ms / 1000,
        object_paths=frozenset({"/score"}),
        lead_paths=ANSWERS.keys(),
        lead_slots=settings.requests_at_once,
        short_wait_s=settings.queue_wait_ms / 1000,
        burst=settings.queue_burst,
        long_paths=LONG_PATHS,
    )
    pages = {
        "parts": lambda: app.state.parts,
        "settings": settings,
        "interface": is_interface,
        "later": app.state.later,
    }
    gate = {
        "rules": RULES,
        "find_key": key_finder(app),
        "quota": Quota(settings.key_requests_per_minute),
        "failed": FailedTries(settings.key_failures_per_minute),
    }
    return [
        (Guard, {}),
        (LatePages, pages),
        (Gate, gate),
        (Bodies, {"limits": limits}),
        (Quick, {"application": app}),
    ]


def is_interface(path: str) -> bool:
    """Whether no page can have this address."""
    return path.startswith(PREFIXES) or path in FIXED


def key_finder(app: FastAPI) -> Callable[[str], Awaitable[Key | None]]:
    """How the gate finds a key, once there is a ledger to find it in.

    A worker that begins takes connections beside those that are ready: its first requests wait for it a moment.
    """

    async def find(presented: str) -> Key | None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while app.state.parts is None:
            if loop.time() > begun + STARTED_WITHIN_S:
                raise retry_later(503, "The service is starting; try again.")
            await asyncio.sleep(0.02)
        parts: Parts = app.state.parts
        return await to_thread.run_sync(parts.key, presented)

    return find


def docs() -> HTMLResponse:
    """The API as a page, from files that come with the service: it works without the internet."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="leadmatch",
        swagger_js_url="/static_content/swagger-ui-bundle.js",
        swagger_css_url="/static_content/swagger-ui.css",
        swagger_favicon_url="/static_content/favicon-light-32x32.png",
    )


def latest_metrics(request: Request) -> Response:
    """The service's figures for Prometheus: what its workers counted, and how things stand."""
    told, parts = metrics.latest(), request.app.state.parts
    if parts is not None:
        with parts.ledger.reading() as conn:
            in_force = parts.watch.look(conn)
            told += gauges.standing(conn, in_force, parts.home, parts.ledger.wal_bytes(), parts.clock())
    return Response(told, media_type=metrics.CONTENT_TYPE_LATEST)


def _reply(problem: Problem, request: Request) -> Response:
    body = problem.as_bytes(getattr(request.state, "request_id", None))
    return Response(body, problem.status, headers=dict(problem.headers), media_type=MEDIA_TYPE)


async def _foreseen(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem is None:
        raise error
    return _reply(problem, request)


async def _unfit(request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    cut = [{**detail, "loc": tuple(detail["loc"])[1:]} for detail in details]  # without "body" or "query"
    return _reply(invalid(cut), request)  # type: ignore[arg-type]


async def _framework_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _reply(Problem(status, "The request cannot be answered."), request)


async def _unforeseen(request: Request, error: Exception) -> Response:
    # The framework raises it again behind this reply; the guard logs it there.
    return _reply(Problem(500, "Something went wrong here; it is in the log under this request's id."), request)
