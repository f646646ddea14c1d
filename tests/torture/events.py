"""The outbox and the outcomes at full size: `python -m tests.torture.events`; `--share 0.1` does a tenth of each."""

import argparse
import tempfile
from pathlib import Path

from data.roster import Rep
from data.store.ledger import Ledger
from tests import store_floor
from tests.torture import outcomes, senders

KILLS, OUTCOMES = 50, 10_000

Result = tuple[bool, str]  # whether all is well, and the figures


def told(url: str, home: Path, share: float) -> Result:
    """Kill -9 of senders of webhooks between sending and writing it down."""
    floor = _floor(url)
    killed = senders.kill(floor.ledger, home, max(round(KILLS * share), 1))
    floor.ledger.close()
    return not (killed.lost or killed.renamed or killed.overtaken), str(killed)


def shuffled(url: str, home: Path, share: float) -> Result:
    """Outcomes told 1 to 5 times in any order, against the same told once in order."""
    in_order, any_order = _floor(f"sqlite:///{home}/in_order.db"), _floor(url)
    compared = outcomes.compare(in_order, any_order, max(round(OUTCOMES * share), 20), seed=7)
    for floor in (in_order, any_order):
        floor.ledger.close()
    return not (compared.different or compared.findings), str(compared)


def _floor(url: str) -> store_floor.Floor:
    floor = store_floor.Floor(Ledger.open(url, lock_timeout_s=30))
    floor.reps(Rep("R-1"), Rep("R-2"))
    return floor


def main() -> int:
    """Both, each on a SQLite ledger of its own; 0 where all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.events")
    parser.add_argument("--share", type=float, default=1.0)
    share, well = parser.parse_args().share, True
    for torture in (told, shuffled):
        with tempfile.TemporaryDirectory() as folder:
            passed, figures = torture(f"sqlite:///{folder}/ledger.db", Path(folder), share)
        well = well and passed
        print(f"{'ok  ' if passed else 'FAIL'} {torture.__name__}: {figures}", flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main())
