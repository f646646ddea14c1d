"""Sign in by a one-time link or by a key, and out again."""

from datetime import timedelta

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from data.errors import InputError
from data.store import keys, sessions
from serving.pages.render import page
from serving.pages.visitor import EVERYBODY, SESSION, PageRules, form_of, parts_of, safe_next, visitor_of
from serving.running.parts import Parts
from serving.web.auth import ANYONE
from serving.web.quotas import FailedTries

router = APIRouter()
RULES: PageRules = {
    ("GET", "/sign-in"): ANYONE,
    ("POST", "/sign-in"): ANYONE,
    ("GET", "/sign-in/{token}"): ANYONE,
    ("POST", "/sign-out"): EVERYBODY,
}


@router.get("/sign-in")
async def sign_in_page(request: Request, next: str = "/") -> Response:
    """The form that takes a key."""
    if visitor_of(request).key is not None:
        return RedirectResponse(safe_next(next), 303)
    return page(request, "sign_in.html", token=None, next=safe_next(next), problem=None)


@router.get("/sign-in/{token}")
async def link_page(request: Request, token: str) -> Response:
    """The page behind a link. Opening it uses nothing up: programs that preview links open them too."""
    return page(request, "sign_in.html", token=token, next="/", problem=None)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """A new session for a link or a key; the browser's old session is over."""
    form = await form_of(request)
    failures: FailedTries = request.app.state.failures
    address = request.client.host if request.client else "unknown"
    if refusal := failures.refusal(address):
        raise refusal
    hours = request.app.state.settings.session_hours
    old = request.cookies.get(SESSION)
    try:
        session_id = await to_thread.run_sync(_opened, parts_of(request), form, old, timedelta(hours=hours))
    except InputError as error:
        failures.note(address)
        again = {"token": None, "next": safe_next(form.get("next", "/")), "problem": str(error)}
        return page(request, "sign_in.html", status=401, **again)
    reply = RedirectResponse(safe_next(form.get("next", "/")), 303)
    secure = request.app.state.settings.public_url.startswith("https:")
    reply.set_cookie(SESSION, session_id, max_age=hours * 3_600, httponly=True, samesite="strict", secure=secure)
    return reply


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """The session is over, here and in the ledger."""
    parts, session_id = parts_of(request), visitor_of(request).session_id

    def end() -> None:
        with parts.ledger.writing() as tx:
            sessions.end(tx, session_id, at=parts.clock())

    await to_thread.run_sync(end)
    reply = RedirectResponse("/sign-in", 303)
    reply.delete_cookie(SESSION, httponly=True, samesite="strict")
    return reply


def _opened(parts: Parts, form: dict[str, str], old: str | None, lasting: timedelta) -> str:
    """The id of the new session. Raises InputError where neither link nor key opens one."""
    at = parts.clock()
    with parts.ledger.writing() as tx:
        if old:
            sessions.end(tx, old, at=at)
        if form.get("token"):
            session_id = sessions.open_by_link(tx, form["token"], at=at, expires_at=at + lasting)
            key = sessions.find(tx, session_id, at=at)
        else:
            key = keys.find(tx, form.get("key", "").strip(), at=at)
            session_id = sessions.open_session(tx, key.id, at=at, expires_at=at + lasting) if key else ""
        if key is None:
            raise InputError("This key opens nothing: it is mistyped, expired or revoked.")
        if key.role not in EVERYBODY.roles:
            raise InputError(f"A key of the role {key.role} is for programs; the pages need one of another role.")
        return session_id
