"""A client of the ledger that decides by lot, for the ledger's tests: in their process, or run as a script."""

import json
import sys
from datetime import UTC, datetime, timedelta

import numpy as np

from data.errors import BusyError, ConflictError
from data.roster import Rep
from data.store import capacity, decisions, keys, outcomes, roster
from data.store.decisions import DecisionRow
from data.store.ledger import Ledger
from data.store.outcomes import OutcomeEvent

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = "2026-03-02"


class Floor:
    """One client, "crm", and a few reps without limits unless a test says otherwise."""

    def __init__(self, ledger):
        self.ledger = ledger
        with ledger.writing() as tx:
            keys.ensure_client(tx, "crm", at=NINE)

    def reps(self, *reps):
        with self.ledger.writing() as tx:
            return roster.put_reps(tx, reps, actor="test", at=NINE)

    def row(self, lead="L-1", rep="R-1", *, decision=None, after=0, **changes):
        """The row of a decision `after` minutes after nine that gives `lead` to `rep`."""
        decision = decision or f"D-{lead}"
        candidates = ("R-1", "R-2") if rep in (None, "R-1", "R-2") else (rep, "R-2")
        half = np.array([0.5, 0.5])
        columns = {
            "decision_id": decision, "client_id": "crm", "request_digest": "digest", "lead_id": lead,
            "spell_id": decision,
            "decided_at": NINE + timedelta(minutes=after), "lead_snapshot": {"source": "web"}, "roster_version": 1,
            "arm": "model", "candidates": candidates, "available": np.array([True, True]), "seed": 7,
            "probability": half, "propensity_policy": half, "propensity_control": half, "propensity": half,
            "prices": np.zeros(2), "rep_drawn": rep, "rep_id": rep, "window": DAY if rep else None,
        }  # fmt: skip
        return DecisionRow(**{**columns, **changes})

    def write(self, tx, row):
        """Reserve and record; False where the rep has no slot."""
        takes = row.rep_id is not None and row.mode != "shadow" and row.duplicate_of is None
        if takes and not capacity.reserve(
            tx, Rep(row.rep_id), decision_id=row.decision_id, window=row.window, at=row.decided_at
        ):
            return False
        told = {"decision_id": row.decision_id, "lead_id": row.lead_id, "rep_id": row.rep_id, "arm": row.arm}
        decisions.record(tx, row, json.dumps(told).encode())
        return True

    def decide(self, *args, **changes):
        """The id of a decision written in a transaction of its own; None where the rep has no slot."""
        row = self.row(*args, **changes)
        with self.ledger.writing() as tx:
            return row.decision_id if self.write(tx, row) else None

    def tell(self, *events, **one):
        """Receive events; `after` minutes after nine."""
        with self.ledger.writing() as tx:
            return outcomes.receive(tx, "crm", [*events, *([event(**one)] if one else [])], at=NINE)

    def state(self, decision="D-L-1"):
        with self.ledger.reading() as conn:
            return decisions.get(conn, decision).state

    def standing(self, lead="L-1"):
        with self.ledger.reading() as conn:
            found = decisions.open_decision(conn, "crm", lead)
        return found and found.decision_id

    def load(self, rep="R-1"):
        with self.ledger.reading() as conn:
            found = capacity.loads(conn, {rep: DAY})[rep]
        return found.open, found.today


def event(kind, lead="L-1", *, after=60, id=None, **more):
    at = NINE + timedelta(minutes=after)
    return OutcomeEvent(event_id=id or f"{kind}-{lead}-{after}", lead_id=lead, event=kind, occurred_at=at, **more)


def main(url, prefix, count, *rep_ids):
    """Decide `count` leads for the reps in turn; print each decision's id once it is committed."""
    ledger = Ledger.open(url, lock_timeout_s=30)
    floor = Floor(ledger)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(count)):
        try:
            decided = floor.decide(f"{prefix}-{number}", rep_ids[number % len(rep_ids)])
        except (BusyError, ConflictError) as error:
            print(type(error).__name__, file=sys.stderr)
        else:
            print(decided or "full", flush=True)
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
