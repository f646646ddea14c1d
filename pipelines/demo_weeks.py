"""The weeks before the demo's first minute: leads decided, called, won and lost as the simulated floor would have it.

Every decision goes through the service's own decider, at the time at which the lead would have come; every outcome is
drawn from the floor's truth for the rep who got the lead. So what the pages show of it is measured, not invented.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from data.dataset import load_dataset
from data.roster import Rep
from data.settings import Settings
from data.simulator import World
from data.store import decisions, keys, outcomes, overrides, promotions, roster
from data.store.keys import DEFAULT_CLIENT
from data.store.ledger import Ledger
from data.store.outcomes import OutcomeEvent
from pipelines.demo_rows import NEVER_FEATURES, sendable
from pipelines.progress import Step
from serving.deciding.decide import Ask, digest_of
from serving.models.bundle_store import BundleStore
from serving.models.fetch import fetcher
from serving.running.parts import Parts, put_together
from serving.web.api import Lead

DAYS, LEADS_A_DAY = 120, 20
OVERRIDDEN_EVERY = 70  # a manager knows better now and then
OPEN_FROM_HOUR, OPEN_HOURS = 1.0, 10.0  # UTC: nine to seven in Shanghai


@dataclass
class _Clock:
    """The time that the decider is told."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at


def live_through(settings: Settings, world: World, *, until: datetime, step: Step) -> int:
    """Let the weeks pass in the ledger, up to `until`; how many decisions were made."""
    ledger = Ledger.open(settings.ledger_url)
    clock = _Clock(until - timedelta(days=DAYS))
    bundles = BundleStore(settings.home)
    try:
        here = frozenset(world.rep_ids)
        reps = [rep for rep in load_dataset(settings.home / "demo").roster() if rep.rep_id in here]
        with ledger.writing() as tx:
            keys.ensure_client(tx, DEFAULT_CLIENT, at=clock.at)
            roster.put_reps(tx, reps, actor="demo", at=clock.at)
            promoted = promotions.champion(tx)
            lived = bool(decisions.search(tx, limit=1)[0])
        if lived:  # the demo ran here before
            return 0
        bundles.refresh(promoted, fetcher(settings.home, timeout_s=settings.registry_timeout_seconds))
        parts = put_together(ledger, bundles, home=settings.home, clock=clock)
        step(f"letting {DAYS} days pass: {DAYS * LEADS_A_DAY:,} leads decided one by one, each with what became of it")
        parts.prices.start()
        try:
            return _weeks(parts, world, clock, until)
        finally:
            parts.prices.close()
    finally:
        ledger.close()


def _weeks(parts: Parts, world: World, clock: _Clock, until: datetime) -> int:
    rng = np.random.default_rng([world.seed, int(until.timestamp())])
    pending: list[OutcomeEvent] = []
    made = 0
    leads = world.fresh_leads(DAYS * LEADS_A_DAY, int(until.timestamp()) % 1_000_000)
    for day, of_day in enumerate(_by_day(leads)):
        begun = (until - timedelta(days=DAYS - day)).replace(hour=0, minute=0, second=0, microsecond=0)
        clock.at = begun
        pending = _tell(parts, pending, begun)
        hours = OPEN_FROM_HOUR + np.sort(rng.random(len(of_day))) * OPEN_HOURS
        chosen = []
        for hour, lead in zip(hours, of_day.to_dict("records"), strict=True):
            clock.at = begun + timedelta(hours=float(hour))
            rep_id = _decided(parts, lead, clock.at)
            made += 1
            if made % OVERRIDDEN_EVERY == 0:
                rep_id = _overridden(parts, str(lead["lead_id"]), clock.at)
            chosen.append((clock.at, rep_id))
        pending += _becomes(world, of_day, chosen, day)
    clock.at = until
    _tell(parts, pending, until)
    return made


def _by_day(leads: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for day in range(DAYS):
        yield leads.iloc[day * LEADS_A_DAY : (day + 1) * LEADS_A_DAY]


def _decided(parts: Parts, lead: dict[Any, Any], at: datetime) -> str | None:
    """Who got the lead."""
    plain = {name: value for name, value in lead.items() if name not in NEVER_FEATURES}
    columns = Lead.model_validate(sendable(plain) | {"created_at": at.isoformat()}).columns()
    parts.decider.assign(Ask(DEFAULT_CLIENT, columns, digest_of({"lead": columns, "dry_run": False})))
    with parts.ledger.reading() as conn:
        stored = decisions.open_decision(conn, DEFAULT_CLIENT, str(lead["lead_id"]))
    return stored.rep_id if stored else None


def _overridden(parts: Parts, lead_id: str, at: datetime) -> str | None:
    """A manager gives the lead to another rep who may take it; who has it then."""
    with parts.ledger.writing() as tx:
        stored = decisions.open_decision(tx, DEFAULT_CLIENT, lead_id)
        decision = decisions.get(tx, stored.decision_id) if stored else None
        if stored is None or decision is None:
            return None
        row = decision.row
        has_room = np.zeros(len(row.candidates), dtype=bool) if row.available is None else row.available
        free = [rep_id for rep_id, free in zip(row.candidates, has_room, strict=True) if free]
        others = [rep_id for rep_id in free if rep_id != stored.rep_id]
        if not others:
            return stored.rep_id
        reason, moment = "Knows the customer", at + timedelta(minutes=5)
        version = decision.state.version
        overrides.record(
            tx, stored.decision_id, Rep(others[0], time_zone="Asia/Shanghai"), reason=reason, actor="manager:demo",
            expected_version=version, at=moment,
        )  # fmt: skip
        return others[0]


def _becomes(
    world: World, leads: pd.DataFrame, chosen: list[tuple[datetime, str | None]], day: int
) -> list[OutcomeEvent]:
    """The outcome events of one day's leads under the reps who got them, as the floor's truth has it."""
    place = {rep_id: number for number, rep_id in enumerate(world.rep_ids)}
    given = [number for number, (_, rep_id) in enumerate(chosen) if rep_id in place]
    if not given:
        return []
    one = np.zeros((len(given), len(place)))
    one[np.arange(len(given)), [place[chosen[number][1] or ""] for number in given]] = 1.0
    ends = world.log(leads.iloc[given], one, seed=day)
    events = []
    for number, row in zip(given, ends.to_dict("records"), strict=True):
        at = chosen[number][0]
        took = (row[name] - row["assigned_at"] for name in ("first_contact_at", "closed_at"))
        called, closed = (each.to_pytimedelta() for each in took)
        lead_id, won = str(row["lead_id"]), row["outcome"] == "won"
        events.append(_event(lead_id, "contacted", at + called))
        told: dict[str, Any] = {"value": float(row["value"])} if won else {"reason": str(row["lost_reason"])}
        events.append(_event(lead_id, "won" if won else "lost", at + closed, **told))
    return events


def _event(lead_id: str, kind: str, at: datetime, **told: Any) -> OutcomeEvent:
    return OutcomeEvent(event_id=f"{lead_id}-{kind}", lead_id=lead_id, event=kind, occurred_at=at, **told)


def _tell(parts: Parts, pending: list[OutcomeEvent], now: datetime) -> list[OutcomeEvent]:
    """Receive what has happened by now; what is still to come."""
    happened = [event for event in pending if event.occurred_at <= now]
    if happened:
        with parts.ledger.writing() as tx:
            outcomes.receive(tx, DEFAULT_CLIENT, happened, at=now)
    return [event for event in pending if event.occurred_at > now]
