"""Outbox and outcomes at full size: `python -m tests.torture.events [--quick]`."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.roster import Rep
from data.store.ledger import Ledger
from tests import store_floor
from tests.torture import outcomes, senders

KILLS, OUTCOMES = 50, 10_000
QUICK_KILLS, QUICK_OUTCOMES = 5, 400


@contextmanager
def floors(folder: Path, name: str) -> Iterator[store_floor.Floor]:
    """A floor on a SQLite ledger of its own."""
    ledger = Ledger.open(f"sqlite:///{folder}/{name}.db", lock_timeout_s=30)
    floor = store_floor.Floor(ledger)
    floor.reps(Rep("R-1"), Rep("R-2"))
    yield floor
    ledger.close()


def main() -> int:
    """The number of checks that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with floors(folder, "killed") as floor:
            killed = senders.kill(floor.ledger, folder, QUICK_KILLS if quick else KILLS)
        print(killed)
        failed += bool(killed.lost or killed.renamed or killed.overtaken)
        with floors(folder, "in_order") as in_order, floors(folder, "shuffled") as shuffled:
            compared = outcomes.compare(in_order, shuffled, QUICK_OUTCOMES if quick else OUTCOMES, seed=7)
        print(compared)
        failed += bool(compared.different or compared.findings)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
