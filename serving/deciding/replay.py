"""What a changed rule book would have done with the decisions in the ledger, and what that would have been worth."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data.roster import Rep
from data.store import decisions, policies, records, roster
from data.store.capacity import Load
from data.store.decisions import Decision
from data.store.ledger import Connection
from serving.deciding.consider import OFF_ROUTE
from serving.deciding.replay_report import Replay, Row, told
from serving.policy.methods import State
from serving.policy.pace import Pace
from serving.policy.price_book import RECENT, SeenLead, prices_now
from serving.policy.replay import Book, Logged, Replayed
from serving.policy.rulebook import RuleBook, default_rule_book, parse_rule_book

MOST, USUAL_MOST = 50_000, 5_000
PRICED_TIMES = 50  # at most so often are prices solved anew
SETTLED = "settled without a draw"
STRANGER = "a candidate who was not in the roster"


@dataclass(frozen=True)
class Asked:
    """Which rule book, on which decisions: the newest `limit` between two moments."""

    rules: RuleBook
    since: datetime | None = None
    limit: int = USUAL_MOST
    until: datetime | None = None


@dataclass
class Then:
    """Rosters and rule books as they were, each read once."""

    conn: Connection
    _rosters: dict[int, tuple[Rep, ...]] = field(default_factory=dict)
    _rules: dict[int, RuleBook] = field(default_factory=dict)
    _books: dict[tuple[int, int], Book] = field(default_factory=dict)

    def reps(self, version: int) -> tuple[Rep, ...]:
        """The roster of a version."""
        if version not in self._rosters:
            self._rosters[version] = roster.read_roster(self.conn, version).reps
        return self._rosters[version]

    def rules(self, version: int) -> RuleBook:
        """The rule book of a version; the default one before the first."""
        if version not in self._rules:
            found = policies.get(self.conn, version)
            self._rules[version] = parse_rule_book(found.text) if found else default_rule_book()
        return self._rules[version]

    def book(self, rules: RuleBook, roster_version: int, policy_version: int) -> Book:
        """The asked rule book laid out for a roster, told which one decided then."""
        key = (roster_version, policy_version)
        if key not in self._books:
            then = self.rules(policy_version)
            self._books[key] = Book(rules, self.reps(roster_version), rules_then=then)
        return self._books[key]


def replay(
    conn: Connection, asked: Asked, *, at: datetime, window_days: float, target: str, verdict: str | None
) -> dict[str, Any]:
    """The figures of POST /v1/policy/replay and of `evaluate --policy`.

    verdict : of the model in force, which says what `mode: auto` means.
    """
    rows = decisions.newest_spells(conn, since=asked.since, until=asked.until, limit=min(asked.limit, MOST))
    then, rules = Then(conn), asked.rules
    seen = _Seen(conn, rules, rows)
    left_out: Counter[str] = Counter()
    kept: list[Row] = []
    prices = _Prices(rules, rows, then)
    won = _won_at(rows, target)
    for number, (_, decision) in enumerate(rows):
        row = decision.row
        logged = _logged(decision, then, seen, prices.at(number))
        if isinstance(logged, str):
            left_out[logged] += 1
            continue
        rules_then = then.rules(row.policy_version or 0)
        mode = row.mode if rules == rules_then else rules.mode_for(verdict)
        made = then.book(rules, row.roster_version, row.policy_version or 0).replay(logged, mode=mode)
        if isinstance(made, str):
            left_out[made] += 1
            continue
        outcome = won.get((row.client_id, row.lead_id))
        converted = outcome is not None and (outcome - row.decided_at).total_seconds() <= window_days * 86_400
        mature = row.decided_at + timedelta(days=window_days) <= at
        kept.append(_row(decision, logged, made, converted=converted, mature=mature))
    scope = {
        "as_of": at, "since": asked.since, "until": asked.until, "decisions": len(rows),
        "first_decided_at": rows[0][1].row.decided_at if rows else None,
        "last_decided_at": rows[-1][1].row.decided_at if rows else None,
        "window_days": window_days, "target": target, "prices": prices.how,
    }  # fmt: skip
    return scope | told(Replay(tuple(kept), dict(left_out)), at=at, newcomer_days=rules.newcomers.days)


def _row(decision: Decision, logged: Logged, made: Replayed, *, converted: bool, mature: bool) -> Row:
    row = decision.row
    assert row.propensity is not None and row.seed is not None  # noqa: PT018 - `_logged` says so
    chosen = row.candidates.index(str(row.rep_drawn))
    return Row(
        decision_id=row.decision_id,
        lead_id=row.lead_id,
        at=row.decided_at,
        reps=tuple(logged.reps),
        logged=np.asarray(row.propensity),
        replayed=made.mixture,
        chosen=chosen,
        drawn=made.drawn(row.seed, row.draw_number),
        probability=np.nan_to_num(logged.probability),
        baseline=row.baseline or 0.0,
        wider=made.wider,
        converted=converted,
        mature=mature,
        shadow=row.mode == "shadow",
    )


def _logged(decision: Decision, then: Then, seen: "_Seen", prices: Mapping[str, float] | None) -> Logged | str:
    """What the decision saw; in a few words why it cannot be replayed."""
    row = decision.row
    if row.propensity is None or row.holdout_share is None or row.rep_drawn not in row.candidates:
        return SETTLED
    place = {rep.rep_id: number for number, rep in enumerate(then.reps(row.roster_version))}
    if not all(rep_id in place for rep_id in row.candidates):
        return STRANGER
    places = np.array([place[rep_id] for rep_id in row.candidates])
    reps = [then.reps(row.roster_version)[number] for number in places]
    off_route = set(row.excluded.get(OFF_ROUTE, ()))
    free = np.asarray(row.available) | np.array([rep_id in off_route for rep_id in row.candidates])
    basis = row.basis or {}
    logged_prices = np.asarray(row.prices)
    if prices is not None:
        logged_prices = np.array([prices.get(rep_id, 0.0) for rep_id in row.candidates])
    return Logged(
        lead={**row.lead_snapshot, "lead_id": row.lead_id},
        reps=reps,
        places=places,
        available=free,
        probability=np.asarray(row.probability),
        prices=logged_prices,
        state=_state(decision, seen),
        mode=row.mode,
        distinguishes=bool(basis.get("distinguishes", False)),
        relative_value=float(basis.get("relative_value", 1.0)),
        expected_value=basis.get("expected_value"),
        instead=basis.get("instead"),
    )


def _state(decision: Decision, seen: "_Seen") -> State:
    row, state = decision.row, decision.row.state
    nothing = np.zeros(len(row.candidates), dtype=np.int64)
    won, closed = state.get("won", nothing), state.get("closed", nothing)
    if not closed.any():  # no method went by records then, so nobody looked
        won, closed = seen.records(row.candidates, row.decided_at)
    return State(
        open_leads=state.get("open_leads", nothing),
        today=state.get("today", nothing),
        won=won,
        closed=closed,
        at=row.decided_at,
        grade=row.grade,
        lead_score=row.lead_score,
        response_hours=seen.hours(row.candidates, state.get("response_hours"), row.decided_at),
    )


class _Seen:
    """Records and response times as of a moment, for decisions that did not log them; read where a method asks."""

    def __init__(self, conn: Connection, rules: RuleBook, rows: Sequence[tuple[int, Decision]]) -> None:
        self._conn = conn
        by_record = {"performance", "value_tiers", "points_queue"} & rules.methods
        self._closed = records.closings(conn) if by_record and rows else {}
        self._by_response = "fastest_responder" in rules.methods
        self._hours: dict[str, dict[str, float]] = {}

    def records(self, rep_ids: Sequence[str], at: datetime) -> tuple[np.ndarray, np.ndarray]:
        """(won, closed) of each rep before a moment."""
        found = [self._closed.get(rep_id) for rep_id in rep_ids]
        counts = [(0, 0) if each is None else each.before(at) for each in found]
        made = np.array(counts, dtype=np.int64).reshape(-1, 2)
        return made[:, 0], made[:, 1]

    def hours(self, rep_ids: Sequence[str], logged: np.ndarray | None, at: datetime) -> np.ndarray | None:
        """Usual hours to the first contact of each rep, as logged or as of the day."""
        if logged is not None and np.isfinite(logged).any():
            return logged
        if not self._by_response:
            return None
        day = at.date().isoformat()
        if day not in self._hours:
            self._hours[day] = records.response_hours(self._conn, at=at)
        return np.array([self._hours[day].get(rep_id, np.nan) for rep_id in rep_ids])


class _Prices:
    """Prices of slots along the log: as logged, or solved anew where the book prices otherwise than was done then."""

    def __init__(self, rules: RuleBook, rows: Sequence[tuple[int, Decision]], then: Then) -> None:
        versions = {decision.row.policy_version or 0 for _, decision in rows}
        same = all(then.rules(version).prices == rules.prices for version in versions)
        self.how = "logged" if same else "solved anew from the log"
        self._solved: list[tuple[int, dict[str, float]]] = []
        if same or "model" not in rules.methods:
            self.how = "logged"
            return
        every = max(100, -(-len(rows) // PRICED_TIMES))
        loads: dict[str, Load] = {}
        hours: Counter[int] = Counter()
        for number, (_, decision) in enumerate(rows):
            row = decision.row
            if number % every == 0:
                recent = [each.row for _, each in rows[max(0, number - RECENT) : number]]
                reps = then.reps(row.roster_version)
                self._solved.append((number, _solved(recent, reps, loads, rules, hours, row.decided_at)))
            hours[int(row.decided_at.timestamp()) // 3_600] += 1
            for place, rep_id in enumerate(row.candidates):
                if "open_leads" in row.state:
                    loads[rep_id] = Load(int(row.state["open_leads"][place]), int(row.state["today"][place]))

    def at(self, number: int) -> Mapping[str, float] | None:
        """The prices in force at a row; None: those that it logged."""
        if not self._solved:
            return None
        return next(prices for begin, prices in reversed(self._solved) if begin <= number)


def _solved(
    recent: Sequence[Any], reps: Sequence[Rep], loads: Mapping[str, Load], rules: RuleBook, hours: Mapping[int, int],
    at: datetime,
) -> dict[str, float]:  # fmt: skip
    seen = [
        SeenLead(row.candidates, np.asarray(row.probability))
        for row in recent
        if row.probability is not None and len(row.candidates) and np.isfinite(row.probability).all()
    ]
    return prices_now(seen, reps, loads, rules.prices, Pace(hours), at=at)


def _won_at(rows: Sequence[tuple[int, Decision]], target: str) -> dict[tuple[str, str], datetime]:
    """When each lead first converted, whoever worked it then."""
    found: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for _, decision in rows:
        state, key = decision.state, (decision.row.client_id, decision.row.lead_id)
        if state.status == "won" and state.closed_at is not None:
            found[key].append(state.closed_at)
        if target == "qualified" and state.qualified_at is not None:
            found[key].append(state.qualified_at)
    return {key: min(moments) for key, moments in found.items()}


