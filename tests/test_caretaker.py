"""One worker of a home does what need be done once; another takes over when it is gone or cannot."""

import errno
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from data.errors import BusyError
from data.settings import Settings
from data.store import audit, keys
from data.store.lone import Caretaker
from data.store.tables import audit as links
from data.store.tables import decision_facts
from serving.reports.desk import Asked, Reports
from serving.running import parts
from serving.running.parts import Upkeep

ROOT = Path(__file__).parent.parent
NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_one_is_it_until_it_gives_up(tmp_path):
    first, second = Caretaker(tmp_path / "home" / "lock"), Caretaker(tmp_path / "home" / "lock")
    assert (first.take(), second.take(), first.take()) == (True, False, True)
    assert (first.held, second.held) == (True, False)
    first.give_up()
    first.give_up()
    assert (second.take(), first.take()) == (True, False)
    assert (first.held, second.held) == (False, True)
    second.give_up()


def test_the_system_takes_it_from_a_process_that_is_killed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from data.store.lone import Caretaker\n"
        "one = Caretaker(Path(sys.argv[1])); print(one.take(), flush=True); sys.stdin.read()\n"
    )
    mine = Caretaker(tmp_path / "lock")
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout.readline() == "True\n"
        assert not mine.take()
        other.kill()
    assert mine.take()
    mine.give_up()


class Household:
    """Workers of one home, each after its first round, and a ledger beside them."""

    def __init__(self, home, count):
        self.ready = []
        self.workers = [Upkeep(Settings(home=home), self.ready.append) for _ in range(count)]
        for worker in self.workers:
            worker._once()
        self.ledger = self.ready[0].ledger

    def happen(self):
        """A row that is to be sealed."""
        with self.ready[-1].ledger.writing() as tx:
            keys.create(tx, role="crm", label="x", at=NINE)

    def left(self):
        """Rows that are not sealed yet."""
        with self.ready[-1].ledger.reading() as conn:
            rows, sealed = (
                sum(conn.execute(select(func.count(column))).scalar_one() for column in columns)
                for columns in (audit.SEALED.values(), [links.c.number])
            )
            return rows - sealed


@pytest.fixture
def household(tmp_path):
    made = Household(tmp_path, 2)
    yield made
    for worker in made.workers:
        worker.stop()


def test_one_worker_seals_and_the_next_takes_over_when_it_stops(household):
    first, second = household.workers
    household.happen()
    second._once()
    assert household.left() == 1
    first._once()
    assert household.left() == 0
    household.happen()
    first.stop()
    second._once()
    assert household.left() == 0


def test_a_worker_that_cannot_leaves_it_to_the_next(household, monkeypatch):
    first, second = household.workers
    household.happen()
    with monkeypatch.context() as patch:
        patch.setattr(parts.audit, "seal", busy)
        with pytest.raises(BusyError):
            first._once()
    assert household.left() == 1
    second._once()
    assert household.left() == 0
    household.happen()
    first._once()
    assert household.left() == 1


def busy(*_, **__):
    raise BusyError("The ledger's disk failed.")


def test_a_registry_that_is_away_keeps_nobody_from_sealing(household, monkeypatch):
    first, _ = household.workers
    household.happen()
    first._alias_due = "1"
    monkeypatch.setattr(parts, "name_champion", busy)
    with pytest.raises(BusyError):
        first._once()
    assert household.left() == 0
    assert first._caretaker.held


def test_only_the_caretaker_makes_facts_that_nobody_asked_for(floor, tmp_path):
    from serving.deciding.in_force import Watch

    class NoBundles:
        problem = "no model"

        def current(self):
            return None

    def count():
        with floor.ledger.reading() as conn:
            return conn.execute(select(func.count()).select_from(decision_facts)).scalar_one()

    def leads(reports):
        return reports.report(Asked("sources"), within_s=60)["sources"][0]["leads"]

    care = [Caretaker(tmp_path / "lock") for _ in range(2)]
    both = [Reports(floor.ledger, Watch(NoBundles()), lambda: NINE) for _ in care]
    assert care[0].take()
    floor.decide("L-1", "R-1")
    assert both[1].keep_up(care[1])
    assert count() == 0
    assert both[0].keep_up(care[0])
    assert count() == 1
    floor.decide("L-2", "R-1", after=1)
    assert leads(both[1]) == 2  # who is asked does not wait for the other
    assert count() == 2
    floor.decide("L-3", "R-1", after=2)
    both[0].keep_up(care[0])
    both[1].keep_up(care[1])
    assert len(both[1]._columns.seq) == 3  # and then takes in what the other made
    care[0].give_up()
    assert care[1].take()
    floor.decide("L-4", "R-1", after=3)
    assert both[1].keep_up(care[1])
    assert count() == 4
    for each in both:
        each.close()
    care[1].give_up()


def test_where_nothing_can_be_locked_each_process_looks_after_itself(tmp_path, monkeypatch, caplog):
    def without_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", without_locks)
    first, second = (Caretaker(tmp_path / "caretaker.lock") for _ in range(2))
    assert [first.take(), second.take(), first.take()] == [True] * 3
    assert len(caplog.messages) == 2  # each says so once
    first.give_up()
    second.give_up()
