"""Team: who carries how much, who is away, whether it is fair, who answers how fast, and what each is good at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from data.roster import Rep
from serving.pages.axis import axis_of
from serving.pages.render import page
from serving.pages.span import span_of
from serving.pages.visitor import (
    MANAGERS,
    STAFF,
    PageRules,
    Visitor,
    ask,
    form_of,
    parts_of,
    reports,
    visitor_of,
)
from serving.running.parts import Parts
from serving.web.problems import FieldError, Problem

router = APIRouter()
RULES: PageRules = {
    ("GET", "/team"): STAFF,
    ("GET", "/team/{rep_id}"): STAFF,
    ("POST", "/team/{rep_id}/absence"): MANAGERS,
}
CALENDAR_DAYS = 28
# What the table may be sorted by; numbers begin with the largest, and whoever has none comes last.
COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "rep": lambda row: (row["name"] or row["rep_id"]).casefold(),
    "load": lambda row: row["open"] if row["open_share"] is None else row["open_share"],
    "today": lambda row: row["today"],
    "given": lambda row: row["given"],
    "share": lambda row: row["share"]["value"],
    "first_call": lambda row: row["response"]["median"]["value"] if row["response"] else None,
    "converts": lambda row: row["conversion"]["value"],
    "above": lambda row: row["above_expected"]["value"],
}


@dataclass(frozen=True)
class Order:
    """How the table is sorted, from its address: `load`, or `-load` for the largest first."""

    asked: str

    @property
    def column(self) -> str | None:
        """The column; None: as the roster has them."""
        name = self.asked.removeprefix("-")
        return name if name in COLUMNS else None

    @property
    def down(self) -> bool:
        """Whether the largest come first."""
        return self.asked.startswith("-")

    def after(self, column: str) -> str:
        """What a tap on a column's head asks for: the other way round where it is sorted by this one already."""
        if self.column == column:
            return column if self.down else f"-{column}"
        return column if column == "rep" else f"-{column}"

    def of(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows in this order."""
        if self.column is None:
            return list(rows)
        value = COLUMNS[self.column]
        known = sorted((row for row in rows if value(row) is not None), key=value, reverse=self.down)
        return [*known, *(row for row in rows if value(row) is None)]


@router.get("/team")
async def team(request: Request) -> Response:
    """All reps, with what each report says of them in one row."""
    reps = await to_thread.run_sync(roster_of, parts_of(request))
    visitor = visitor_of(request)
    span = span_of("/team", request.query_params, reps, visitor)
    told = await reports(request, *REPORTS, **span.asked)
    rows = joined(told)
    order = Order(request.query_params.get("sort", ""))
    return page(
        request,
        "team.html",
        order=order,
        span=span,
        rows=order.of(rows),
        load=told["load"],
        fairness=told["fairness"],
        response=told["response"],
        told_of=list(told.values()),
        verdict=told["reps"]["verdict"],
        share_axis=axis_of(row["share"] for row in rows),
        conversion_axis=axis_of(row["conversion"] for row in rows),
        above_axis=axis_of(row["above_expected"] for row in rows),
        calendar=calendar(span.of_team(reps), visitor),
        newcomers=[row for row in rows if row["newcomer"]],
    )


REPORTS = ("load", "fairness", "response", "reps")


@router.get("/team/{rep_id}")
async def one_rep(request: Request, rep_id: str) -> Response:
    """One rep: her figures, and her strengths as the model sees them."""
    reps = await to_thread.run_sync(roster_of, parts_of(request))
    rep = next((each for each in reps if each.rep_id == rep_id), None)
    if rep is None:
        raise Problem(404, "There is no such rep on the roster.")
    span = span_of(f"/team/{quote(rep_id, safe='')}", request.query_params, (), visitor_of(request))
    told = await reports(request, *REPORTS, **span.asked)
    row = next(each for each in joined(told) if each["rep_id"] == rep_id)
    model = row["model"]
    effects = [model["overall"], *model["strengths"]] if "overall" in model else []
    return page(
        request,
        "team_rep.html",
        span=span,
        rep=rep,
        row=row,
        effects=effects,
        effects_axis=axis_of(effects),
        verdict=told["reps"]["verdict"],
        told_of=list(told.values()),
    )


@router.post("/team/{rep_id}/absence")
async def absence(request: Request, rep_id: str) -> Response:
    """Say from which day to which a rep is away; two empty days: she is back."""
    form, visitor = await form_of(request), visitor_of(request)
    first, last = (_day(form.get(name, ""), name) for name in ("from", "until"))
    change = {
        "absent_from": _midnight(first, visitor) if first else None,
        "absent_until": _midnight(last + timedelta(days=1), visitor) if last else None,
    }
    await ask(request, "PATCH", f"/v1/reps/{quote(rep_id, safe='')}", change)
    return RedirectResponse(f"/team/{quote(rep_id, safe='')}", 303)


def roster_of(parts: Parts) -> tuple[Rep, ...]:
    """The roster in force."""
    with parts.ledger.reading() as conn:
        return parts.watch.look(conn).roster.reps


def joined(told: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a rep, from four reports; the roster's reps are in all but the response times."""
    response = {row["rep_id"]: row for row in told["response"]["reps"]}
    fairness = {row["rep_id"]: row for row in told["fairness"]["reps"]}
    results = {row["rep_id"]: row for row in told["reps"]["reps"]}
    return [
        {
            **row,
            "share": fairness[row["rep_id"]]["share"],
            "fair_share": fairness[row["rep_id"]]["fair_share"],
            "newcomer": fairness[row["rep_id"]]["newcomer"],
            "response": response.get(row["rep_id"]),
            **{name: results[row["rep_id"]][name] for name in ("conversion", "above_expected", "won", "lost", "model")},
        }
        for row in told["load"]["reps"]
        if row["rep_id"] in fairness and row["rep_id"] in results
    ]


def calendar(reps: Sequence[Rep], visitor: Visitor) -> dict[str, Any]:
    """The coming four weeks with everybody who is away in them; places are days from today."""
    today = visitor.now.astimezone(visitor.zone).date()
    days = [today + timedelta(days=number) for number in range(CALENDAR_DAYS)]
    away = []
    for rep in reps:
        if rep.absent_from is None and rep.absent_until is None:
            continue
        first = _place(rep.absent_from, today, visitor) if rep.absent_from else 0.0
        last = _place(rep.absent_until, today, visitor) if rep.absent_until else float(CALENDAR_DAYS)
        if last > 0 and first < CALENDAR_DAYS:
            left, right = max(first, 0.0), min(last, float(CALENDAR_DAYS))
            away.append({"rep": rep, "left": left, "width": right - left})
    return {"days": days, "away": away, "weeks": [number for number, day in enumerate(days) if day.weekday() == 0]}


def _place(at: datetime, today: date, visitor: Visitor) -> float:
    local = at.astimezone(visitor.zone)
    return round((local.date() - today).days + local.hour / 24, 2)


def _day(text: str, field: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Problem(422, "The day cannot be read.", [FieldError(field, "must be a day such as 2026-03-02")]) from None


def _midnight(day: date, visitor: Visitor) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=visitor.zone).astimezone(UTC).isoformat()
