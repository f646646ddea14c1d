"""Who reads the pages: the session behind the cookie, the role that a page asks for, and that a change was meant."""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anyio import to_thread
from starlette.requests import Request

from data.store import sessions
from data.store.keys import Key
from serving.pages.call import Api
from serving.pages.words import Language, negotiated
from serving.running.parts import Parts
from serving.web.auth import Caller, Rule, keys_of
from serving.web.problems import Problem, retry_later

SESSION, LANGUAGE, THEME, ZONE = "leadmatch_session", "leadmatch_language", "leadmatch_theme", "leadmatch_zone"
THEMES = ("auto", "light", "dark")
MOST_FORM_BYTES = 1_048_576  # a whole rule book, three bytes a byte
READ_WITHIN_S = 10.0
PATIENCE_MS = 120  # that a page waits for figures newer than the last ones
MANAGERS, STAFF = keys_of("manager", "admin"), keys_of("manager", "analyst", "admin")
EVERYBODY = keys_of("rep", "manager", "analyst", "admin")
PageRules = Mapping[tuple[str, str], Rule]


class SignInNeededError(Exception):
    """Nobody is signed in, or the session is over."""


class FiguresComingError(Exception):
    """The page's figures are being worked out; the page shows them once they are there."""


@dataclass(frozen=True)
class Visitor:
    """Who reads a page, and how."""

    key: Key | None  # None: nobody is signed in, on the few pages that allow it
    session_id: str
    language: Language
    theme: str
    zone: ZoneInfo
    now: datetime

    @property
    def caller(self) -> Caller:
        """The visitor as the interface knows her."""
        if self.key is None:
            raise SignInNeededError
        return Caller(self.key.client_id, self.key.role, self.key.id, self.key.rep_id)

    @property
    def role(self) -> str | None:
        """Her role; None where nobody is signed in."""
        return self.key.role if self.key else None

    @property
    def may_change(self) -> bool:
        """Whether she may override decisions and change the rules."""
        return self.role in MANAGERS.roles

    @property
    def csrf(self) -> str:
        """What every change of this session has to carry."""
        return hashlib.sha256(f"csrf {self.session_id}".encode()).hexdigest() if self.session_id else ""


async def admit(request: Request, rules: PageRules) -> Visitor:
    """The visitor, if the rules let her at this page. Raises SignInNeededError or Problem."""
    rule = rules.get((request.method, request.scope["route"].path))
    if rule is None:
        raise Problem(404, "There is no such page.")
    visitor = await visitor_at(request)
    changes = request.method not in ("GET", "HEAD")
    if changes:
        check_same_origin(request)
    if rule.without_key == "anyone":
        return visitor
    if visitor.key is None:
        raise SignInNeededError
    if visitor.key.role not in rule.roles:
        raise Problem(403, f"This page is not for the role {visitor.key.role}.")
    if changes:
        token = request.headers.get("x-csrf-token") or (await form_of(request)).get("csrf", "")
        if not hmac.compare_digest(token.encode(), visitor.csrf.encode()):
            raise Problem(403, "The form is too old; load the page again.")
    return visitor


async def visitor_at(request: Request) -> Visitor:
    """Whoever sends the request."""
    parts: Parts | None = request.app.state.parts()
    if parts is None:
        raise retry_later(503, "The service is starting; try again.")
    session_id = request.cookies.get(SESSION, "")
    now = parts.clock()
    key = await to_thread.run_sync(_key_of, parts, session_id, now) if session_id else None
    chosen = request.cookies.get(LANGUAGE)
    language = negotiated(chosen or request.headers.get("accept-language", ""))
    theme = request.cookies.get(THEME, "auto")
    theme = theme if theme in THEMES else "auto"
    return Visitor(key, session_id if key else "", language, theme, _zone(request.cookies.get(ZONE, "")), now)


def check_same_origin(request: Request) -> None:
    """Raise Problem 403 for a change that another site's page sends."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    fetched_by = request.headers.get("sec-fetch-site")
    same = origin is not None and urlsplit(origin).netloc == host
    if not same or fetched_by not in (None, "same-origin"):
        raise Problem(403, "A change must be sent from a page of this service.")


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a posted form; of a field given twice, all values joined by line breaks."""
    if not hasattr(request.state, "form"):
        request.state.form = await _read_form(request)
    form: dict[str, str] = request.state.form
    return form


async def _read_form(request: Request) -> dict[str, str]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise Problem(415, "Send the form as application/x-www-form-urlencoded.")
    body = bytearray()
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_FORM_BYTES:
                    raise Problem(413, f"A form may have at most {MOST_FORM_BYTES} bytes.")
    except TimeoutError:
        raise Problem(408, f"The form did not arrive within {READ_WITHIN_S:g} seconds.") from None
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=5_000, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise Problem(400, "The form cannot be read.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields[name] = f"{fields[name]}\n{value}" if name in fields else value
    return fields


def here(request: Request) -> str:
    """The page's own address, to come back to."""
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def safe_next(address: str) -> str:
    """An address of this service, whatever was asked for."""
    parts = urlsplit(address)
    inside = address.startswith("/") and not parts.scheme and not parts.netloc and "\\" not in address
    return address if inside and not address.startswith("//") and address.isprintable() else "/"


def sign_in_address(request: Request) -> str:
    """Where to sign in, and come back from."""
    back = here(request) if request.method == "GET" and "hx-request" not in request.headers else "/"
    return "/sign-in" if back == "/" else f"/sign-in?next={quote(back)}"


def parts_of(request: Request) -> Parts:
    """The service's parts; there are some, or nobody would have been admitted."""
    parts: Parts = request.app.state.parts()
    return parts


def api_of(request: Request) -> Api:
    """The service's own interface."""
    api: Api = request.app.state.api
    return api


def visitor_of(request: Request) -> Visitor:
    """Who was admitted."""
    visitor: Visitor = request.state.visitor
    return visitor


async def ask(request: Request, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """A call of the interface as the visitor."""
    return await api_of(request).call(visitor_of(request).caller, method, path, body, **query)


async def reports(request: Request, *names: str, **query: Any) -> dict[str, Any]:
    """These reports as the visitor may see them: new ones, or the last ones where new ones take long.

    Raises FiguresComingError where one of them was never made yet.
    """
    try:
        asked = (ask(request, "GET", f"/v1/reports/{name}", wait_ms=PATIENCE_MS, **query) for name in names)
        return dict(zip(names, await asyncio.gather(*asked), strict=True))
    except Problem as problem:
        if problem.status == 503:
            raise FiguresComingError from problem
        raise


def _key_of(parts: Parts, session_id: str, now: datetime) -> Key | None:
    with parts.ledger.reading() as conn:
        return sessions.find(conn, session_id, at=now)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name) if 0 < len(name) < 60 else ZoneInfo("UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
