"""One decision: who, why, why not the second, who was not asked, the lead's own score, what became of it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from data.roster import Rep
from data.store import decisions, leads, personal
from data.store.decisions import Decision
from serving.pages.drawing import Fall, scale, waterfall
from serving.pages.render import figures_of, page
from serving.pages.visitor import (
    EVERYBODY,
    MANAGERS,
    PageRules,
    ask,
    form_of,
    parts_of,
    safe_next,
    visitor_of,
)
from serving.running.parts import Parts
from serving.telling.reasons import exclusion_text
from serving.web.text import clean_text

router = APIRouter()
RULES: PageRules = {
    ("GET", "/decisions/{decision_id}"): EVERYBODY,
    ("GET", "/decisions/{decision_id}/reassign"): MANAGERS,
    ("POST", "/decisions/{decision_id}/reassign"): MANAGERS,
}
WHY = ("customer", "knows", "capacity", "territory", "mistake")
MOST_CHOICES = 12
POINTS_AT_END = re.compile(r"\s*[(（][^()（）]*[)）]$")


@dataclass(frozen=True)
class Candidate:
    """One rep who was eligible, as the ledger has it."""

    rep_id: str
    name: str
    available: bool
    probability: float | None
    price: float | None
    chance: float | None  # of being drawn, before the arm was known
    drawn: bool


@dataclass(frozen=True)
class Moment:
    """One line of the lead's history."""

    at: datetime
    kind: str
    rep: str | None = None
    detail: str | None = None
    decision_id: str | None = None


@router.get("/decisions/{decision_id}")
async def decision_page(request: Request, decision_id: str) -> Response:
    """The page."""
    visitor, fig = visitor_of(request), figures_of(request)
    told = await ask(request, "GET", f"/v1/decisions/{decision_id}")
    again = await ask(request, "GET", f"/v1/decisions/{decision_id}/explanation", language=visitor.language)
    kept = await to_thread.run_sync(_kept, parts_of(request), decision_id, visitor.now)
    decision, reps = kept.decision, kept.reps
    names = {rep.rep_id: rep.name or rep.rep_id for rep in reps}
    deadline = _moment(told["contact_by"])
    return page(
        request,
        "decision.html",
        told=told,
        again=again,
        row=decision.row,
        rep=next((rep for rep in reps if rep.rep_id == told["rep_id"]), None),
        works_now=names.get(decision.state.rep_id or "", decision.state.rep_id),
        names=names,
        person=kept.person,
        title=kept.person.get("company") or kept.person.get("name") or told["lead_id"],
        steps=_falls(told["baseline_probability"], told["probability"], again["reasons"]),
        lead_steps=_lead_falls(again["lead"]),
        interval=scale(told["uplift"]["low"], told["uplift"]["value"], told["uplift"]["high"], fig),
        candidates=_candidates(decision, names),
        excluded=[
            (exclusion_text(why, visitor.language), why, [names.get(each, each) for each in ids])
            for why, ids in sorted(decision.row.excluded.items(), key=lambda item: -len(item[1]))
        ],
        back_on=_back_on(decision, reps),
        prices=_prices(decision, told),
        deadline=deadline,
        history=kept.history,
        record=json.dumps(told, indent=2, ensure_ascii=False),
    )


@router.get("/decisions/{decision_id}/reassign")
async def reassign_form(request: Request, decision_id: str) -> Response:
    """The sheet on which another rep is chosen; whole, where it is opened by itself."""
    alone = request.headers.get("hx-request-type") == "partial"
    given = await _choices(request, decision_id)
    return page(request, "reassign_sheet.html" if alone else "reassign.html", problem=None, **given)


@router.post("/decisions/{decision_id}/reassign")
async def reassign(request: Request, decision_id: str) -> Response:
    """A person's choice, through the interface."""
    form, say = await form_of(request), figures_of(request).say
    why = form.get("why", "")
    stated = say(f"reassign.why_{why}") if why in WHY else ""
    reason = " · ".join(part for part in (stated, clean_text(form.get("note", "")).strip()) if part)
    if not form.get("rep_id") or not reason:
        given = await _choices(request, decision_id)
        return page(request, "reassign.html", status=422, problem=say("reassign.needs"), **given)
    body = {
        "rep_id": form["rep_id"],
        "reason": reason,
        "version": int(form["version"]) if form.get("version", "").isdecimal() else 0,
        "force": form.get("force") == "yes",
    }
    await ask(request, "POST", f"/v1/decisions/{decision_id}/override", body)
    return RedirectResponse(safe_next(form.get("next") or f"/decisions/{decision_id}"), 303)


async def _choices(request: Request, decision_id: str) -> dict[str, Any]:
    """The reps to choose from: those who were eligible, best first, then the rest of the roster."""
    told = await ask(request, "GET", f"/v1/decisions/{decision_id}")
    roster = (await ask(request, "GET", "/v1/reps"))["reps"]
    kept = await to_thread.run_sync(_kept, parts_of(request), decision_id, visitor_of(request).now)
    names = {rep["rep_id"]: rep["name"] or rep["rep_id"] for rep in roster}
    now = told["state"]["rep_id"]
    room = {rep["rep_id"]: _has_room(rep) for rep in roster}
    asked = [each for each in _candidates(kept.decision, names) if each.rep_id in names and each.rep_id != now]
    asked.sort(key=lambda each: (not room[each.rep_id], -(each.probability or 0.0)))
    others = sorted(set(names) - {each.rep_id for each in asked} - {now}, key=lambda rep_id: names[rep_id])
    return {
        "told": told,
        "title": kept.person.get("company") or kept.person.get("name") or told["lead_id"],
        "now": names.get(now, now),
        "asked": asked[:MOST_CHOICES],
        "others": [(rep_id, names[rep_id]) for rep_id in [each.rep_id for each in asked[MOST_CHOICES:]] + others],
        "room": room,
        "why": WHY,
        "version": told["state"]["version"],
    }


@dataclass(frozen=True)
class _Kept:
    decision: Decision
    person: Mapping[str, Any]
    history: Sequence[Moment]
    reps: tuple[Rep, ...]


def _kept(parts: Parts, decision_id: str, now: datetime) -> _Kept:
    """What the ledger holds beside the answer; the caller was let at the decision by the interface already."""
    with parts.ledger.reading() as conn:
        decision = decisions.get(conn, decision_id)
        if decision is None:
            raise ValueError(f"decision {decision_id} went away")
        reps = parts.watch.look(conn).roster.reps
        client_id, lead_id = decision.row.client_id, decision.row.lead_id
        rows = leads.rows_of(conn, client_id, lead_id)
        person = personal.read(conn, client_id, lead_id)
    return _Kept(decision, {name: str(value) for name, value in person.items()}, _history(decision, rows, reps), reps)


def _history(decision: Decision, rows: leads.LeadRows, reps: Sequence[Rep]) -> list[Moment]:
    """Everything that happened to the lead, oldest first."""
    names = {rep.rep_id: rep.name or rep.rep_id for rep in reps}

    def named(rep_id: str | None) -> str | None:
        return names.get(rep_id, rep_id) if rep_id else None

    arrived = _moment(decision.row.lead_snapshot.get("created_at"))
    found = [Moment(arrived, "arrived")] if arrived else []
    found += [
        Moment(spell.decided_at, "assigned" if spell.rep_id else "nobody", named(spell.rep_id), None, spell.decision_id)
        for spell in rows.spells
    ]
    for each in rows.happenings:
        detail = each.reason if each.value is None else f"{each.value:,.0f}"
        found.append(Moment(each.at, each.kind, named(each.rep_id), detail or each.into, each.decision_id))
    return sorted(found, key=lambda each: each.at)


def _falls(baseline: float | None, chosen: float | None, reasons: Sequence[Mapping[str, Any]]) -> list[Fall]:
    """The waterfall from the usual chance to the chosen rep's; empty where nothing was scored."""
    if baseline is None or chosen is None or not any(reason["contribution"] for reason in reasons):
        return []
    return waterfall(baseline, [_part(reason) for reason in reasons], chosen)


def _lead_falls(lead: Mapping[str, Any] | None) -> list[Fall]:
    if lead is None:
        return []
    return waterfall(lead["average"], [_part(reason) for reason in lead["reasons"]], lead["baseline"])


def _part(reason: Mapping[str, Any]) -> tuple[str, float]:
    """A reason without the points at its end: they stand beside the bar."""
    return POINTS_AT_END.sub("", reason["text"]), reason["contribution"]


def _candidates(decision: Decision, names: Mapping[str, str]) -> list[Candidate]:
    row = decision.row

    def at(vector: np.ndarray | None, place: int) -> float | None:
        return None if vector is None or np.isnan(vector[place]) else float(vector[place])

    found = [
        Candidate(
            rep_id=rep_id,
            name=names.get(rep_id, rep_id),
            available=row.available is None or bool(row.available[place]),
            probability=at(row.probability, place),
            price=at(row.prices, place),
            chance=at(row.propensity, place),
            drawn=rep_id == row.rep_drawn,
        )
        for place, rep_id in enumerate(row.candidates)
    ]
    return sorted(found, key=lambda each: (-(each.probability or 0.0), each.rep_id))


def _prices(decision: Decision, told: Mapping[str, Any]) -> tuple[float, float] | None:
    """The prices of the chosen rep's next slot and of the second's, where they differ enough to be told."""
    row, over = decision.row, told["over"]
    if row.prices is None or not over or row.rep_drawn not in row.candidates or over["rep_id"] not in row.candidates:
        return None
    ours, theirs = (float(row.prices[row.candidates.index(each)]) for each in (row.rep_drawn, over["rep_id"]))
    return (ours, theirs) if max(ours, theirs) >= 0.0005 else None


def _back_on(decision: Decision, reps: Sequence[Rep]) -> datetime | None:
    """When the first of the absent comes back, as far as it is known."""
    away = frozenset(decision.row.excluded.get("absent", ()))
    known = [rep.absent_until for rep in reps if rep.rep_id in away and rep.absent_until]
    return min(known) if known else None


def _has_room(rep: Mapping[str, Any]) -> bool:
    below = rep["capacity"] is None or rep["open_leads"] < rep["capacity"]
    return bool(below and (rep["daily_limit"] is None or rep["leads_today"] < rep["daily_limit"]) and rep["active"])


def _moment(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.utcoffset() is not None else None


