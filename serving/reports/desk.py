"""The reports of a running service: facts kept in memory and up to date, each report made at most every few seconds."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from data.errors import BusyError
from data.store import facts as ledger_facts
from data.store.ledger import Ledger
from serving.decide import loads_of
from serving.in_force import Watch
from serving.policy.price_book import Standing
from serving.reports import alerts, fairness, lift, load, reps, response, sources
from serving.reports.facts import Columns, facts_of
from serving.reports.floor_price import floor_price
from serving.reports.view import View, days

REPORTS: Mapping[str, Callable[[View], dict[str, Any]]] = {
    "lift": lift.report,
    "load": load.report,
    "fairness": fairness.report,
    "response": response.report,
    "sources": sources.report,
    "reps": reps.report,
    "alerts": alerts.report,
}
WHOLE_DAYS = ("load", "fairness")  # what they set the facts against is summed by day
KEPT_S = 5.0  # a report this young is told again
MOST_KEPT = 128
WAIT_S = 1.5  # that a request gives the facts to catch up; a longer backlog is caught up with in the background
EVERY_S = 2.0
PRICED_S = 600.0  # the price of the floor holds so long
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """Which report of what."""

    name: str
    since: datetime | None = None
    until: datetime | None = None
    team: str | None = None


class Reports:
    """Makes reports on the threads that ask for them; `start` keeps the facts fresh in the background beside."""

    def __init__(
        self,
        ledger: Ledger,
        watch: Watch,
        clock: Callable[[], datetime],
        standing: Callable[[], Standing] | None = None,
    ) -> None:
        self._ledger = ledger
        self._watch = watch
        self._clock = clock
        self._standing = standing  # what prices are worked out from; None: the floor's is not asked for
        self._floor_price: tuple[float, dict[str, Any]] | None = None
        self._columns = Columns()
        self._place = ledger_facts.BEGINNING
        self._turn = threading.Lock()  # of whoever brings the facts up to date
        self._kept: OrderedDict[Asked, tuple[float, dict[str, Any]]] = OrderedDict()
        self._wanted = False  # somebody has asked for a report: keep the facts in memory
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to keep the facts up to date."""
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, after the batch it is at."""
        self._closed.set()
        if self._thread:
            self._thread.join(timeout=10)

    def report(self, asked: Asked, *, within_s: float = WAIT_S) -> dict[str, Any]:
        """The report, made now or within the last seconds. `complete` is false while facts are still being read.

        within_s : how long to wait for them.
        """
        kept = self._kept.get(asked)
        if kept is not None and time.monotonic() - kept[0] < KEPT_S:
            return kept[1]
        self._wanted = True
        complete = self.catch_up(within_s=within_s)
        made = self._made(asked) | {"complete": complete}
        if complete:
            self._kept[asked] = (time.monotonic(), made)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return made

    def catch_up(self, *, within_s: float = float("inf")) -> bool:
        """Follow the ledger; whether that was all there was to follow in the given time."""
        end = time.monotonic() + within_s
        if not self._turn.acquire(timeout=min(within_s, 3_600.0)):
            return False
        try:
            return self._follow(end) and self._read(end)
        finally:
            self._turn.release()

    def _follow(self, end: float) -> bool:
        """Make facts of the ledger's new rows."""
        while not self._closed.is_set():
            with self._ledger.reading() as conn:
                batch = ledger_facts.prepare(conn, at=self._clock())
            if batch is None:
                return True
            try:
                with self._ledger.writing() as tx:
                    ledger_facts.write(tx, batch)
            except BusyError:  # decisions come first; the next round tries again
                return False
            if not batch.more:
                return True
            if time.monotonic() > end:
                return False
        return False

    def _read(self, end: float) -> bool:
        """Take the facts into memory, where somebody has asked for them."""
        while self._wanted and not self._closed.is_set():
            with self._ledger.reading() as conn:
                changed, self._place = ledger_facts.changed_since(conn, self._place)
            if not changed:
                return True
            self._columns = self._columns.with_changes(changed)
            if time.monotonic() > end:
                return False
        return True

    def _made(self, asked: Asked) -> dict[str, Any]:
        since, until, at = asked.since, asked.until, self._clock()
        if asked.name in WHOLE_DAYS:
            since, until = _day_of(since), _day_after(until)
        with self._ledger.reading() as conn:
            in_force = self._watch.look(conn)
            reps_now = in_force.roster.reps
            loads = loads_of(conn, reps_now, at)
            chances = ledger_facts.chances(conn, since, until) if asked.name in (*WHOLE_DAYS, "alerts") else ()
        price = self._price_of_the_floor() if asked.name == "fairness" else None
        bounds = (-float("inf") if since is None else days(since), float("inf") if until is None else days(until))
        view = View(
            facts=facts_of(self._columns, *bounds), at=at, since=since, until=until, team=asked.team,
            reps=reps_now, loads=loads, rules=in_force.rules,
            model=in_force.loaded.model if in_force.loaded else None, chances=chances, floor_price=price,
        )  # fmt: skip
        return self._with_names(REPORTS[asked.name](view))

    def _price_of_the_floor(self) -> dict[str, Any] | None:
        """The last that was worked out, if it is not old."""
        if self._standing is None:
            return None
        if self._floor_price is None or time.monotonic() - self._floor_price[0] > PRICED_S:
            self._floor_price = (time.monotonic(), floor_price(self._standing(), at=self._clock()))
        return self._floor_price[1]

    def _with_names(self, made: dict[str, Any]) -> dict[str, Any]:
        """Decisions by their ids, where a report names some by number."""
        items = [item for check in made.get("checks", ()) for item in check.get("items", ())]
        if items:
            with self._ledger.reading() as conn:
                names = ledger_facts.named(conn, [item["seq"] for item in items])
            for item in items:
                item["decision_id"], item["lead_id"] = names[item.pop("seq")]
        return made

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self.catch_up()
            except Exception as error:  # the next round tries again
                log.warning("reports could not follow the ledger", extra={"problem": type(error).__name__})
            self._closed.wait(EVERY_S)


def _day_of(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _day_after(at: datetime | None) -> datetime | None:
    """The end of the UTC day; `until` itself is not looked at, so a midnight ends the day before it."""
    begun = _day_of(at)
    return at if begun is None or begun == at else begun + timedelta(days=1)
