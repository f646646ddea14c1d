"""The reports of a running service: facts kept in memory and up to date, each report made at most every few seconds.

Reports are made on a thread of their own. Who asks waits a little for a new one and then gets the last one, which says
when it was made: over a million decisions a report takes seconds, and nobody shall sit before an empty page.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from data.errors import BusyError
from data.store import facts as ledger_facts
from data.store.chances import chances
from data.store.ledger import Ledger
from data.store.lone import Caretaker
from data.store.openings import Teams
from serving.deciding.decide import loads_of
from serving.deciding.in_force import Watch
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
KEPT_TIMES = 20  # and one that took long to make, for so many times as long: making it must not fill a core
MOST_KEPT = 128
WAIT_S = 1.5  # that a request waits for a new report
FOLLOW_S = 5.0  # that a report gives new rows to become facts; a longer backlog is caught up with in the background
EVERY_S = 10.0  # each report first follows what is left: in between, the rest must only not grow long
REST = 19.0  # times what following took: decisions need the processor too
PRICED_S = 600.0  # the price of the floor holds so long
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """Which report of what."""

    name: str
    since: datetime | None = None
    until: datetime | None = None
    team: str | None = None


@dataclass(frozen=True)
class Kept:
    """A report that was made."""

    told: dict[str, Any]
    begun: float  # on the monotonic clock
    took_s: float

    @property
    def fresh(self) -> bool:
        """Whether nobody needs a newer one yet."""
        holds_s = max(KEPT_S, KEPT_TIMES * self.took_s) if self.told["complete"] else KEPT_S
        return time.monotonic() - self.begun < holds_s


class NotYetError(Exception):
    """A report that was never made is still being worked out."""


class Reports:
    """Makes reports on a thread of its own; `start` keeps the facts fresh on another."""

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
        self._teams = Teams()
        self._turn = threading.Lock()  # of whoever brings the facts up to date
        self._kept: OrderedDict[Asked, Kept] = OrderedDict()
        self._making: dict[Asked, Future[dict[str, Any]]] = {}
        self._ordering = threading.RLock()  # a report may be made before its order has been noted
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="report")
        self._wanted = False  # somebody has asked for a report: keep the facts in memory
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, caretaker: Caretaker) -> None:
        """Begin to keep the facts up to date. Only the caretaker makes them; the others take in what it made."""
        self._thread = threading.Thread(target=self._run, args=(caretaker,), name="reports", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, after the batch it is at."""
        self._closed.set()
        self._maker.shutdown(wait=False, cancel_futures=True)
        if self._thread:
            self._thread.join(timeout=10)

    def report(self, asked: Asked, *, within_s: float = WAIT_S) -> dict[str, Any]:
        """The report as it is now, or the last one (`as_of` says when) where that takes longer than `within_s`.

        `complete` is false while the ledger's rows are still becoming facts. Raises NotYetError where there is no
        last one.
        """
        kept = self._kept.get(asked)
        if kept is not None and kept.fresh:
            return kept.told
        making = self._order(asked, follow_s=max(within_s, FOLLOW_S))
        try:
            return making.result(min(within_s, threading.TIMEOUT_MAX))
        except TimeoutError:
            if kept is None:
                raise NotYetError from None
            return kept.told

    def at_hand(self, asked: Asked) -> dict[str, Any] | None:
        """The last report without any wait; a newer one is begun where it is old. None where none was made."""
        kept = self._kept.get(asked)
        if not (kept is not None and kept.fresh) and not self._closed.is_set():
            self._order(asked, follow_s=FOLLOW_S)
        return kept.told if kept else None

    def _order(self, asked: Asked, *, follow_s: float) -> Future[dict[str, Any]]:
        """The report that is being made; begun, where it is not yet."""
        with self._ordering:
            making = self._making.get(asked)
            if making is None:
                making = self._making[asked] = self._maker.submit(self._make, asked, follow_s)
                making.add_done_callback(lambda _: self._done(asked))
        return making

    def _done(self, asked: Asked) -> None:
        with self._ordering:
            self._making.pop(asked, None)

    def _make(self, asked: Asked, follow_s: float) -> dict[str, Any]:
        begun = time.monotonic()
        self._wanted = True
        complete = self.catch_up(within_s=follow_s)
        made_from = time.monotonic()
        told = self._made(asked) | {"complete": complete}
        self._kept[asked] = Kept(told, begun, time.monotonic() - made_from)
        self._kept.move_to_end(asked)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return told

    def catch_up(self, *, within_s: float = float("inf")) -> bool:
        """Follow the ledger; whether that was all there was to follow in the given time."""
        end = time.monotonic() + within_s
        if not self._turn.acquire(timeout=min(within_s, 3_600.0)):
            return False
        try:
            followed = self._follow(end)
            return self._read() and followed
        finally:
            self._turn.release()

    def _follow(self, end: float) -> bool:
        """Make facts of the ledger's new rows."""
        while not self._closed.is_set():
            with self._ledger.reading() as conn:
                batch = ledger_facts.prepare(conn, self._teams, at=self._clock())
            if batch is None:
                return True
            try:
                with self._ledger.writing() as tx:
                    written = ledger_facts.write(tx, batch)
            except BusyError:  # decisions come first; the next round tries again
                return False
            if written and not batch.more:  # else somebody was quicker, and there may be more than this batch knew
                return True
            if time.monotonic() > end:
                return False
        return False

    def _read(self) -> bool:
        """Take the facts into memory, where somebody has asked for them; all of them, for half would mislead."""
        while self._wanted and not self._closed.is_set():
            with self._ledger.reading() as conn:
                changed, self._place = ledger_facts.changed_since(conn, self._place)
            if not changed:
                return True
            self._columns = self._columns.with_changes(changed)
        return not self._closed.is_set()

    def _made(self, asked: Asked) -> dict[str, Any]:
        since, until, at = asked.since, asked.until, self._clock()
        if asked.name in WHOLE_DAYS:
            since, until = _day_of(since), _day_after(until)
        with self._ledger.reading() as conn:
            in_force = self._watch.look(conn)
            reps_now = in_force.roster.reps
            loads = loads_of(conn, reps_now, at)
            told = chances(conn, since, until) if asked.name in (*WHOLE_DAYS, "alerts") else ()
        price = self._price_of_the_floor() if asked.name == "fairness" else None
        bounds = (-float("inf") if since is None else days(since), float("inf") if until is None else days(until))
        view = View(
            facts=facts_of(self._columns, *bounds), at=at, since=since, until=until, team=asked.team,
            reps=reps_now, loads=loads, rules=in_force.rules,
            model=in_force.loaded.model if in_force.loaded else None, chances=told, floor_price=price,
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

    def keep_up(self, caretaker: Caretaker) -> bool:
        """What `start` does again and again; whether that was all there was to do."""
        if caretaker.held:
            return self.catch_up(within_s=FOLLOW_S)  # a turn for whoever waits for a report in between
        with self._turn:
            return self._read()

    def _run(self, caretaker: Caretaker) -> None:
        while not self._closed.is_set():
            complete, begun = True, time.thread_time()
            try:
                complete = self.keep_up(caretaker)
            except Exception as error:  # the next round tries again
                log.warning("reports could not follow the ledger", extra={"problem": type(error).__name__})
            self._closed.wait(max(EVERY_S, REST * (time.thread_time() - begun)) if complete else 0.0)


def _day_of(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _day_after(at: datetime | None) -> datetime | None:
    """The end of the UTC day; `until` itself is not looked at, so a midnight ends the day before it."""
    begun = _day_of(at)
    return at if begun is None or begun == at else begun + timedelta(days=1)
