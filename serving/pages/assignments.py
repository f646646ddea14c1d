"""Assignments: the live list of decisions, its filters and saved views, and what can be done with a row."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from data.roster import Rep
from data.store import listing, personal, views
from data.store.ledger import Connection
from data.store.listing import NOBODY, Listed, Wanted
from serving.pages.figures import start_of_day
from serving.pages.render import page
from serving.pages.visitor import MANAGERS, STAFF, PageRules, Visitor, form_of, parts_of, visitor_of
from serving.running.parts import Parts
from serving.web.text import clean_text

router = APIRouter()
RULES: PageRules = {
    ("GET", "/assignments"): STAFF,
    ("GET", "/assignments.csv"): STAFF,
    ("POST", "/assignments/views"): MANAGERS,
}
A_PAGE = 50
RANGES = {"today": 0, "7d": 6, "30d": 29, "90d": 89}  # days before today
GRADES = ("A", "B", "C", "D")
ARMS = ("model", "explore", "holdout", "rule", "sticky", "pool", "fallback")
FIELDS = ("q", "range", "rep", "team", "source", "grade", "arm")
MOST_EXPORTED = 100_000
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠")


@dataclass(frozen=True)
class Filters:
    """What the address asks for."""

    given: Mapping[str, str]
    wanted: Wanted

    def address(self, **changed: str | None) -> str:
        """The list with some of it changed."""
        query = {name: value for name, value in {**self.given, **changed}.items() if value}
        return "/assignments" + (f"?{urlencode(query)}" if query else "")


@dataclass(frozen=True)
class Row:
    """A row with the names that people know."""

    listed: Listed
    company: str | None
    person: str | None
    rep: str | None
    rep_decided: str | None

    @property
    def moved(self) -> bool:
        """Whether somebody else works the lead than was decided."""
        return self.listed.rep_id != self.listed.rep_decided and self.listed.rep_id is not None


@router.get("/assignments")
async def assignments(request: Request) -> Response:
    """The list, or its rows alone where htmx asks for them."""
    shown = await to_thread.run_sync(_read, parts_of(request), visitor_of(request), dict(request.query_params))
    alone = request.headers.get("hx-request-type") == "partial"
    return page(request, "assignments_rows.html" if alone else "assignments.html", **shown)


@router.get("/assignments.csv")
async def export(request: Request) -> Response:
    """The filtered list as CSV, at most a hundred thousand rows."""
    parts, visitor = parts_of(request), visitor_of(request)
    filters = await to_thread.run_sync(_filters_now, parts, visitor, dict(request.query_params))
    named = f'attachment; filename="assignments-{visitor.now:%Y%m%d-%H%M}.csv"'
    headers = {"Content-Disposition": named}
    return StreamingResponse(_csv(parts, filters.wanted), media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/assignments/views")
async def keep_view(request: Request) -> Response:
    """Save the filters under a name, or forget them."""
    form, parts, visitor = await form_of(request), parts_of(request), visitor_of(request)
    name = clean_text(form.get("name", "")).strip()[:60]
    given = {field: form[field] for field in FIELDS if form.get(field)}
    gone = form.get("remove") == "yes"

    def change() -> None:
        with parts.ledger.writing() as tx:
            if gone:
                views.remove(tx, "assignments", name)
            elif name:
                at, actor = parts.clock(), visitor.caller.actor
                views.save(tx, "assignments", name, urlencode(given), actor=actor, at=at)

    await to_thread.run_sync(change)
    return RedirectResponse("/assignments" + ("" if gone or not given else f"?{urlencode(given)}"), 303)


def _read(parts: Parts, visitor: Visitor, query: Mapping[str, str]) -> dict[str, Any]:
    with parts.ledger.reading() as conn:
        reps = parts.watch.look(conn).roster.reps
        filters = filters_of(query, reps, visitor)
        found = listing.page(conn, filters.wanted, cursor=query.get("cursor") or None, limit=A_PAGE)
        rows = named(conn, found.rows, reps)
        known_sources = listing.sources(conn)
        saved = views.of_page(conn, "assignments")
    return {
        "rows": rows,
        "filters": filters,
        "given": filters.given,
        "following": found.following,
        "looked_to": found.looked_to,
        "first_page": not query.get("cursor"),
        "reps": sorted(reps, key=lambda rep: rep.name or rep.rep_id),
        "teams": sorted({rep.team for rep in reps if rep.team}),
        "sources": known_sources,
        "grades": GRADES,
        "arms": ARMS,
        "ranges": tuple(RANGES),
        "views": saved,
        "any_reps": bool(reps),
        "narrowed": any(name in filters.given for name in FIELDS if name != "range"),
    }


def _filters_now(parts: Parts, visitor: Visitor, query: Mapping[str, str]) -> Filters:
    with parts.ledger.reading() as conn:
        return filters_of(query, parts.watch.look(conn).roster.reps, visitor)


def filters_of(query: Mapping[str, str], reps: tuple[Rep, ...], visitor: Visitor) -> Filters:
    """The filters of an address; what it does not name, or what there is not, is any."""
    given = {name: clean_text(query[name]).strip()[:200] for name in FIELDS if query.get(name, "").strip()}
    wanted = Wanted(
        grade=given.get("grade") if given.get("grade") in GRADES else None,
        arm=given.get("arm") if given.get("arm") in ARMS else None,
        sources=frozenset({given["source"]}) if "source" in given else None,
    )
    if given.get("range") in RANGES:
        days = RANGES[given["range"]]
        wanted = replace(wanted, since=start_of_day(visitor.now, visitor.zone, days_before=days))
    if "team" in given:
        wanted = replace(wanted, rep_ids=frozenset(rep.rep_id for rep in reps if rep.team == given["team"]))
    if "rep" in given:
        wanted = replace(wanted, rep_ids=frozenset({NOBODY if given["rep"] == "nobody" else given["rep"]}))
    if "q" in given:
        sought = given["q"].casefold()
        named_so = frozenset(
            rep.rep_id for rep in reps if sought in (rep.name or "").casefold() or sought == rep.rep_id.casefold()
        )
        wanted = replace(wanted, text=given["q"], rep_ids_of_text=named_so)
    return Filters(given, wanted)


def named(conn: Connection, listed: list[Listed], reps: tuple[Rep, ...]) -> list[Row]:
    """The rows with their people's and companies' names."""
    names = {rep.rep_id: rep.name or rep.rep_id for rep in reps}
    of_client: dict[str, list[str]] = {}
    for each in listed:
        of_client.setdefault(each.client_id, []).append(each.lead_id)
    known = {
        (client, lead): data
        for client, leads in of_client.items()
        for lead, data in personal.read_many(conn, client, leads).items()
    }
    rows = []
    for each in listed:
        data = known.get((each.client_id, each.lead_id), {})
        person, company = (_text(data.get(name)) for name in ("name", "company"))
        rep, decided = (names.get(rep_id or "", rep_id) for rep_id in (each.rep_id, each.rep_decided))
        rows.append(Row(each, company, person, rep, decided))
    return rows


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _csv(parts: Parts, wanted: Wanted) -> Iterator[str]:
    """The list, page by page; UTF-8 with its mark, so that spreadsheets read Chinese."""
    columns = (
        "decision_id", "lead_id", "company", "decided_at", "rep_id", "rep", "arm", "grade", "lead_score", "source",
        "status", "probability", "uplift", "uplift_low", "uplift_high", "unassigned_reason",
    )  # fmt: skip
    yield "\ufeff" + _line(columns)
    cursor: str | None = None
    told = 0
    while told < MOST_EXPORTED:
        with parts.ledger.reading() as conn:
            found = listing.page(conn, wanted, cursor=cursor, limit=1_000)
            rows, cursor = named(conn, found.rows, parts.watch.look(conn).roster.reps), found.following
        yield "".join(
            _line(row.company if c == "company" else row.rep if c == "rep" else getattr(row.listed, c) for c in columns)
            for row in rows
        )
        told += len(rows)
        if cursor is None:
            return


def _line(values: Any) -> str:
    """One line by RFC 4180; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    out = io.StringIO()
    csv.writer(out).writerow([_cell(value) for value in values])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, str):
        return f"'{value}" if value.lstrip(" ").startswith(FORMULA) else value
    return value
