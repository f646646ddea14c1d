"""The rule book: read it, change it with every mistake named, try it on the past, activate it, and go back."""

import difflib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from data.errors import InputError
from data.store import policies
from data.store.policies import PolicyVersion
from serving.pages.axis import axis_of
from serving.pages.matured import matured_until
from serving.pages.render import page
from serving.pages.visitor import MANAGERS, STAFF, PageRules, ask, form_of, parts_of
from serving.policy.rulebook import parse_rule_book
from serving.web.problems import Problem
from serving.web.text import clean_text

router = APIRouter()
RULES: PageRules = {
    ("GET", "/rules"): STAFF,
    ("GET", "/rules/edit"): MANAGERS,
    ("POST", "/rules/check"): MANAGERS,
    ("POST", "/rules/replay"): MANAGERS,
    ("POST", "/rules/activate"): MANAGERS,
    ("GET", "/rules/versions/{number}"): STAFF,
}
CONTEXT_LINES = 2
REPLAYED = 1_000  # of the newest decisions that are old enough: what a person waits for
LEAST_MATURED = 100  # fewer say nothing of what a rule is worth
MOST_REPS, MOST_EXAMPLES = 12, 5  # that are shown


@dataclass(frozen=True)
class Line:
    """A line of a difference: `add`, `cut`, `at` (where in the text) or `same`."""

    kind: str
    text: str


@router.get("/rules")
async def rules(request: Request) -> Response:
    """What is in force, in words, and who changed it when and why."""
    told = await ask(request, "GET", "/v1/policy")
    return page(request, "rules.html", told=told, at=_moments(told))


@router.get("/rules/edit")
async def edit(request: Request, version: int | None = None) -> Response:
    """The editor, with the text in force or, to go back, that of a version."""
    told = await ask(request, "GET", "/v1/policy")
    text = told["text"] if version is None else (await _version(request, version)).text
    shown: dict[str, Any] = {"problem": None, "difference": _difference(told["text"], text), "from_version": version}
    return page(request, "rules_edit.html", told=told, text=text, checked=version is not None, why="", **shown)


@router.post("/rules/check")
async def check(request: Request) -> Response:
    """The same editor with what is wrong, or with the difference that would come into force."""
    form = await form_of(request)
    told = await ask(request, "GET", "/v1/policy")
    return _edited(request, told, _text(form), form.get("why", ""), problem=_problem(_text(form)))


@router.post("/rules/replay")
async def replay(request: Request) -> Response:
    """What the text would have done with past decisions: a part of the editor, or the editor with it inside."""
    form = await form_of(request)
    text = _text(form)
    tried: dict[str, Any] | None = None
    problem: str | None = None
    try:
        tried = await _replayed(request, text)
    except Problem as refused:  # told in its place: the text stays as it was typed
        problem = refused.detail
    shown = _tried(tried) | {"replay_problem": problem}
    if "hx-request" in request.headers:
        return page(request, "replay.html", **shown)
    told = await ask(request, "GET", "/v1/policy")
    return _edited(request, told, text, form.get("why", ""), problem=_problem(text), **shown)


@router.post("/rules/activate")
async def activate(request: Request) -> Response:
    """Bring the text into force, through the interface."""
    form = await form_of(request)
    text, why = _text(form), clean_text(form.get("why", "")).strip()
    version = int(form["version"]) if form.get("version", "").isdecimal() else -1
    try:
        await ask(request, "PUT", "/v1/policy", {"text": text, "why": why, "version": max(version, 0)})
    except Problem as problem:
        told = await ask(request, "GET", "/v1/policy")
        reply = _edited(request, told, text, why, problem=problem.detail)
        reply.status_code = problem.status
        return reply
    return RedirectResponse("/rules", 303)


@router.get("/rules/versions/{number}")
async def version_page(request: Request, number: int) -> Response:
    """One version as it was, and what it changed."""
    one = await _version(request, number)
    before = (await _version(request, number - 1)).text if number > 1 else None
    difference = [] if before is None else _difference(before, one.text)
    return page(request, "rules_version.html", one=one, difference=difference)


async def _replayed(request: Request, text: str) -> dict[str, Any]:
    """The newest decisions of which it is known what became; while these are few, the newest ones of any age.

    `matured` and `least` say then how many there are, and how many it takes.
    """
    body = {"text": text, "limit": REPLAYED}
    until = await matured_until(request)
    tried: dict[str, Any] = await ask(request, "POST", "/v1/policy/replay", {**body, "until": until.isoformat()})
    if tried["decisions"] >= LEAST_MATURED:
        return tried
    young = await ask(request, "POST", "/v1/policy/replay", body)
    return {**young, "matured": tried["decisions"], "least": LEAST_MATURED}


def _edited(
    request: Request, told: dict[str, Any], text: str, why: str, *, problem: str | None, **tried: Any
) -> Response:
    difference = _difference(told["text"], text)
    shown: dict[str, Any] = {"problem": problem, "difference": difference, "from_version": None, **tried}
    return page(request, "rules_edit.html", told=told, text=text, why=why, checked=problem is None, **shown)


def _tried(tried: dict[str, Any] | None) -> dict[str, Any]:
    """What replay.html shows of the interface's answer: those first who gain or lose most."""
    if tried is None:
        return {"tried": None}
    reps = tried["reps"]
    names = {rep["rep_id"]: rep["name"] or rep["rep_id"] for rep in reps}
    return {
        "tried": tried,
        "names": names,
        "reps": reps[:MOST_REPS],
        "others": len(reps) - MOST_REPS,
        "axis": axis_of([tried["worth"]["difference"]]),
        "most_leads": max((max(rep["leads"], rep["leads_then"]) for rep in reps), default=0.0),
        "examples": tried["examples"][: -MOST_EXAMPLES - 1 : -1],
    }


def _text(form: dict[str, str]) -> str:
    """The editor's text with the line ends that files have."""
    return form.get("text", "").replace("\r\n", "\n").replace("\r", "\n")


def _problem(text: str) -> str | None:
    try:
        parse_rule_book(text)
    except InputError as error:
        return str(error)
    return None


def _difference(before: str, after: str) -> list[Line]:
    """The changed lines with a little around them."""
    marks = {"+": "add", "-": "cut", "@": "at"}
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=CONTEXT_LINES)
    return [Line(marks.get(line[:1], "same"), line) for line in lines if not line.startswith(("---", "+++"))]


async def _version(request: Request, number: int) -> PolicyVersion:
    parts = parts_of(request)

    def read() -> PolicyVersion | None:
        with parts.ledger.reading() as conn:
            return policies.get(conn, number)

    found = await to_thread.run_sync(read) if 0 < number < 2**31 else None
    if found is None:
        raise Problem(404, "There is no such version of the rule book.")
    return found


def _moments(told: dict[str, Any]) -> list[datetime]:
    return [datetime.fromisoformat(one["at"]) for one in told["history"]]


