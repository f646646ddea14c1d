"""What is in force at this moment: rule book, roster and model, read together and kept until one of them changes."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol

import orjson

from data.errors import BusyError, InputError
from data.store import heads, policies, records, roster
from data.store.ledger import Connection
from data.store.roster import Roster
from serving.deciding.scorer import Scorer
from serving.models.bundle_store import FALLBACK, Loaded
from serving.policy.bounds import Comings
from serving.policy.eligibility import Screener
from serving.policy.routes import Routes
from serving.policy.rulebook import RuleBook, default_rule_book, parse_rule_book
from serving.telling.json_rows import Picked
from serving.telling.told_reasons import ToldReasons

BY_RECORD = frozenset({"performance", "value_tiers", "points_queue"})
BY_RESPONSE = "fastest_responder"
MOST_WORDINGS = 20_000  # of reasons: some megabytes
RENEWED_EVERY = timedelta(seconds=10)  # full looks at the states, where a method goes by them


class Bundles(Protocol):
    """Where the model in force is to be had."""

    problem: str | None

    def current(self) -> Loaded | None:
        """The model in force, if there is one."""


@dataclass(frozen=True)
class InForce:
    """Everything that a decision depends on besides the lead, the loads and the prices."""

    rules: RuleBook
    policy_version: int  # 0: the rule book that comes with leadmatch
    roster: Roster
    loaded: Loaded | None
    scorer: Scorer | None
    degraded: str | None  # why the model in force is not the promoted one, or there is none
    screener: Screener  # the hard rules, laid out for the roster
    routes: Routes  # the routes, likewise

    @property
    def distinguishes(self) -> bool:
        """Whether the model may tell one rep from another."""
        return self.loaded is not None and self.loaded.model.speaks

    @cached_property
    def rep_heads(self) -> Picked:
        """How each rep begins in a score, as JSON: two texts, while she is not available and while she is."""
        free = (b',"available":false,"probability":', b',"available":true,"probability":')
        named = [orjson.dumps({"rep_id": rep.rep_id, "rep_name": rep.name})[:-1] for rep in self.roster.reps]
        return Picked.all_of([each + said for each in named for said in free])

    @cached_property
    def reasons(self) -> ToldReasons:
        """The reasons in words, whose wordings stay from one lead to the next."""
        return ToldReasons(self.roster.reps, self.rules.language, most=MOST_WORDINGS)

    @cached_property
    def comings(self) -> Comings:
        """When the roster's reps came, and came back."""
        return Comings(self.roster.reps)

    @property
    def mode(self) -> str:
        """live, trial or shadow."""
        return self.rules.mode_for(self.loaded.model.verdict if self.loaded else None)


@dataclass(frozen=True)
class Seen:
    """What methods and limits go by besides the loads, as of the last look; read only where the rule book asks."""

    records: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # won, closed by rep
    response_hours: Mapping[str, float] | None = None  # usual time to the first contact by rep
    uncontacted: Mapping[str, int] = field(default_factory=dict)  # open leads that wait for a first contact, by rep


class Watch:
    """Sees changes as they are made, by anybody, in any process; rebuilds only what they touch."""

    def __init__(self, bundles: Bundles, *, changed: Callable[[], None] = lambda: None) -> None:
        self._bundles = bundles
        self._changed = changed  # told when a roster or a rule book comes into force
        self._lock = threading.Lock()
        self._held: InForce | None = None
        self._problem: str | None = None
        self.seen = Seen(response_hours={})  # as of the last `renew`
        self._renewed: tuple[RuleBook, datetime] | None = None

    def look(self, conn: Connection) -> InForce:
        """What is in force as `conn` sees it."""
        newest = heads.numbers(conn)
        versions = (newest[policies.HEAD], newest[roster.HEAD])
        loaded, problem = self._bundles.current(), self._bundles.problem
        held = self._held
        known = held is not None and versions == (held.policy_version, held.roster.version)
        if held is not None and known and held.loaded is loaded and self._problem == problem:
            return held
        with self._lock:
            self._held = fresh = self._read(conn, loaded, problem)
            self._problem = problem
        if not known:
            self._changed()
        return fresh

    def renew(self, conn: Connection, *, at: datetime) -> None:
        """Look again at what the rule book's methods and limits go by."""
        rules = self.look(conn).rules
        if self._renewed is not None and self._renewed[0] is rules and at - self._renewed[1] < RENEWED_EVERY:
            return
        self._renewed = (rules, at)
        methods = rules.methods
        self.seen = Seen(
            records={} if BY_RECORD.isdisjoint(methods) else records.closed_leads(conn),
            response_hours=records.response_hours(conn, at=at) if BY_RESPONSE in methods else {},
            uncontacted={} if rules.follow_up.most_uncontacted is None else records.uncontacted(conn),
        )

    def _read(self, conn: Connection, loaded: Loaded | None, problem: str | None) -> InForce:
        held = self._held
        policy_version = policies.version(conn)
        rules = held.rules if held and held.policy_version == policy_version else _rules(conn)
        people = held.roster if held and held.roster.version == roster.version(conn) else roster.read_roster(conn)
        scorer = held.scorer if held and held.roster is people else None
        if loaded is None:
            scorer = None
        elif scorer is None or scorer.model is not loaded.model:
            scorer = Scorer(loaded.model, people.reps)
        degraded = (problem or "no model can be used") if loaded is None or loaded.source == FALLBACK else None
        same = held is not None and held.rules is rules and held.roster is people
        screener = held.screener if held and same else Screener(rules, people.reps)
        routes = held.routes if held and same else Routes(rules, people.reps)
        return InForce(rules, policy_version, people, loaded, scorer, degraded, screener, routes)


def _rules(conn: Connection) -> RuleBook:
    active = policies.active(conn)
    if active is None:
        return default_rule_book()
    try:
        return parse_rule_book(active.text)
    except InputError as error:
        # Another rule book than the one in force must not decide: an older one may give out leads differently.
        raise BusyError(f"Version {active.version} of the rule book cannot be read here: {error}") from None
