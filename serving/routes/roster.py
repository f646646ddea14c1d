"""Routes of the roster, and of what the CRM tells about its leads."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from data.roster import Rep
from data.store import decisions, outcomes, roster
from data.store.ledger import Connection
from serving.deciding.decide import loads_of
from serving.telling import answers
from serving.web.api import Event, Events, RepPatch, RosterIn
from serving.web.asked import caller_of, json_reply, parts_of
from serving.web.auth import EVERY_ROLE, Caller, Rules, keys_of
from serving.web.problems import FieldError, Problem

router = APIRouter(tags=["roster"])
RULES: Rules = {
    ("PUT", "/v1/reps"): keys_of("manager", "admin"),
    ("PATCH", "/v1/reps/{rep_id}"): keys_of("rep", "manager", "admin"),
    ("GET", "/v1/reps"): EVERY_ROLE,
    ("POST", "/v1/outcomes"): keys_of("crm", "rep", "manager", "admin"),
}
OWN_ABSENCE = {"absent_from", "absent_until"}
MOST_AHEAD = timedelta(days=1)
NOT_FOR_REPS = ("owner_changed", "merged")


@router.put("/v1/reps")
def put_reps(body: RosterIn, request: Request) -> Response:
    """The whole roster; reps who are not named leave it."""
    parts = parts_of(request)
    with parts.ledger.writing() as tx:
        reps = [rep.rep() for rep in body.reps]
        version = roster.put_reps(tx, reps, actor=caller_of(request).actor, at=parts.clock())
    return json_reply(answers.encoded({"roster_version": version, "reps": len(body.reps)}))


@router.patch("/v1/reps/{rep_id}")
def patch_rep(rep_id: str, body: RepPatch, request: Request) -> Response:
    """Change some fields of one rep; a rep may state her own absence."""
    caller, parts = caller_of(request), parts_of(request)
    changes = body.changes()
    if caller.role == "rep" and (rep_id != caller.rep_id or not changes.keys() <= OWN_ABSENCE):
        raise Problem(403, "A rep's key may change her own absence, nothing else.")
    with parts.ledger.writing() as tx:
        now = _rep(tx, rep_id)
        _check_absence(replace(now, **{name: value for name, value in changes.items() if name != "attributes"}))
        version = roster.patch_rep(tx, rep_id, changes, actor=caller.actor, at=parts.clock())
        told = _told(_rep(tx, rep_id))
    return json_reply(answers.encoded({"roster_version": version, "rep": told}))


@router.get("/v1/reps")
def get_reps(request: Request) -> Response:
    """The roster with every rep's load at this moment."""
    parts = parts_of(request)
    with parts.ledger.reading() as conn:
        people = parts.watch.look(conn).roster
        loads = loads_of(conn, people.reps, parts.clock())
    told = [
        _told(rep) | {"open_leads": loads[rep.rep_id].open, "leads_today": loads[rep.rep_id].today}
        for rep in people.reps
    ]
    return json_reply(answers.encoded({"roster_version": people.version, "reps": told}))


@router.post("/v1/outcomes")
def receive(body: Events, request: Request) -> Response:
    """What happened to leads: one event or a list; at least once, in any order, before the decision too."""
    caller, parts = caller_of(request), parts_of(request)
    events = body if isinstance(body, list) else [body]
    _check_not_ahead(events, parts.clock(), listed=isinstance(body, list))
    with parts.ledger.writing() as tx:
        clients = _clients_of(tx, caller, events)
        results = [""] * len(events)
        for client_id in sorted(set(clients)):  # in one order: two batches never wait for each other
            places = [place for place, one in enumerate(clients) if one == client_id]
            happened = [events[place].outcome() for place in places]
            for place, result in zip(places, outcomes.receive(tx, client_id, happened, at=parts.clock()), strict=True):
                results[place] = result
    told = [
        {"event_id": event.event_id, "lead_id": event.lead_id, "result": result}
        for event, result in zip(events, results, strict=True)
    ]
    return json_reply(answers.encoded({"results": told}))


def _check_not_ahead(events: Sequence[Event], now: datetime, *, listed: bool) -> None:
    """An event of the day after tomorrow would outlast every true one; clocks differ by less than a day."""
    ahead = "lies more than a day ahead of this service's clock"
    errors = [
        FieldError(f"[{place}].occurred_at" if listed else "occurred_at", ahead)
        for place, event in enumerate(events)
        if event.occurred_at > now + MOST_AHEAD
    ]
    if errors:
        raise Problem(422, f"{len(errors)} event(s) cannot be used.", errors)


def _clients_of(conn: Connection, caller: Caller, events: Sequence[Event]) -> list[str]:
    """Whose lead each event is about: the caller's own client's; a rep's leads may be of any client.

    A rep speaks of the leads she works, and does not give them away.
    """
    if caller.role != "rep":
        return [caller.client_id] * len(events)
    found = []
    for place, event in enumerate(events):
        client_id = _client_of_hers(conn, caller, event.lead_id)
        if client_id is None or event.event in NOT_FOR_REPS:
            error = FieldError(f"[{place}].lead_id", "is not a lead of yours, or the event is not yours to tell")
            raise Problem(403, "A rep's key tells what happened to her own leads.", [error])
        found.append(client_id)
    return found


def _client_of_hers(conn: Connection, caller: Caller, lead_id: str) -> str | None:
    """The client whose lead of this id the rep works; of several, the one of her key first, else the newest."""
    hers, _ = decisions.search(conn, lead_id=lead_id, rep_id=caller.rep_id)
    clients = dict.fromkeys(decision.row.client_id for decision in hers)
    for client_id in sorted(clients, key=lambda one: one != caller.client_id):
        page, _ = decisions.search(conn, client_id=client_id, lead_id=lead_id, limit=1)
        if page and page[0].state is not None and page[0].state.rep_id == caller.rep_id:
            return client_id
    return None


def _check_absence(rep: Rep) -> None:
    if rep.absent_from and rep.absent_until and rep.absent_until <= rep.absent_from:
        error = FieldError("absent_until", "must be later than absent_from")
        raise Problem(422, "1 field(s) cannot be used.", [error])


def _rep(conn: Connection, rep_id: str) -> Rep:
    found = next((rep for rep in roster.read_roster(conn).reps if rep.rep_id == rep_id), None)
    if found is None:
        raise Problem(404, "There is no such rep.")
    return found


def _told(rep: Rep) -> dict[str, Any]:
    """The rep flat, as `PUT /v1/reps` takes her."""
    known = {each.name: getattr(rep, each.name) for each in fields(rep) if each.name != "attributes"}
    return {**rep.attributes, **known}
