"""The pool: leads that a rep may claim, ranked for her, and the claim, of which there is one winner."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data.errors import ConflictError
from data.roster import Rep
from data.store import capacity, decisions, outbox, pool, spells
from data.store.decision_row import Decision
from data.store.ledger import Connection
from serving.deciding.cases import Ask, Case, Draw, told
from serving.deciding.consider import Considered, Room, consider
from serving.deciding.decide import Decider, slot_taken
from serving.deciding.in_force import InForce
from serving.deciding.rows import row_of
from serving.policy import arms
from serving.telling import answers
from serving.web.problems import FieldError, Problem

CLAIM = "claim"


def ranked(decider: Decider, rep_id: str | None, *, client_id: str | None = None, limit: int = 200) -> dict[str, Any]:
    """Leads in the pool: for a rep the ones first that gain most by going to her; else those that wait longest."""
    at = decider.clock()
    with decider.ledger.reading() as conn:
        in_force = decider.watch.look(conn)
        waiting = pool.waiting(conn, pool.POOLED, client_id=client_id, limit=limit)
        if rep_id is None:
            return {"rep_id": None, "leads": [shown(one) for one in waiting]}
        rep = _on_roster(in_force, rep_id)
        loads = decider.loads.look(conn, in_force.roster.reps, at)
        held = pool.claims(conn, rep_id, local_day=capacity.local_day(rep, at))
        cooling = {one.row.decision_id: _cooling(conn, one, in_force, at) for one in waiting}
    listed = []
    for one in waiting:
        considered = consider(in_force, one.row.lead_snapshot, at=at, had_it=cooling[one.row.decision_id])
        room = _room(considered, considered.room(loads, decider.watch.seen))
        why_not = _why_not(considered, room, rep_id) or _over_limit(in_force, *held)
        listed.append(shown(one) | _for_rep(considered, rep_id) | {"claimable": why_not is None, "why_not": why_not})
    listed.sort(key=lambda lead: (not lead["claimable"], -(lead["uplift"] or 0.0), lead["since"]))
    return {"rep_id": rep_id, "leads": listed}


def claim(decider: Decider, client_id: str, lead_id: str, rep_id: str, *, actor: str) -> bytes:
    """The decision that gives a lead of the pool to the rep who claims it; recorded as self-selected.

    Raises Problem 404 for a lead that is not in the pool, 409 where somebody was quicker or the rep may not have it.
    """
    at = decider.clock()
    with decider.ledger.reading() as conn:
        in_force = decider.watch.look(conn)
        rep = _on_roster(in_force, rep_id)
        found = pool.pooled_decision(conn, client_id, lead_id)
        if found is None:
            raise _not_there(conn, client_id, lead_id)
        loads = decider.loads.look(conn, in_force.roster.reps, at)
        considered = consider(
            in_force, found.row.lead_snapshot, at=at, had_it=_cooling(conn, found, in_force, at)
        )
    room = _room(considered, considered.room(loads, decider.watch.seen))
    if why_not := _why_not(considered, room, rep_id):
        raise ConflictError(f"{rep_id} cannot claim this lead: {why_not}.")
    case, draw = _drawn(found, considered, room, rep_id)
    with decider.ledger.writing() as tx:
        decisions.claim(tx, client_id, lead_id)  # the lead is ours alone until the transaction ends
        if not capacity.release(tx, found.row.decision_id, kind="claimed", at=at, actor=actor):
            raise ConflictError("Somebody else has claimed this lead.")
        if not slot_taken(tx, considered, case.rep_ids.index(rep_id), draw.decision_id):
            raise ConflictError(f"{rep_id} cannot claim this lead: at capacity.")
        # After the slot: its counter makes a rep's claims take turns, so that two cannot both be the last allowed.
        held = pool.claims(tx, rep_id, local_day=capacity.local_day(rep, at))
        if why_not := _over_limit(in_force, *held):
            raise ConflictError(f"{rep_id} cannot claim this lead: {why_not}.")
        decisions.record(tx, row_of(case, draw), draw.answer)
        about = {"decision_id": draw.decision_id, "rep_id": rep_id, "actor": actor}
        outbox.announce(tx, "claimed", at=at, client_id=client_id, lead_id=lead_id, data=about)
    return draw.answer


def _drawn(found: Decision, considered: Considered, room: Room, rep_id: str) -> tuple[Case, Draw]:
    """The claim as a decision: nothing was drawn, so there is no propensity."""
    row, decision_id = found.row, uuid.uuid4().hex
    case = Case(Ask(row.client_id, row.lead_snapshot, CLAIM), considered)
    place = case.rep_ids.index(rep_id)
    answer = told(answers.given(considered, room, place, "pool", decision_id), case.ask, considered)
    seed = arms.seed_of(considered.in_force.rules.seed, row.client_id, row.lead_id)
    return case, Draw(decision_id, 0, seed, "pool", room, answer, candidate=place)


def _cooling(conn: Connection, found: Decision, in_force: InForce, at: datetime) -> tuple[str, ...]:
    since = at - timedelta(minutes=in_force.rules.pool.cooling_off_minutes)
    return spells.taken_from(conn, found.row.client_id, found.row.lead_id, since=since)


def _room(considered: Considered, room: Room) -> Room:
    """Who may claim it: among the reps of the route that put the lead into the pool."""
    return room.among(considered.way)


def _why_not(considered: Considered, room: Room, rep_id: str) -> str | None:
    for why, ids in room.excluded.items():
        if rep_id in ids:
            return why
    places: Mapping[str, int] = {rep.rep_id: place for place, rep in enumerate(considered.candidates)}
    return None if rep_id in places and room.available[places[rep_id]] else "not eligible"


def _over_limit(in_force: InForce, held: int, today: int) -> str | None:
    rules = in_force.rules.pool
    if rules.open_claims is not None and held >= rules.open_claims:
        return f"{held} claimed leads are open, at most {rules.open_claims} may be"
    if rules.daily_claims is not None and today >= rules.daily_claims:
        return f"{today} leads were claimed today, at most {rules.daily_claims} may be"
    return None


def _for_rep(considered: Considered, rep_id: str) -> dict[str, Any]:
    ids = [rep.rep_id for rep in considered.candidates]
    if rep_id not in ids or considered.scores is None:
        return {"probability": None, "uplift": None}
    place = ids.index(rep_id)
    probability = float(considered.probability[place])
    return {"probability": probability, "uplift": probability - float(np.mean(considered.probability))}


def shown(found: Decision) -> dict[str, Any]:
    """The lead without personal data: these are for whoever has it."""
    row = found.row
    return {
        "client_id": row.client_id,
        "lead_id": row.lead_id,
        "decision_id": row.decision_id,
        "since": row.decided_at,
        "grade": row.grade,
        "lead_score": row.lead_score,
        "lead": dict(row.lead_snapshot),
    }


def _on_roster(in_force: InForce, rep_id: str) -> Rep:
    found = next((rep for rep in in_force.roster.reps if rep.rep_id == rep_id), None)
    if found is None:
        raise Problem(422, "There is no such rep.", [FieldError("rep_id", "is not in the roster")])
    return found


def _not_there(conn: Connection, client_id: str, lead_id: str) -> Exception:
    if decisions.open_decision(conn, client_id, lead_id):
        return ConflictError("Somebody has this lead already.")
    return Problem(404, "There is no such lead in the pool.")
