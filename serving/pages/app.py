"""The pages: a web application beside the interface, drawn on the server, without a build step.

How it hangs together. `serving.web.app.layers` puts `Pages` before the interface's gate (by `LatePages`, which loads
them once the service is ready): addresses that a page has go to the application that `build_pages` makes, all others
pass on. A page reads the ledger's lists, and for everything else calls the interface in this process as whoever is
signed in (`visitor.ask`), so that it can show and change only what that role may.

To add a page:

1. a module beside this one with a `router` and `RULES` (who may open each route; without a rule nobody may), its
   handlers `async`, reading the ledger on a thread: `await to_thread.run_sync(...)`. Name it in PAGES below.
2. a template in templates/ that extends `base.html` (blocks `title`, `content`); macros are in `macros.html`. It has
   `say("key")` for words, `fig` for numbers and times (`fig.percent`, `fig.points`, `fig.interval`, `fig.ago`, ...),
   and `visitor`.
3. its words in words/en.yaml and words/zh.yaml, under a section of its own; a test holds both to the same keys.
4. a chart, if it needs one: the macro `chart` takes its data, static/charts.js draws it with one look. No inline
   script and no inline style will run: the Content-Security-Policy forbids both.
5. its line in tests/browser/test_every_page.py, which opens it in both languages, wide and narrow, and looks for
   what is broken.

A change is a POSTed form with `{{ csrf() }}` in it, answered by a redirect (303) to the page that shows it.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from fastapi import Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import compile_path
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.errors import BusyError, ConflictError, InputError
from data.settings import Settings
from serving.pages import (
    assignments,
    hand_over,
    home,
    model,
    my_leads,
    one_decision,
    rule_book,
    sign_in,
    sources,
    team,
    visitor,
    worth,
)
from serving.pages.call import Api
from serving.pages.render import page
from serving.pages.visitor import FiguresComingError, PageRules, SignInNeededError
from serving.running.parts import Parts
from serving.web.problems import Problem, problem_of
from serving.web.quotas import FailedTries

log = logging.getLogger(__name__)
STATIC = Path(__file__).with_name("static")
PAGES: tuple[ModuleType, ...] = (
    home, sign_in, assignments, hand_over, one_decision, worth, team, rule_book, sources, model, my_leads,
)  # fmt: skip
RULES: PageRules = {address: rule for each in PAGES for address, rule in each.RULES.items()}
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class Pages:
    """ASGI middleware: a page's address is answered here, any other by what comes after."""

    def __init__(self, app: ASGIApp, *, parts: Callable[[], Parts | None], settings: Settings) -> None:
        self._app = app
        self._pages = build_pages(Api(app), parts, settings)
        self._paths = [(compile_path(path)[0], path) for path in {path for _, path in RULES}]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        route = self._route(scope) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["route"] = route

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [*message.get("headers", ()), *HEADERS]
                if route != "/static":
                    kept.append((b"cache-control", b"no-store"))
                message["headers"] = kept
            await send(message)

        await self._pages(scope, receive, send_guarded)

    def _route(self, scope: Scope) -> str | None:
        path = scope["path"]
        if path.startswith("/static/"):
            return "/static"
        return next((route for regex, route in self._paths if regex.match(path)), None)


def build_pages(api: Api, parts: Callable[[], Parts | None], settings: Settings) -> FastAPI:
    """The application of the pages; it answers 503 until there are parts."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.api, app.state.parts, app.state.settings = api, parts, settings
    app.state.addresses = {path for _, path in RULES}
    app.state.failures = FailedTries(settings.key_failures_per_minute)
    for each in PAGES:
        app.include_router(each.router, dependencies=[Depends(_admit)])
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_exception_handler(SignInNeededError, _to_sign_in)
    app.add_exception_handler(FiguresComingError, _figures_coming)
    for known in (Problem, BusyError, ConflictError, InputError):
        app.add_exception_handler(known, _foreseen)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(Exception, _unforeseen)
    return app


async def _admit(request: Request) -> None:
    request.state.visitor = await visitor.admit(request, RULES)


async def _to_sign_in(request: Request, _error: Exception) -> Response:
    """To the sign-in, and back afterwards. A link from elsewhere comes without the cookie: it is asked once more."""
    from_elsewhere = request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET"
    if from_elsewhere:
        return await _drawn(request, "again.html", 200)
    address = visitor.sign_in_address(request)
    if "hx-request" in request.headers:
        return Response(status_code=200, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


async def _figures_coming(request: Request, _error: Exception) -> Response:
    return await _drawn(request, "coming.html", 200)


async def _foreseen(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem is None:
        raise error
    reply = await _drawn(request, "problem.html", problem.status, problem=problem)
    reply.headers.update(problem.headers)
    return reply


async def _framework_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return await _foreseen(request, Problem(status, "There is no such page."))


async def _unforeseen(request: Request, error: Exception) -> Response:
    problem = Problem(500, "Something went wrong here; it is in the log under this request's id.")
    return await _drawn(request, "problem.html", 500, problem=problem)


async def _drawn(request: Request, template: str, status: int, **given: Any) -> Response:
    if not hasattr(request.state, "visitor"):  # it went wrong before anybody was admitted
        if request.app.state.parts() is None:
            return Response("The service is starting; try again.", 503, headers={"Retry-After": "1"})
        request.state.visitor = await visitor.visitor_at(request)
    return page(request, template, status=status, **given)
