"""The parts of a running service, put together once, and what keeps them fresh."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from data.errors import BusyError, InputError
from data.settings import Settings
from data.store import audit, decisions, keys, outbox, outcomes, promotions
from data.store.keys import Key
from data.store.ledger import Connection, Ledger
from data.store.lone import Caretaker
from data.store.promotions import Promotion
from serving.deciding.decide import Decider, loads_of
from serving.deciding.follow_up import FollowUp
from serving.deciding.in_force import Bundles, Watch
from serving.events.webhooks import Sender
from serving.models.bundle_store import BundleStore
from serving.models.fetch import Fetch, fetcher, name_champion
from serving.models.model_desk import ModelDesk
from serving.policy.pace import DAYS, Pace
from serving.policy.price_book import RECENT, PriceBook, SeenLead, Standing
from serving.reports.desk import Reports
from serving.running import metrics
from training.roster_columns import COMPILED

log = logging.getLogger(__name__)
AUTOMATIC = "automatic rollback"  # who made such a promotion
HEAD_TOLD_EVERY_S = 3_600.0
MATCHED_WITHIN = timedelta(days=7)  # an outcome may come before its lead, but hardly so long
MOST_SEALED_AT_ONCE = 20  # batches; what is left over waits for the next round
REPRICED_EVERY_S = 60.0  # slots come free and days end without a decision that would be counted


@dataclass(frozen=True)
class Parts:
    """Everything that a route needs."""

    ledger: Ledger
    watch: Watch
    prices: PriceBook
    decider: Decider
    reports: Reports
    models: ModelDesk
    clock: Callable[[], datetime]
    home: Path  # where secrets of our own lie

    def key(self, presented: str) -> Key | None:
        """The key that was presented, if it is live."""
        with self.ledger.reading() as conn:
            return keys.find(conn, presented, at=self.clock())


def put_together(
    ledger: Ledger,
    bundles: Bundles,
    *,
    home: Path,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    registry_timeout_s: float = 2.0,
) -> Parts:
    """The parts around an open ledger and a store of bundles; nothing runs in the background yet."""

    def standing() -> Standing:
        with ledger.reading() as conn:
            in_force = watch.look(conn)
            reps = in_force.roster.reps
            at, rules = clock(), in_force.rules
            pace = Pace(decisions.by_hour(conn, at - timedelta(days=DAYS)))
            leads, usual_value = recent_leads(conn, revenue=rules.objective == "revenue")
            return Standing(leads, reps, loads_of(conn, reps, at), rules.prices, pace, usual_value)

    prices = PriceBook(standing)
    watch = Watch(bundles, changed=prices.outdate)
    decider = Decider(ledger, watch, prices, clock=clock)
    models = ModelDesk(ledger, home, fetcher(home, timeout_s=registry_timeout_s), clock, registry_timeout_s)
    return Parts(ledger, watch, prices, decider, Reports(ledger, watch, clock, standing), models, clock, home)


def recent_leads(conn: Connection, *, revenue: bool = False) -> tuple[list[SeenLead], float | None]:
    """The leads that prices are worked out from, whichever worker decided them, and what they are usually worth.

    revenue : each lead's probabilities count as many times as it is worth usual leads.
    """
    leads = decisions.newest_scored(conn, among=RECENT)
    worth = np.array([lead.expected_value or np.nan for lead in leads], dtype=float)
    usual = float(np.nanmean(worth)) if np.isfinite(worth).any() else None
    times = np.nan_to_num(worth / usual, nan=1.0) if revenue and usual else np.ones(len(leads))
    counted = zip(leads, times, strict=True)
    return [SeenLead(lead.candidates, lead.probability * each) for lead, each in counted], usual


class Upkeep:
    """Opens the ledger, then polls for a newly promoted model, on a thread of its own. Nothing here ends the service.

    A start that raised would be tried again by the master for ever; this one starts unready and keeps trying.
    """

    def __init__(self, settings: Settings, ready: Callable[[Parts], None]) -> None:
        self._settings = settings
        self._ready = ready  # told once, when there is a ledger
        self._bundles = BundleStore(settings.home)
        self._fetch: Fetch = fetcher(settings.home, timeout_s=settings.registry_timeout_seconds)
        self._parts: Parts | None = None
        self._sender: Sender | None = None
        self._follow_up: FollowUp | None = None
        self._caretaker = Caretaker(settings.home / "caretaker.lock")
        self._reprice_at = self._tell_head_at = 0.0
        self._said = ""  # of a failure that goes on
        self._stopped = threading.Event()
        self._alias_due: str | None = None  # version to which the registry's alias has yet to move
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and close what was opened."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._caretaker.give_up()
        if self._sender:
            self._sender.stop()
        if self._follow_up:
            self._follow_up.stop()
        if self._parts:
            self._parts.prices.close()
            self._parts.reports.close()
            self._parts.ledger.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._once()
                self._send()
                self._said = ""
            except Exception as error:  # whatever it is, the next round tries again
                if (told := _told(error)) != self._said:  # once: a line every two seconds would bury the others
                    clear = isinstance(error, InputError)  # says all there is to say
                    log.error("upkeep failed and will be tried again: %s", told, exc_info=None if clear else error)
                self._said = told
            self._stopped.wait(self._settings.bundle_poll_seconds)

    def _send(self) -> None:
        """Have a thread beside this one send what lies in the outbox, from the first round on."""
        if self._sender is None and self._parts is not None:
            self._sender = Sender(
                self._parts.ledger, self._parts.home, clock=self._parts.clock, rng=np.random.default_rng()
            )
            self._sender.start()

    def _once(self) -> None:
        try:
            self._look_after(self._parts or self._opened())
        except Exception:
            self._caretaker.give_up()  # it may be this process alone that cannot
            raise
        self._move_alias()  # last, as the registry may be away for days

    def _look_after(self, parts: Parts) -> None:
        self._parts = parts
        self._refresh(parts)  # before the first request: else it would get the fallback
        if self._follow_up is None:
            if not COMPILED:
                log.warning("the arithmetic over a roster was not compiled when leadmatch was installed: it is slower")
            self._ready(parts)
            self._start_beside(parts)
        if self._caretaker.take():  # what each worker could do for all would be thrown away by all but one
            self._seal(parts)
        if time.monotonic() >= self._reprice_at:
            self._reprice_at = time.monotonic() + REPRICED_EVERY_S
            parts.prices.outdate()

    def _opened(self) -> Parts:
        """The parts around the ledger, once it can be opened."""
        if self._bundles.current() is None:
            self._bundles.use_last_good("the ledger has not been reached yet")
        timeout_s = self._settings.lock_timeout_ms / 1000
        ledger = Ledger.open(self._settings.ledger_url, lock_timeout_s=timeout_s)
        registry_timeout_s = self._settings.registry_timeout_seconds
        return put_together(ledger, self._bundles, home=self._settings.home, registry_timeout_s=registry_timeout_s)

    def _start_beside(self, parts: Parts) -> None:
        """Have prices, reports and follow-up go on by themselves: the first lead need not wait for them."""
        parts.prices.start()
        parts.reports.start(self._caretaker)
        self._follow_up = FollowUp(parts.decider, every_s=self._settings.sweep_seconds)
        self._follow_up.start()

    def _refresh(self, parts: Parts) -> None:
        """Bring into force what was promoted, and what the rule book goes by."""
        with parts.ledger.reading() as conn:
            promotion = promotions.champion(conn)
        promotion = self._rolled_back(parts, promotion) or promotion
        self._bundles.refresh(promotion, self._fetch)  # may take long: no connection is held meanwhile
        with parts.ledger.reading() as conn:
            parts.watch.renew(conn, at=parts.clock())

    def _seal(self, parts: Parts) -> None:
        """Add to the audit chain what has happened since; its head goes to the log, where nobody rewrites it."""
        for _ in range(MOST_SEALED_AT_ONCE):
            if audit.seal(parts.ledger, at=parts.clock()) < audit.AT_ONCE:
                break
        if time.monotonic() >= self._tell_head_at:
            self._tell_head_at = time.monotonic() + HEAD_TOLD_EVERY_S
            with parts.ledger.reading() as conn:
                log.info("head of the audit chain: %s", audit.head(conn))
                lost = outcomes.never_matched(conn, received_before=parts.clock() - MATCHED_WITHIN)
            if lost:
                log.warning("%d outcomes of more than a week ago name leads that were never sent to be decided", lost)

    def _rolled_back(self, parts: Parts, promotion: Promotion | None) -> Promotion | None:
        """The promotion of the champion before, made here where the present one fails on the leads that come in.

        Once only: an automatic rollback is not rolled back, for then it is the leads that have changed.
        """
        held = self._bundles.current()
        if promotion is None or held is None or held.digest != promotion.digest or promotion.actor == AUTOMATIC:
            return None
        problem = held.probation.problem()
        if problem is None:
            return None
        with parts.ledger.writing() as tx:
            standing = promotions.risen(promotions.history(tx))
            if len(standing) < 2 or standing[-1].number != promotion.number:
                return None
            made = promotions.promote(
                tx,
                version=standing[-2].version,
                digest=standing[-2].digest,
                expected_previous=promotion.version,
                actor=AUTOMATIC,
                grounds={"grounds": [promotions.ROLLED_BACK, problem]},
                at=parts.clock(),
            )
            about = {"kind": "model rolled back", "version": promotion.version, "to": made.version, "why": problem}
            outbox.announce(tx, "alarm", at=parts.clock(), data=about)
        metrics.rolled_back()
        log.error("model version %s was rolled back to %s: %s", promotion.version, made.version, problem)
        self._alias_due = made.version
        return made

    def _move_alias(self) -> None:
        """Let the registry's alias follow a rollback, once it can be reached."""
        if self._alias_due is not None:
            name_champion(self._settings.home, self._alias_due, timeout_s=self._settings.registry_timeout_seconds)
            self._alias_due = None


def _told(error: Exception) -> str:
    """What may be logged of an error: the house's own messages hold no customer data."""
    return str(error) if isinstance(error, BusyError | InputError) else type(error).__name__
