"""The walk of one lead: seen before? score, screen, price, draw, reserve, write down, answer."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from data.errors import ConflictError
from data.roster import Rep
from data.store import capacity, decisions, roster
from data.store.capacity import Load
from data.store.decisions import Stored
from data.store.ledger import Connection, Ledger
from data.store.load_book import LoadBook, RosterLoads, read_loads
from serving.deciding.background import background_of
from serving.deciding.cases import Ask, Background, Case, Draw, Found, Reply, digest_of, told
from serving.deciding.consider import Considered, Room, chances, consider
from serving.deciding.in_force import InForce, Watch
from serving.deciding.rows import row_of
from serving.deciding.turns import Turns
from serving.policy import arms
from serving.policy.price_book import PriceBook
from serving.running import metrics
from serving.telling import answers
from serving.web.problems import FieldError, Problem, retry_later

__all__ = ["Ask", "Case", "Decider", "Reply", "digest_of", "loads_of", "row_of"]
MOST_DRAWS = 50  # slots lost to others in a row before the client is asked to come back
MOST_STARTS = 4  # times that the roster may change under a decision
Loads = Mapping[str, Load]
WAITS = {"pool": ("pool", "waiting in the pool"), "manual_queue": ("manual", "waiting in the manual queue")}


class _RosterChangedError(Exception):
    """The roster is another one than the lead was screened against."""


class Decider:
    """Decides, one lead at a time, on as many threads as call it."""

    def __init__(
        self,
        ledger: Ledger,
        watch: Watch,
        prices: PriceBook,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.ledger = ledger
        self.watch = watch
        self.prices = prices
        self.clock = clock
        self.loads = LoadBook()
        self._turns = Turns()

    def assign(self, ask: Ask, *, prepared: Case | None = None) -> Reply:
        """The decision about a lead: the stored one, if there is one, else a new one, stored before it is told.

        prepared : the lead as a batch considered it; it is considered anew where the roster changed since.
        """
        extra_prices = prepared.extra_prices if prepared else None
        with self._turns.alone((ask.client_id, ask.lead_id), ask.deadline):
            for _ in range(MOST_STARTS):
                at = self.clock()
                with self.ledger.reading() as conn:
                    found, seen = self._standing(conn, ask)
                    if found:
                        return self._again(ask, found)
                    in_force = self.watch.look(conn)
                    loads = self.loads.look(conn, in_force.roster.reps, at)
                    background = background_of(conn, ask, in_force.rules, at=at, seen=seen)
                case = self._case(ask, in_force, prepared, background, at)
                if extra_prices:
                    case = replace(case, extra_prices=extra_prices)
                try:
                    return self.settle(case, loads)
                except _RosterChangedError:
                    prepared = None
        raise retry_later(503, "The roster keeps changing; try again.")

    def _case(
        self, ask: Ask, in_force: InForce, prepared: Case | None, background: Background, at: datetime
    ) -> Case:
        """The lead considered: as the batch did, where nothing is known now that the batch did not know."""
        changed = prepared is not None and prepared.considered.in_force.roster is not in_force.roster
        if prepared is None or changed or background.had_it:
            return Case(ask, consider(in_force, ask.lead, at=at, had_it=background.had_it), None, background)
        return replace(prepared, background=background)

    def settle(self, case: Case, loads: RosterLoads) -> Reply:
        """Draw, reserve and store for a lead that has been considered."""
        ask = case.ask
        draw = self._draw(case, loads, 0, uuid.uuid4().hex)
        if ask.dry_run or (ask.only_if_free and draw.candidate is None and not draw.waits):
            return Reply(draw.answer, stored=False)
        _check_time(ask)
        try:
            with self.ledger.writing(until=ask.deadline) as tx:
                decisions.claim(tx, ask.client_id, ask.lead_id)
                _check_time(ask)
                draw = self._reserved(tx, case, loads, draw)
                decisions.record(tx, row_of(case, draw), draw.answer)
        except ConflictError:
            return self._made_meanwhile(ask)
        self._heard(case.considered, draw)
        return Reply(draw.answer)

    def _standing(self, conn: Connection, ask: Ask) -> tuple[Found | None, bool]:
        """The decision that already answers: under the explicit key, else the lead's own; whether the lead is known."""
        if ask.key and (stored := decisions.find_by_key(conn, ask.client_id, ask.key)):
            return Found(stored, under_key=True), True
        standing, seen = decisions.known(conn, ask.client_id, ask.lead_id)
        return Found(standing, under_key=False) if standing else None, seen

    def _made_meanwhile(self, ask: Ask) -> Reply:
        """The answer of whoever was quicker."""
        with self.ledger.reading() as conn:
            found, _ = self._standing(conn, ask)
        if found is None:
            raise retry_later(409, "This lead is being decided right now; try again.")
        return self._again(ask, found)

    def _again(self, ask: Ask, found: Found) -> Reply:
        """The stored answer; under a key of its own, a lead's standing decision is kept as a duplicate of it."""
        if found.under_key and found.stored.request_digest != ask.digest:
            error = FieldError("Idempotency-Key", "was used with another body")
            raise Problem(422, "An Idempotency-Key stands for one request.", [error])
        if ask.key and not found.under_key and not ask.dry_run:
            return self._duplicate(ask, found.stored)
        metrics.replayed()
        return Reply(self._stored_answer(found.stored), replayed=True)

    def _duplicate(self, ask: Ask, stored: Stored) -> Reply:
        decision_id = uuid.uuid4().hex
        told_before = json.loads(self._stored_answer(stored))
        answer = answers.encoded(told_before | {"decision_id": decision_id, "duplicate_of": stored.decision_id})
        changed: dict[str, Any] = {"decision_id": decision_id, "duplicate_of": stored.decision_id, "personal": {}}
        changed |= {"idempotency_key": ask.key, "request_digest": ask.digest}
        try:
            with self.ledger.writing() as tx:
                original = decisions.get(tx, stored.decision_id)
                if original is not None:
                    decisions.record(tx, replace(original.row, **changed), answer)
        except ConflictError:  # the same key was quicker elsewhere
            return self._made_meanwhile(ask)
        return Reply(answer)

    def _stored_answer(self, stored: Stored) -> bytes:
        if stored.answer is not None:
            return stored.answer
        with self.ledger.reading() as conn:
            decision = decisions.get(conn, stored.decision_id)
            names = {rep.rep_id: rep.name for rep in self.watch.look(conn).roster.reps}
        if decision is None:
            raise ValueError(f"decision {stored.decision_id} is not in the ledger")
        return answers.encoded(answers.from_row(decision, names))

    def _reserved(self, tx: Connection, case: Case, loads: RosterLoads, draw: Draw) -> Draw:
        """A draw whose slot is ours. Where it went meanwhile: read again, price again, draw again."""
        considered = case.considered
        while draw.candidate is not None and considered.in_force.mode != "shadow":
            if slot_taken(tx, considered, draw.candidate, draw.decision_id):
                break
            if roster.version(tx) != considered.in_force.roster.version:
                raise _RosterChangedError
            if draw.number == MOST_DRAWS:
                raise retry_later(503, "Every slot was taken by others first; try again.")
            metrics.lost_race()
            loads = read_loads(tx, considered.in_force.roster.reps, considered.at)
            draw = self._draw(case, loads, draw.number + 1, draw.decision_id)
        return draw

    def _draw(self, case: Case, loads: RosterLoads, number: int, decision_id: str) -> Draw:
        """Whom the customer's history, a rule that waits, or chance gives the lead, in this order."""
        ask, considered = case.ask, case.considered
        seed = arms.seed_of(considered.in_force.rules.seed, ask.client_id, ask.lead_id)
        told_id = None if ask.dry_run else decision_id
        room = considered.room(loads, self.watch.seen)
        owner = _owner_s_place(case, room)
        if owner is not None:
            answer = answers.given(considered, room, owner, "sticky", told_id)
            return Draw(decision_id, number, seed, "sticky", room, self._told(answer, case), candidate=owner)
        method = ask.method or considered.way.method
        if method in WAITS:
            arm, why = WAITS[method]
            return self._nobody(case, room, arm, why, Draw(decision_id, number, seed, arm, room, b""))
        given = chances(
            considered,
            room,
            loads,
            self._prices(case),
            self.watch.seen,
            method=ask.method,
            usual_value=self.prices.usual_value,
        )
        if isinstance(given, Room):
            why = "nobody is free" if case.rep_ids else "nobody is eligible"
            return self._nobody(case, given, "fallback", why, Draw(decision_id, number, seed, "fallback", given, b""))
        candidate = given.drawn(seed, number)
        answer = answers.assigned(considered, given, candidate, told_id)
        arm = given.arm(candidate)
        return Draw(decision_id, number, seed, arm, given.room, self._told(answer, case), given, candidate)

    def _nobody(self, case: Case, room: Room, arm: str, why: str, draw: Draw) -> Draw:
        told_id = None if case.ask.dry_run else draw.decision_id
        answer = answers.unassigned(case.considered, room, why, arm, told_id)
        return replace(draw, answer=self._told(answer, case), unassigned_reason=why)

    def _told(self, answer: Mapping[str, Any], case: Case) -> bytes:
        return told(answer, case.ask, case.considered, case.background.same_customer)

    def _prices(self, case: Case) -> np.ndarray:
        considered = case.considered
        prices = self.prices.of(considered.in_force.roster.ids)[considered.places]
        if case.extra_prices is not None:
            prices = prices + np.array([case.extra_prices.get(rep_id, 0.0) for rep_id in case.rep_ids])
        return prices

    def _heard(self, considered: Considered, draw: Draw) -> None:
        """Let the prices and the figures know."""
        self.prices.note()
        arm = draw.arm if draw.candidate is not None or draw.waits else "nobody"
        metrics.decided(arm, assigned=draw.candidate is not None, degraded=considered.degraded is not None)


def slot_taken(tx: Connection, considered: Considered, candidate: int, decision_id: str) -> bool:
    """Whether the decision got a slot of the candidate, under her own limits and the rule book's."""
    rep, at = considered.candidates[candidate], considered.at
    limits = considered.in_force.screener.limits.of(int(considered.places[candidate]), at)
    return capacity.reserve(
        tx, rep, decision_id=decision_id, window=capacity.local_day(rep, at), at=at, limits=limits
    )


def loads_of(conn: Connection, reps: Sequence[Rep], at: datetime) -> Loads:
    """The load of every rep on her own local day."""
    return capacity.loads(conn, {rep.rep_id: capacity.local_day(rep, at) for rep in reps})


def _owner_s_place(case: Case, room: Room) -> int | None:
    """The candidate who has the customer already, where she is free."""
    owner = case.background.owner
    if owner is None or owner not in case.rep_ids:
        return None
    place = case.rep_ids.index(owner)
    return place if room.available[place] else None


def _check_time(ask: Ask) -> None:
    if time.monotonic() > ask.deadline:
        raise retry_later(503, "The decision was not made in time; nothing was stored.")
