"""My leads: what a rep has to do now, most urgent first; contact and outcome in two taps; absence; the pool."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from data.roster import Rep
from data.store import decisions, listing, personal
from data.store.ledger import Connection
from data.store.listing import Listed, Wanted
from serving.events.retold import reasons_again
from serving.pages.figures import start_of_day
from serving.pages.one_decision import POINTS_AT_END
from serving.pages.render import page
from serving.pages.visitor import PageRules, Visitor, ask, form_of, parts_of, visitor_of
from serving.running.parts import Parts
from serving.telling.reasons import because_text, exclusion_text, feature_text, name_of
from serving.web.auth import keys_of
from serving.web.problems import Problem
from serving.web.text import clean_text

WORKERS = keys_of("rep", "manager", "admin")
router = APIRouter()
RULES: PageRules = {
    ("GET", "/my-leads"): WORKERS,
    ("POST", "/my-leads/outcome"): WORKERS,
    ("POST", "/my-leads/claim"): WORKERS,
    ("POST", "/my-leads/absence"): WORKERS,
}
MOST_SHOWN = 30  # cards at first; the others are a tap away
MOST_OPEN, MOST_RECENT, MOST_DONE, MOST_REASONS = 100, 200, 10, 2
MOST_POOLED, MOST_FACTS = 50, 4  # leads of the pool that are ranked; what is told of one of them
UNTOLD = ("lead_id", "created_at")
REACH = ("company", "name", "phone", "email")
LOST = ("price", "no_budget", "no_answer", "competitor", "bad_timing")
NOT_MINE = ("region", "language", "known", "product", "load")


@dataclass(frozen=True)
class Card:
    """One lead of the rep's."""

    listed: Listed
    person: Mapping[str, str]
    why: list[str]
    contact_by: datetime

    @property
    def title(self) -> str:
        """What a person calls the lead."""
        return self.person["company"] or self.person["name"] or self.listed.lead_id


@router.get("/my-leads")
async def my_leads(request: Request) -> Response:
    """The page; a manager sees it as one of the reps does: `?rep=R-7`."""
    visitor = visitor_of(request)
    roster = (await ask(request, "GET", "/v1/reps"))["reps"]
    rep_id = _whose(visitor, request.query_params.get("rep"), roster)
    rep = next((each for each in roster if each["rep_id"] == rep_id), None)
    cards, done = await to_thread.run_sync(_read, parts_of(request), visitor, rep_id) if rep_id and rep else ([], [])
    pool = (await ask(request, "GET", "/v1/pool", rep_id=rep_id, limit=MOST_POOLED))["leads"] if rep else []
    asked = request.query_params.get("missed", "")
    to_call = [card for card in cards if card.listed.contacted_at is None]
    going = [card for card in cards if card.listed.contacted_at is not None]
    most = MOST_OPEN if "all" in request.query_params else MOST_SHOWN
    return page(
        request,
        "my_leads.html",
        rep=rep,
        roster=sorted(roster, key=lambda each: each["name"] or each["rep_id"]),
        to_call=to_call[:most],
        going=going[: max(most - len(to_call), 0)],
        n_to_call=len(to_call),
        n_going=len(going),
        done=done,
        pool=[_pooled(lead, visitor) for lead in pool],
        asked=asked,
        missed=_missed(asked, cards, pool),
        lost=LOST,
        not_mine=NOT_MINE,
        until=_until(visitor),
        absent=rep is not None and _absent(rep, visitor.now),
    )


@router.post("/my-leads/outcome")
async def outcome(request: Request) -> Response:
    """What happened to a lead, told through the interface: contacted, won, lost, or "this should not be mine"."""
    form, now = await form_of(request), visitor_of(request).now
    event: dict[str, Any] = {
        "event_id": f"page-{uuid.uuid4().hex}",
        "lead_id": form.get("lead_id", ""),
        "event": form.get("event", ""),
        "occurred_at": now.isoformat(),
    }
    reason = clean_text(form.get("reason", "")).strip()
    if reason:
        event["reason"] = reason
    if event["event"] == "won" and form.get("value", "").strip():
        event["value"] = _amount(form["value"])
    await ask(request, "POST", "/v1/outcomes", event)
    return RedirectResponse(_back(form), 303)


@router.post("/my-leads/claim")
async def claim(request: Request) -> Response:
    """A lead of the pool for the rep; where somebody was quicker, the page says so above what is left."""
    form, visitor = await form_of(request), visitor_of(request)
    lead_id, back = form.get("lead_id", ""), _back(form)
    who = {"rep_id": visitor.caller.rep_id or form.get("rep") or None, "client": form.get("client") or None}
    try:
        told = await ask(request, "POST", f"/v1/pool/{quote(lead_id, safe='')}/claim", who)
    except Problem as problem:
        if problem.status not in (404, 409):
            raise
        return RedirectResponse(f"{back}{'&' if '?' in back else '?'}missed={quote(lead_id, safe='')}", 303)
    return RedirectResponse(f"{back}#lead-{told['decision_id']}", 303)


@router.post("/my-leads/absence")
async def absence(request: Request) -> Response:
    """Away from now until the morning that was chosen, or back again."""
    form, visitor = await form_of(request), visitor_of(request)
    rep_id = visitor.caller.rep_id or form.get("rep", "")
    until = dict(_until(visitor)).get(form.get("until", ""))
    away: dict[str, str | None] = {"absent_from": None, "absent_until": None}
    if until is not None:
        away = {"absent_from": visitor.now.isoformat(), "absent_until": until.isoformat()}
    await ask(request, "PATCH", f"/v1/reps/{quote(rep_id, safe='')}", away)
    return RedirectResponse(_back(form), 303)


def _whose(visitor: Visitor, asked: str | None, roster: list[dict[str, Any]]) -> str | None:
    """A rep her own; a manager's choice, or the first of the roster."""
    if visitor.role == "rep":
        return visitor.caller.rep_id
    return asked or (roster[0]["rep_id"] if roster else None)


def _read(parts: Parts, visitor: Visitor, rep_id: str) -> tuple[list[Card], list[Card]]:
    """The rep's open leads, most urgent first, and what she closed today."""
    with parts.ledger.reading() as conn:
        in_force = parts.watch.look(conn)
        open_ids = listing.open_of_rep(conn, rep_id, limit=MOST_OPEN)
        listed = listing.rows_of(conn, open_ids)
        kept = decisions.answers_of(conn, open_ids)
        today = Wanted(rep_ids=frozenset({rep_id}), since=start_of_day(visitor.now, visitor.zone, days_before=6))
        recent = listing.page(conn, today, limit=MOST_RECENT).rows
        closed = [each for each in recent if each.status in ("won", "lost")][:MOST_DONE]
        people = _people(conn, [*listed, *closed])
    reps = {rep.rep_id: rep for rep in in_force.roster.reps}
    limits = in_force.rules.contact_within_minutes
    cards = []
    for each in listed:
        why = _why(kept.get(each.decision_id), reps.get(rep_id), visitor) if each.rep_decided == rep_id else []
        due = (each.given_at or each.decided_at) + timedelta(minutes=limits.minutes(each.grade))
        cards.append(Card(each, people[each.client_id, each.lead_id], why, due))
    cards.sort(key=lambda card: (card.contact_by, -(card.listed.probability or 0.0)))
    return cards, [Card(each, people[each.client_id, each.lead_id], [], each.decided_at) for each in closed]


def _why(body: bytes | None, rep: Rep | None, visitor: Visitor) -> list[str]:
    """What speaks most for this rep, as short sentences that leave her name out: she reads them herself."""
    if body is None or rep is None:
        return []
    told = reasons_again(json.loads(body)["reasons"], rep, visitor.language)
    good = [each for each in told if each["contribution"] > 0 and each["feature"] != "other"]
    texts = (POINTS_AT_END.sub("", each["text"]) for each in good[:MOST_REASONS])
    return [text.removeprefix(name_of(rep)).strip() for text in texts]


def _pooled(lead: dict[str, Any], visitor: Visitor) -> dict[str, Any]:
    """A lead of the pool with a few words of what it is, for nobody's name is told before the lead is hers."""
    stated = {name: value for name, value in lead["lead"].items() if name not in UNTOLD and value}
    words = [value for value in stated.values() if isinstance(value, str)]
    sizes = [
        f"{feature_text(name, visitor.language)} {value:,.0f}"
        for name, value in stated.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    why_not = because_text(exclusion_text(lead["why_not"] or "", visitor.language), visitor.language)
    return lead | {"facts": [*words, *sizes][:MOST_FACTS], "why_not": why_not}


def _missed(lead_id: str, cards: list[Card], pool: list[dict[str, Any]]) -> str | None:
    """What became of a lead whose claim was refused: `mine` (tapped twice), `refused` (still there), `gone`."""
    if not lead_id:
        return None
    if any(card.listed.lead_id == lead_id for card in cards):
        return "mine"
    return "refused" if any(lead["lead_id"] == lead_id for lead in pool) else "gone"


def _people(conn: Connection, listed: list[Listed]) -> dict[tuple[str, str], dict[str, str]]:
    """How to address and reach the people behind these leads; an empty text for what is not known, or was erased."""
    found = {(each.client_id, each.lead_id): dict.fromkeys(REACH, "") for each in listed}
    for client_id in {each.client_id for each in listed}:
        of_client = [each.lead_id for each in listed if each.client_id == client_id]
        for lead_id, data in personal.read_many(conn, client_id, of_client).items():
            found[client_id, lead_id] |= {name: str(data[name]) for name in REACH if data.get(name)}
    return found


def _until(visitor: Visitor) -> list[tuple[str, datetime]]:
    """The mornings that an absence may last until, in the reader's zone."""
    weekday = visitor.now.astimezone(visitor.zone).weekday()
    days = (("tomorrow", 1), ("monday", 7 - weekday), ("week", 7), ("fortnight", 14))
    return [(name, start_of_day(visitor.now, visitor.zone, days_before=-ahead)) for name, ahead in days]


def _absent(rep: Mapping[str, Any], now: datetime) -> bool:
    begun = rep["absent_from"] is not None and datetime.fromisoformat(rep["absent_from"]) <= now
    return begun and (rep["absent_until"] is None or now < datetime.fromisoformat(rep["absent_until"]))


def _amount(typed: str) -> float:
    try:
        return float(typed.replace(",", "").replace("，", "").strip())
    except ValueError:
        raise Problem(422, "The amount must be a number, such as 12000.") from None


def _back(form: Mapping[str, str]) -> str:
    return f"/my-leads?rep={quote(form['rep'])}" if form.get("rep") else "/my-leads"
