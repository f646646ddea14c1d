"""Routes of the decision: score, assign, look it up, override it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from data.roster import Rep
from data.store import decisions, overrides, personal
from data.store.decisions import Decision
from data.store.leads import LeadKey
from data.store.ledger import Connection
from serving.deciding.batch import Refused, assign_batch
from serving.deciding.consider import consider
from serving.deciding.decide import Ask, digest_of
from serving.events.retold import explained
from serving.running.parts import Parts
from serving.telling import answers
from serving.telling.reasons import Language
from serving.web.api import AssignIn, BatchIn, Lead, OverrideIn, ScoreIn, moment
from serving.web.asked import caller_of, deadline_of, json_reply, parts_of
from serving.web.auth import Caller, Rules, keys_of
from serving.web.persons import person, without_names
from serving.web.problems import FieldError, Problem, invalid
from serving.web.text import clean_id

router = APIRouter(tags=["decisions"])
RULES: Rules = {
    ("POST", "/v1/score"): keys_of("crm", "manager", "analyst", "admin"),
    ("POST", "/v1/assign"): keys_of("crm", "manager", "admin"),
    ("POST", "/v1/assign/batch"): keys_of("crm", "manager", "admin"),
    ("GET", "/v1/decisions"): keys_of("crm", "rep", "manager", "analyst", "admin"),
    ("GET", "/v1/decisions/{decision_id}"): keys_of("crm", "rep", "manager", "analyst", "admin"),
    ("GET", "/v1/decisions/{decision_id}/explanation"): keys_of("crm", "rep", "manager", "analyst", "admin"),
    ("POST", "/v1/decisions/{decision_id}/override"): keys_of("manager", "admin"),
}
KEY = re.compile(r"[\x21-\x7e]{1,255}")
BATCH_DEADLINE_S = 25.0  # under the service's own time-out


@router.post("/v1/score")
def score(body: ScoreIn, request: Request) -> Response:
    """Every eligible rep's probability and uplift, best first, with reasons; nothing is stored."""
    return json_reply(answers.encoded(score_of(body, parts_of(request))))


def score_of(body: ScoreIn, parts: Parts) -> dict[str, Any]:
    """The answer to a score, for this route and for BentoML's own clients."""
    at = parts.clock()
    with parts.ledger.reading() as conn:
        in_force = parts.watch.look(conn)
        loads = parts.decider.loads.look(conn, in_force.roster.reps, at)
    considered = consider(in_force, body.lead.columns(), at=at)
    return answers.scored(considered, considered.room(loads, parts.watch.seen), body.rep_ids, body.top_k)


@router.post("/v1/assign")
def assign(
    body: AssignIn, request: Request, idempotency_key: Annotated[str | None, Header()] = None
) -> Response:
    """The decision; it takes one unit of the rep's capacity and is stored before it is answered."""
    lead = body.lead.columns()
    ask = Ask(
        client_id=caller_of(request).client_id,
        lead=lead,
        digest=digest_of({"lead": lead, "dry_run": body.dry_run}),
        key=_checked_key(idempotency_key),
        dry_run=body.dry_run,
        deadline=deadline_of(request),
    )
    reply = parts_of(request).decider.assign(ask)
    return json_reply(reply.body, {"Idempotent-Replayed": "true"} if reply.replayed else {})


@router.post("/v1/assign/batch")
def assign_many(body: BatchIn, request: Request) -> Response:
    """The same for many leads, matched jointly; an error for one does not stop the others."""
    client_id = caller_of(request).client_id
    deadline = deadline_of(request, at_least_s=BATCH_DEADLINE_S)
    items = [_item(raw, client_id, f"leads[{place}]", deadline) for place, raw in enumerate(body.leads)]
    return json_reply(assign_batch(parts_of(request).decider, items))


@router.get("/v1/decisions")
def search(
    request: Request,
    lead_id: str | None = None,
    rep_id: str | None = None,
    since: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Decisions, newest first, page by page; a CRM's key sees its own client's, a rep's key her own."""
    caller, parts = caller_of(request), parts_of(request)
    named = {"lead_id": lead_id, "rep_id": rep_id, "since": since, "cursor": cursor}
    found: dict[str, Any] = {name: _checked(name, value) for name, value in named.items() if value}
    if caller.role == "rep":
        found["rep_id"] = caller.rep_id
    with parts.ledger.reading() as conn:
        page, following = decisions.search(conn, client_id=caller.sees_only_client, limit=limit, **found)
        names = _names(parts.watch.look(conn).roster.reps)
        kept = decisions.answers_of(conn, [decision.row.decision_id for decision in page])
        known = _persons(conn, page)
    told = [_told(decision, kept, names, known, caller.role) for decision in page]
    return json_reply(answers.encoded({"decisions": told, "next_cursor": following}))


@router.get("/v1/decisions/{decision_id}")
def look_up(decision_id: str, request: Request) -> Response:
    """One decision as it was answered, and what became of it."""
    caller, parts = caller_of(request), parts_of(request)
    with parts.ledger.reading() as conn:
        decision = visible(conn, caller, decision_id)
        changes = overrides.of_decision(conn, decision.row.decision_id)
        kept = decisions.answers_of(conn, [decision.row.decision_id])
        names = _names(parts.watch.look(conn).roster.reps)
        known = _persons(conn, [decision])
    answer = _told(decision, kept, names, known, caller.role)
    told = answer | {"overrides": [without_names(asdict(change), caller.role) for change in changes]}
    return json_reply(answers.encoded(told))


@router.get("/v1/decisions/{decision_id}/explanation")
def explain(decision_id: str, request: Request, language: Language = "en") -> Response:
    """The decision's reasons in either language, and the lead's own score with its parts as the model sees it now.

    `lead`: null, or `{baseline, average, reasons, model_version, as_decided}`; the reasons add up to
    `baseline - average`. `as_decided` is false where another model or roster is in force by now.
    """
    caller, parts = caller_of(request), parts_of(request)
    with parts.ledger.reading() as conn:
        decision = visible(conn, caller, decision_id)
        kept = decisions.answers_of(conn, [decision.row.decision_id])
        in_force = parts.watch.look(conn)
    answer = answers.kept_or_row(kept, decision, _names(in_force.roster.reps))
    return json_reply(answers.encoded(explained(decision.row, answer, in_force, language)))


@router.post("/v1/decisions/{decision_id}/override")
def override(decision_id: str, body: OverrideIn, request: Request) -> Response:
    """A person's choice, kept beside ours; `version` is the state's that the person saw."""
    caller, parts = caller_of(request), parts_of(request)
    with parts.ledger.writing() as tx:
        decision = visible(tx, caller, decision_id)
        rep = next((rep for rep in parts.watch.look(tx).roster.reps if rep.rep_id == body.rep_id), None)
        if rep is None:
            raise Problem(422, "There is no such rep.", [FieldError("rep_id", "is not in the roster")])
        state = overrides.record(
            tx,
            decision.row.spell_id,
            rep,
            reason=body.reason,
            actor=caller.actor,
            expected_version=body.version,
            at=parts.clock(),
            force=body.force,
        )
    return json_reply(answers.encoded({"decision_id": decision.row.spell_id, "state": asdict(state)}))


def visible(conn: Connection, caller: Caller, decision_id: str) -> Decision:
    """The decision, if the caller may see it; to others it is not there."""
    found = decisions.get(conn, decision_id) if len(decision_id) <= 64 else None
    theirs = found is not None and caller.sees_only_client in (None, found.row.client_id)
    if found is not None and caller.role == "rep":
        theirs = found.state is not None and found.state.rep_id == caller.rep_id
    if found is None or not theirs:
        raise Problem(404, "There is no such decision.")
    return found


def _persons(conn: Connection, page: Sequence[Decision]) -> dict[LeadKey, Mapping[str, Any]]:
    """Personal data of the leads of a page of decisions, where there are any."""
    found: dict[LeadKey, Mapping[str, Any]] = {}
    for client_id in {decision.row.client_id for decision in page}:
        leads = [decision.row.lead_id for decision in page if decision.row.client_id == client_id]
        found |= {(client_id, lead): data for lead, data in personal.read_many(conn, client_id, leads).items()}
    return found


def _told(
    decision: Decision,
    kept: Mapping[str, bytes],
    names: Mapping[str, str | None],
    known: Mapping[LeadKey, Mapping[str, Any]],
    role: str,
) -> dict[str, Any]:
    """A decision as this role sees it: as it was answered, what became of it, and the person behind the lead."""
    answer = answers.with_state(answers.kept_or_row(kept, decision, names), decision)
    state = answer["state"] and without_names(answer["state"], role)
    data = known.get((decision.row.client_id, decision.row.lead_id), {})
    return answer | {"state": state, "person": person(data, role)}


def _item(raw: Any, client_id: str, above: str, deadline: float) -> Ask | Refused:
    try:
        lead = Lead.model_validate(raw)
    except ValidationError as error:
        lead_id = raw.get("lead_id") if isinstance(raw, dict) else None
        return Refused(lead_id if isinstance(lead_id, str) else None, invalid(error.errors(), above=above))
    columns = lead.columns()
    return Ask(client_id, columns, digest_of({"lead": columns, "dry_run": False}), deadline=deadline)



def _checked(name: str, value: str) -> Any:
    try:
        if name == "since":
            return moment(value)
        return value if name == "cursor" and len(value) < 500 else clean_id(value)
    except ValueError as error:
        raise Problem(422, "1 field(s) cannot be used.", [FieldError(name, str(error))]) from None


def _checked_key(key: str | None) -> str | None:
    if key is not None and not KEY.fullmatch(key):
        error = FieldError("Idempotency-Key", "must have 1 to 255 visible ASCII characters")
        raise Problem(400, "The Idempotency-Key cannot be used.", [error])
    return key


def _names(reps: tuple[Rep, ...]) -> dict[str, str | None]:
    return {rep.rep_id: rep.name for rep in reps}
