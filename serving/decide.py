"""The walk of one lead: seen before? score, screen, price, draw, reserve, write down, answer."""

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from data.errors import ConflictError
from data.personal import is_personal
from data.roster import Rep
from data.store import capacity, decisions, roster
from data.store.capacity import Load
from data.store.decisions import DecisionRow, Stored
from data.store.ledger import Connection, Ledger
from data.store.load_book import LoadBook
from serving import answers, metrics
from serving.consider import Chances, Considered, chances, consider
from serving.in_force import Watch
from serving.policy import arms
from serving.policy.price_book import PriceBook
from serving.problems import FieldError, Problem, retry_later

MOST_DRAWS = 50  # slots lost to others in a row before the client is asked to come back
MOST_STARTS = 4  # times that the roster may change under a decision
Loads = Mapping[str, Load]


@dataclass(frozen=True)
class Ask:
    """One client's wish to have one lead assigned."""

    client_id: str
    lead: Mapping[str, Any]
    digest: str  # of the body: an explicit key with another body is a mistake
    key: str | None = None
    dry_run: bool = False
    deadline: float = float("inf")  # on the monotonic clock; after it nothing is decided

    @property
    def lead_id(self) -> str:
        """The lead's id."""
        return str(self.lead["lead_id"])


@dataclass(frozen=True)
class Reply:
    """The answer's bytes, and whether they were stored before."""

    body: bytes
    replayed: bool = False


@dataclass(frozen=True)
class Case:
    """A lead that has been considered, and what its slots cost beside the prices in force."""

    ask: Ask
    considered: Considered
    extra_prices: Mapping[str, float] | None = None  # of a batch, whose leads compete with each other

    @property
    def rep_ids(self) -> list[str]:
        """The candidates."""
        return [rep.rep_id for rep in self.considered.candidates]


@dataclass(frozen=True)
class Draw:
    """A proposal that is complete but for the slot: whom chance chose, from what, and the answer that says so."""

    decision_id: str
    number: int
    seed: int
    chances: Chances | None  # None: nobody is available
    candidate: int | None
    answer: bytes
    unassigned_reason: str | None = None


@dataclass(frozen=True)
class Found:
    """A decision that already answers, and whether it was found under the request's own key."""

    stored: Stored
    under_key: bool


class _RosterChangedError(Exception):
    """The roster is another one than the lead was screened against."""


def digest_of(body: Any) -> str:
    """The same for the same content, however its fields were ordered."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=answers.as_json).encode()).hexdigest()


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
        self._under_way = _UnderWay()

    def assign(self, ask: Ask, *, prepared: Case | None = None) -> Reply:
        """The decision about a lead: the stored one, if there is one, else a new one, stored before it is told.

        prepared : the lead as a batch considered it; it is considered anew where the roster changed since.
        """
        extra_prices = prepared.extra_prices if prepared else None
        with self._under_way.alone((ask.client_id, ask.lead_id), ask.deadline):
            for _ in range(MOST_STARTS):
                at = self.clock()
                with self.ledger.reading() as conn:
                    if found := self._standing(conn, ask):
                        return self._again(ask, found)
                    in_force = self.watch.look(conn)
                    loads = self.loads.look(conn, in_force.roster.reps, at)
                if prepared is None:
                    prepared = Case(ask, consider(in_force, ask.lead, loads, at=at), extra_prices)
                try:
                    return self.settle(prepared, loads)
                except _RosterChangedError:
                    prepared = None
        raise retry_later(503, "The roster keeps changing; try again.")

    def settle(self, case: Case, loads: Loads) -> Reply:
        """Draw, reserve and store for a lead that has been considered."""
        ask = case.ask
        draw = self._draw(case, loads, 0, uuid.uuid4().hex)
        if ask.dry_run:
            return Reply(draw.answer)
        _check_time(ask)
        try:
            with self.ledger.writing(until=ask.deadline) as tx:
                decided_before = decisions.claim(tx, ask.client_id, ask.lead_id, ask.key) is not None
                if not decided_before:
                    _check_time(ask)
                    draw = self._reserved(tx, case, loads, draw)
                    decisions.record(tx, row_of(case, draw), draw.answer)
        except ConflictError:
            decided_before = True
        if decided_before:
            return self._made_meanwhile(ask)
        self._heard(case.considered, draw)
        return Reply(draw.answer)

    def _standing(self, conn: Connection, ask: Ask) -> Found | None:
        """The decision that already answers: under the explicit key, else the lead's own."""
        if ask.key and (stored := decisions.find_by_key(conn, ask.client_id, ask.key)):
            return Found(stored, under_key=True)
        stored = decisions.open_decision(conn, ask.client_id, ask.lead_id)
        return Found(stored, under_key=False) if stored else None

    def _made_meanwhile(self, ask: Ask) -> Reply:
        """The answer of whoever was quicker."""
        with self.ledger.reading() as conn:
            found = self._standing(conn, ask)
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
        told = json.loads(self._stored_answer(stored))
        answer = answers.encoded(told | {"decision_id": decision_id, "duplicate_of": stored.decision_id})
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

    def _reserved(self, tx: Connection, case: Case, loads: Loads, draw: Draw) -> Draw:
        """A draw whose slot is ours. Where it went meanwhile: read again, price again, draw again."""
        considered = case.considered
        while draw.candidate is not None and considered.in_force.mode != "shadow":
            rep = considered.candidates[draw.candidate]
            day = capacity.local_day(rep, considered.at)
            if capacity.reserve(tx, rep, decision_id=draw.decision_id, window=day, at=considered.at):
                break
            if roster.version(tx) != considered.in_force.roster.version:
                raise _RosterChangedError
            if draw.number == MOST_DRAWS:
                raise retry_later(503, "Every slot was taken by others first; try again.")
            metrics.lost_race()
            loads = loads_of(tx, considered.candidates, considered.at)
            draw = self._draw(case, loads, draw.number + 1, draw.decision_id)
        return draw

    def _draw(self, case: Case, loads: Loads, number: int, decision_id: str) -> Draw:
        ask, considered = case.ask, case.considered
        prices = self.prices.of(case.rep_ids)
        if case.extra_prices is not None:
            prices = prices + np.array([case.extra_prices.get(rep_id, 0.0) for rep_id in case.rep_ids])
        given = chances(considered, loads, prices, self.watch.records)
        seed = arms.seed_of(considered.in_force.rules.seed, ask.client_id, ask.lead_id)
        told_id = None if ask.dry_run else decision_id
        if given is None:
            why = "nobody is free" if case.rep_ids else "nobody is eligible"
            answer = answers.unassigned(considered, why, "fallback", told_id, considered.at)
            return Draw(decision_id, number, seed, None, None, _told(answer, case), why)
        candidate = given.drawn(seed, number)
        answer = answers.assigned(considered, given, candidate, told_id, considered.at)
        return Draw(decision_id, number, seed, given, candidate, _told(answer, case))

    def _heard(self, considered: Considered, draw: Draw) -> None:
        """Let the prices and the figures know."""
        self.prices.note()
        arm = draw.chances.arm(draw.candidate) if draw.chances and draw.candidate is not None else "nobody"
        metrics.decided(arm, assigned=draw.candidate is not None, degraded=considered.degraded is not None)


def loads_of(conn: Connection, reps: Sequence[Rep], at: datetime) -> Loads:
    """The load of every rep on her own local day."""
    return capacity.loads(conn, {rep.rep_id: capacity.local_day(rep, at) for rep in reps})


def row_of(case: Case, draw: Draw) -> DecisionRow:
    """The decision as the ledger keeps it: with everything that a replay of the policy needs."""
    ask, considered = case.ask, case.considered
    in_force, nobody = considered.in_force, np.zeros(len(considered.candidates), dtype=bool)
    row = DecisionRow(
        decision_id=draw.decision_id,
        client_id=ask.client_id,
        idempotency_key=ask.key,
        request_digest=ask.digest,
        lead_id=ask.lead_id,
        customer_id=ask.lead.get("customer_id"),
        spell_id=draw.decision_id,
        mode=in_force.mode,
        decided_at=considered.at,
        lead_snapshot=answers.plain({name: value for name, value in ask.lead.items() if not is_personal(name)}),
        personal=answers.plain({name: value for name, value in ask.lead.items() if is_personal(name)}),
        roster_version=in_force.roster.version,
        policy_version=in_force.policy_version,
        model_version=in_force.loaded.version if in_force.loaded else None,
        model_digest=in_force.loaded.digest if in_force.loaded else None,
        candidates=tuple(case.rep_ids),
        excluded=considered.excluded(nobody),
        available=nobody,
        probability=considered.probability,
        baseline=considered.baseline,
        lead_score=considered.lead_score,
        grade=considered.grade,
        degraded=considered.degraded,
        unassigned_reason=draw.unassigned_reason,
        arm="fallback",
        seed=draw.seed,
        draw_number=draw.number,
    )
    if draw.chances is None or draw.candidate is None:
        return row
    return _with_rep(row, considered, draw.chances, draw.candidate)


def _with_rep(row: DecisionRow, considered: Considered, given: Chances, candidate: int) -> DecisionRow:
    """The row with what chance was given to whom, and who got the lead."""
    rep, interval = considered.candidates[candidate], considered.uplift(candidate)
    row = replace(
        row,
        excluded=considered.excluded(given.available),
        available=given.available,
        propensity_policy=given.policy,
        propensity_control=given.control,
        propensity=given.mixture,
        prices=given.prices,
        state={name: getattr(given.state, name) for name in ("open_leads", "today", "won", "closed")},
        arm=given.arm(candidate),
        holdout_share=given.share,
        rep_drawn=rep.rep_id,
        rep_id=rep.rep_id,
        window=capacity.local_day(rep, considered.at),
    )
    if interval is None:
        return row
    return replace(
        row,
        probability_chosen=float(considered.probability[candidate]),
        uplift=interval.value,
        uplift_low=interval.low,
        uplift_high=interval.high,
    )


def _check_time(ask: Ask) -> None:
    if time.monotonic() > ask.deadline:
        raise retry_later(503, "The decision was not made in time; nothing was stored.")


def _told(answer: dict[str, Any], case: Case) -> bytes:
    said = ["dry run: nothing was stored"] if case.ask.dry_run else []
    if case.considered.in_force.mode == "shadow":
        said.append("shadow mode: the choice of the CRM stands")
    return answers.encoded(answer | {"warnings": [*answer["warnings"], *said]})


class _UnderWay:
    """Lets two requests for one lead take turns; the second finds the first one's decision."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], tuple[threading.Lock, int]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def alone(self, name: tuple[str, str], deadline: float) -> Iterator[None]:
        """The block runs alone for this lead in this process. Raises Problem 409 where the turn does not come."""
        with self._lock:
            turn, waiting = self._turns.get(name, (threading.Lock(), 0))
            self._turns[name] = (turn, waiting + 1)
        try:
            if not turn.acquire(timeout=min(max(deadline - time.monotonic(), 0.0), 60.0)):
                raise retry_later(409, "This lead is being decided right now; try again.")
            try:
                yield
            finally:
                turn.release()
        finally:
            with self._lock:
                turn, waiting = self._turns.pop(name)
                if waiting > 1:
                    self._turns[name] = (turn, waiting - 1)
