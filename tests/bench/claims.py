"""Many reps claim one lead at once, again and again: of each lead one wins, and the ledger stays sound.

    python -m tests.bench.claims --rounds 1000 --claimants 64
"""

import argparse
import json
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from data.errors import BusyError, ConflictError
from data.roster import Rep
from data.store import decisions, keys, policies, roster
from data.store.ledger import Ledger
from pipelines.doctor import examine
from serving.deciding import pool
from serving.deciding.cases import Ask
from serving.running.parts import put_together
from serving.web.problems import Problem

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


class NoModel:
    """A house without a model: claims do not need one."""

    problem = "none is needed here"

    def current(self) -> None:
        """No model."""


def race(decider, lead_id, claimants):
    """Who won: of so many reps who claim the lead at the same moment."""
    gate, won = threading.Barrier(claimants), []

    def run(number):
        gate.wait()
        while True:
            try:
                won.append(json.loads(pool.claim(decider, "crm", lead_id, f"R-{number}", actor="bench"))["rep_id"])
            except BusyError:
                continue  # the ledger was busy: again, as a client would
            except (ConflictError, Problem):
                pass
            return

    threads = [threading.Thread(target=run, args=(number,)) for number in range(claimants)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return won


def claims(url, folder, rounds, claimants):
    """One object: rounds, rounds with exactly one winner, findings of the doctor, seconds."""
    ledger = Ledger.open(url, lock_timeout_s=30)
    parts = put_together(ledger, NoModel(), home=folder, clock=lambda: NOW)
    with ledger.writing() as tx:
        keys.ensure_client(tx, "crm", at=NOW)
        roster.put_reps(tx, [Rep(f"R-{number}") for number in range(claimants)], actor="bench", at=NOW)
        policies.activate(tx, "method: pool\npool: {open_claims: null}\n", actor="bench", why="", at=NOW)
    begun, single = time.perf_counter(), 0
    for number in range(rounds):
        parts.decider.assign(Ask("crm", {"lead_id": f"L-{number}"}, "bench"))
        winners = race(parts.decider, f"L-{number}", claimants)
        with ledger.reading() as conn:
            owner = decisions.open_decision(conn, "crm", f"L-{number}")
        single += len(winners) == 1 and owner is not None and owner.rep_id == winners[0]
    told = {
        "rounds": rounds,
        "claimants": claimants,
        "rounds_with_one_winner": single,
        "findings": len(examine(ledger)),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    ledger.close()
    return told


def main(arguments=None):
    """Print the object; raises where a round had none or several winners."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=1_000)
    asked.add_argument("--claimants", type=int, default=64)
    asked.add_argument("--url", default=None, help="a ledger of its own on PostgreSQL; SQLite if not given")
    given = asked.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{folder}/ledger.db"
        told = claims(url, Path(folder), given.rounds, given.claimants)
    print(json.dumps(told))
    if told["rounds_with_one_winner"] != told["rounds"] or told["findings"]:
        raise SystemExit("a lead had no winner, or several, or the ledger is not sound")


if __name__ == "__main__":
    main()
