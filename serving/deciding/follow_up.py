"""Follow-up: leads that nobody contacts are told of and taken back, leads that nobody has are given out.

A step is a row in the ledger, and each is taken once, however many processes sweep at the same time: whoever comes
second finds it taken. Giving out again is a step of its own, so a sweep that was cut off is made up for by the next.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from data.errors import BusyError
from data.store import decisions, follow_ups, personal
from data.store.follow_ups import Left, Waiting
from data.store.ledger import Connection
from serving.deciding.cases import Ask
from serving.deciding.decide import Decider
from serving.policy.sections import RuleBook
from serving.web.problems import Problem

log = logging.getLogger(__name__)
RETRIED_FOR = timedelta(days=7)  # leads that nobody was free for
SWEEPER = "sweep"


@dataclass
class Swept:
    """How often each step was taken in one sweep."""

    overdue: int = 0
    escalated: int = 0
    recycled: int = 0
    unclaimed: int = 0
    slot_timed_out: int = 0
    given_out: int = 0


def sweep(decider: Decider) -> Swept:
    """One pass over everything that waits. Raises BusyError where the ledger cannot be reached."""
    at, done = decider.clock(), Swept()
    with decider.ledger.reading() as conn:
        rules = decider.watch.look(conn).rules
        due = list(_due(conn, rules, at))
    for waiting, step in due:
        _take(decider, waiting, step, at, done)
    with decider.ledger.reading() as conn:
        nobodys = [] if rules.follow_up.watch == "never" else follow_ups.left(conn, decided_after=at - RETRIED_FOR)
    for lead in nobodys:
        if give_out(decider, lead, rules):
            done.given_out += 1
    return done


def _take(decider: Decider, waiting: Waiting, step: str, at: datetime, done: Swept) -> None:
    with decider.ledger.writing() as tx:
        taken = follow_ups.take(tx, waiting, step, actor=SWEEPER, at=at)
    if taken:
        setattr(done, step, getattr(done, step) + 1)


def _due(conn: Connection, rules: RuleBook, at: datetime) -> Iterator[tuple[Waiting, str]]:
    """Every step that is due, those of one lead in their order."""
    yield from _uncontacted(conn, rules, at)
    pool, capacity = rules.pool.time_out_minutes, rules.capacity.time_out_days
    if pool is not None:
        for waiting in follow_ups.pooled(conn, before=at - timedelta(minutes=pool)):
            yield waiting, "unclaimed"
    if capacity is not None:
        for waiting in follow_ups.holding_slots(conn, given_before=at - timedelta(days=capacity)):
            yield waiting, "slot_timed_out"


def _uncontacted(conn: Connection, rules: RuleBook, at: datetime) -> Iterator[tuple[Waiting, str]]:
    asked = rules.follow_up
    if asked.watch == "never":
        return
    # Where a CRM never says that anybody called, every lead would look forgotten.
    report = follow_ups.clients_that_report(conn) if asked.watch == "auto" else None
    within = rules.contact_within_minutes
    soonest = min(within.minutes(grade) for grade in ("A", "B", "C", "D", None))
    for waiting in follow_ups.uncontacted(conn, given_before=at - timedelta(minutes=soonest)):
        if report is not None and waiting.client_id not in report:
            continue
        minutes = (at - waiting.since) / timedelta(minutes=1)
        deadline = within.minutes(waiting.grade)
        steps = [("overdue", deadline), ("escalated", deadline + asked.escalate_after_minutes)]
        if asked.recycle:
            steps.append(("recycled", asked.recycle_after_minutes.minutes(waiting.grade)))
        for step, after in steps:
            if minutes >= after and step not in waiting.taken:
                yield waiting, step


def give_out(decider: Decider, lead: Left, rules: RuleBook) -> bool:
    """Whether a lead that nobody had was given to somebody, or put where it waits for a person."""
    with decider.ledger.reading() as conn:
        found = decisions.get(conn, lead.decision_id)
        known = personal.read(conn, lead.client_id, lead.lead_id)
    if found is None:
        raise ValueError(f"decision {lead.decision_id} is not in the ledger")
    columns = {**found.row.lead_snapshot, **known, "lead_id": lead.lead_id}
    ask = Ask(lead.client_id, columns, SWEEPER, method=_instead(lead, rules), only_if_free=True)
    try:
        reply = decider.assign(ask)
    except (BusyError, Problem) as error:
        log.warning("a lead could not be given out again", extra={"problem": type(error).__name__})
        return False
    return reply.stored and not reply.replayed


def _instead(lead: Left, rules: RuleBook) -> str | None:
    """What decides in place of the rule book's own method."""
    if lead.status == "recycled" and lead.ended_by == "unclaimed":
        return rules.pool.then
    if lead.ended_by == "recycled" and lead.recycles >= rules.follow_up.most_recycles:
        return "manual_queue"
    return None


def hand_over(
    decider: Decider, rep_id: str, lead_ids: Sequence[str] | None, *, reason: str, actor: str
) -> list[dict[str, Any]]:
    """Match the rep's open leads to others: of each, who has it now, or why nobody.

    lead_ids : only these; None: all.
    """
    at, moved = decider.clock(), []
    with decider.ledger.reading() as conn:
        rules = decider.watch.look(conn).rules
        theirs = follow_ups.of_rep(conn, rep_id)
    for waiting in theirs:
        if lead_ids is not None and waiting.lead_id not in lead_ids:
            continue
        with decider.ledger.writing() as tx:
            taken = follow_ups.take(tx, waiting, "handed_over", actor=actor, at=at, told={"reason": reason})
        if taken:
            last = Left(waiting.client_id, waiting.lead_id, waiting.decision_id, "recycled", "handed_over", 0)
            give_out(decider, last, rules)
        moved.append(waiting)
    return [_now(decider, waiting) for waiting in moved]


def _now(decider: Decider, waiting: Waiting) -> dict[str, Any]:
    with decider.ledger.reading() as conn:
        stored = decisions.open_decision(conn, waiting.client_id, waiting.lead_id)
        found = decisions.get(conn, stored.decision_id) if stored else None
    rep_id = found.state.rep_id if found and found.state else None
    why = None if rep_id else found.row.unassigned_reason if found else "nobody is free; it is tried again"
    decision_id = stored.decision_id if stored else None
    return {"lead_id": waiting.lead_id, "rep_id": rep_id, "decision_id": decision_id, "unassigned_reason": why}


class FollowUp:
    """Sweeps again and again, on a thread of its own."""

    def __init__(self, decider: Decider, *, every_s: float) -> None:
        self._decider = decider
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow-up", daemon=True)

    def start(self) -> None:
        """Begin, after the first pause."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the sweep that is under way."""
        self._stopped.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                done = sweep(self._decider)
            except Exception as error:  # whatever it is, the next sweep makes up for it
                log.warning("a sweep ended early", extra={"problem": type(error).__name__})
                continue
            if any(vars(done).values()):
                log.info("swept", extra=dict(vars(done)))
