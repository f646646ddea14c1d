"""The first page, and the reader's own preferences."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from serving.pages.visitor import EVERYBODY, LANGUAGE, THEME, THEMES, PageRules, form_of, safe_next, visitor_of
from serving.pages.words import LANGUAGES
from serving.web.auth import ANYONE

router = APIRouter()
RULES: PageRules = {("GET", "/"): EVERYBODY, ("POST", "/preferences"): ANYONE}
A_YEAR_S = 365 * 86_400


@router.get("/")
async def first_page(request: Request) -> Response:
    """Where a role begins."""
    return RedirectResponse("/my-leads" if visitor_of(request).role == "rep" else "/assignments", 303)


@router.post("/preferences")
async def prefer(request: Request) -> Response:
    """Another language or theme, kept in this browser."""
    form = await form_of(request)
    reply = RedirectResponse(safe_next(form.get("next", "/")), 303)
    for cookie, field, known in ((LANGUAGE, "language", LANGUAGES), (THEME, "theme", THEMES)):
        if form.get(field) in known:
            reply.set_cookie(cookie, form[field], max_age=A_YEAR_S, samesite="lax", httponly=True)
    return reply
