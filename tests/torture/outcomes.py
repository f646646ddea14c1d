"""Outcomes as CRMs send them: each several times, in any order, before the decision too. The end is the same."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import select

from data.store import checks, outcomes
from data.store.ledger import Ledger
from data.store.outcomes import OutcomeEvent
from data.store.tables import decision_states, lead_states, open_load

KINDS = ("contacted", "qualified", "won", "lost", "reopened", "feedback", "owner_changed")
MOST_TIMES = 5
REPS = ("R-1", "R-2")


@dataclass(frozen=True)
class Compared:
    """The ledger that was told once and in order, and the one that was told as CRMs tell."""

    events: int
    sent: int
    different: list[str]  # rows that differ
    findings: list[str]  # doctor's, of the second

    def __str__(self) -> str:
        return (
            f"{self.events} outcomes, sent {self.sent} times in all and shuffled: {len(self.different)} rows differ "
            f"from those told once in order, {len(self.findings)} doctor's findings"
        )


def events_of(count: int, leads: int, begun: datetime, rng: np.random.Generator) -> list[OutcomeEvent]:
    """Outcomes in the order in which they happened, contradictory ones among them."""
    found = []
    for number in range(count):
        kind = str(rng.choice(KINDS))
        more: dict[str, Any] = {"value": float(number)} if kind == "won" else {}
        more |= {"reason": f"reason {number}"} if kind in ("lost", "feedback") else {}
        more |= {"rep_id": str(rng.choice(REPS))} if kind == "owner_changed" else {}
        at = begun + timedelta(minutes=int(rng.integers(1, 100_000)))
        found.append(
            OutcomeEvent(
                event_id=f"e-{number:06d}", lead_id=f"L-{rng.integers(leads)}", event=kind, occurred_at=at, **more
            )
        )
    return sorted(found, key=lambda event: event.occurred_at)


def compare(in_order: Any, shuffled: Any, count: int, *, seed: int) -> Compared:
    """Tell `count` outcomes to two floors: to one once in order, to the other 1 to 5 times, shuffled."""
    rng = np.random.default_rng(seed)
    leads = max(count // 20, 1)
    from tests.store_floor import NINE

    events = events_of(count, leads, NINE, rng)
    for number in range(leads):
        in_order.decide(f"L-{number}", REPS[number % 2], after=number % 600)
    for start in range(0, count, 500):
        tell(in_order.ledger, events[start : start + 500], NINE)
    messages = [event for event in events for _ in range(rng.integers(1, MOST_TIMES + 1))]
    rng.shuffle(messages)  # type: ignore[arg-type]
    decided = 0
    sent = 0
    while sent < len(messages) or decided < leads:
        if decided < leads and (sent >= len(messages) or rng.random() < 0.5):
            for number in range(decided, min(decided + int(rng.integers(1, 20)), leads)):
                shuffled.decide(f"L-{number}", REPS[number % 2], after=number % 600)
                decided = number + 1
        else:
            size = int(rng.integers(1, 200))
            tell(shuffled.ledger, messages[sent : sent + size], NINE)
            sent += size
    return Compared(
        count, len(messages), different(in_order.ledger, shuffled.ledger), [str(one) for one in found(shuffled.ledger)]
    )


def tell(ledger: Ledger, events: list[OutcomeEvent], at: datetime) -> None:
    """One call."""
    with ledger.writing() as tx:
        outcomes.receive(tx, "crm", events, at=at)


def found(ledger: Ledger) -> list[Any]:
    """What doctor says."""
    with ledger.reading() as conn:
        return checks.everything(conn)


def different(one: Ledger, other: Ledger) -> list[str]:
    """Rows of the final state that only one of the two has."""
    return sorted(set(final(one)) ^ set(final(other)))


def final(ledger: Ledger) -> list[str]:
    """The final state, row by row."""
    with ledger.reading() as conn:
        tables = (decision_states, lead_states, open_load)
        return [f"{table}: {row}" for table in tables for row in conn.execute(select(table))]
