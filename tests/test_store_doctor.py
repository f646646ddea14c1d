"""The doctor finds nothing in a sound ledger, and whatever was damaged in another."""

import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from data.roster import Rep
from data.store import capacity, overrides, roster
from data.store.engines import sqlite_driver
from data.store.ledger import Ledger
from pipelines.doctor import examine

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def live(floor):
    """Let everything happen once."""
    floor.reps(Rep("R-1", capacity=9), Rep("R-2", daily_limit=9))
    for number in range(6):
        floor.decide(f"L-{number}", ("R-1", "R-2")[number % 2], after=number)
    floor.decide("L-6", None, after=7)
    floor.decide("L-0", idempotency_key="K", decision="D-again", duplicate_of="D-L-0")
    floor.tell(kind="won", lead="L-0", value=5.0)
    floor.tell(kind="merged", lead="L-1", into="L-9")
    floor.tell(kind="contacted", lead="L-8")
    with floor.ledger.writing() as tx:
        overrides.record(tx, "D-L-2", Rep("R-2"), reason="", actor="boss", expected_version=1, at=NINE, force=True)
        capacity.release(tx, "D-L-3", kind="recycled", at=NINE + timedelta(minutes=30))
        capacity.release(tx, "D-L-4", kind="timed_out", at=NINE + timedelta(minutes=30))
        roster.patch_rep(tx, "R-1", {"capacity": 3}, actor="boss", at=NINE)
    floor.decide("L-3", "R-1", decision="D-3b", after=60)


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory, store_floor):
    """The file of a ledger in which everything has happened once."""
    floor = store_floor.Floor(Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('lived_in')}/ledger.db"))
    live(floor)
    floor.ledger.close()
    return floor.ledger.sqlite_file


@pytest.fixture
def lived(lived_in, tmp_path):
    """A copy of that ledger."""
    shutil.copy(lived_in, tmp_path / "ledger.db")
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    yield ledger
    ledger.close()


def test_a_sound_ledger_has_nothing_to_find(floor):
    live(floor)
    assert examine(floor.ledger) == []


ROW = "WHERE decision_id = 'D-L-5'"
DAMAGES = {
    "UPDATE open_load SET used = used + 1 WHERE rep_id = 'R-1'": "open_load",
    "UPDATE daily_load SET used = used - 1 WHERE rep_id = 'R-2'": "daily_load",
    "DELETE FROM daily_load WHERE rep_id = 'R-2'": "daily_load",
    "UPDATE capacity_ledger SET open_delta = 0 WHERE decision_id = 'D-L-5'": "slots",
    f"UPDATE decision_states SET status = 'won' {ROW}": "decision_states.status",
    f"UPDATE decision_states SET rep_id = 'R-1' {ROW}": "decision_states.rep_id",
    f"UPDATE decision_states SET contacted_at = 5 {ROW}": "decision_states.contacted_at",
    "UPDATE decision_states SET value = value + 0.001 WHERE decision_id = 'D-L-0'": "decision_states.value",
    "DELETE FROM decision_states WHERE decision_id = 'D-L-6'": "decision_states.status",
    "UPDATE lead_states SET decision_id = NULL WHERE lead_id = 'L-5'": "lead_states.decision_id",
    "UPDATE lead_states SET spells = 9 WHERE lead_id = 'L-5'": "lead_states.spells",
    "DELETE FROM lead_states WHERE lead_id = 'L-8'": "lead_states.has_events",
    "DELETE FROM outcome_events WHERE lead_id = 'L-0'": "decision_states.status",
    "UPDATE decisions SET candidates = '[\"R-2\"]' WHERE decision_id = 'D-L-5'": "length of probability",
    "UPDATE decisions SET rep_id = 'R-1' WHERE decision_id = 'D-L-5'": "answers.rep_id",
    f"UPDATE answers SET body = (SELECT body FROM answers WHERE decision_id = 'D-L-4') {ROW}": "answers.lead_id",
    "UPDATE reps SET record = replace(record, '\"capacity\":3', '\"capacity\":99')": "reps.record",
    "UPDATE heads SET number = 7 WHERE name = 'policy'": "heads.number",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_planted_damage_is_found(lived, damage):
    with lived.writing() as tx:
        for table in ("decisions", "outcome_events", "capacity_ledger"):  # as whoever owns the file can
            for change in ("update", "delete"):
                tx.execute(text(f"DROP TRIGGER {table}_no_{change}"))
        assert tx.exec_driver_sql(damage).rowcount > 0
    found = examine(lived)
    assert DAMAGES[damage] in {finding.subject for finding in found}
    assert all("\n" not in str(finding) for finding in found)


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_damage_is_found_on_postgresql_too(floor):
    live(floor)
    with floor.ledger.writing() as tx:
        tx.execute(text("UPDATE open_load SET used = used + 1 WHERE rep_id = 'R-1'"))
    assert [finding.subject for finding in examine(floor.ledger)] == ["open_load"]


def test_a_reference_to_nothing_is_found(lived):
    connection = sqlite_driver.connect(lived.sqlite_file, isolation_level=None)  # this one checks no references
    connection.execute("INSERT INTO answers VALUES ('D-9', x'7b7d')")
    connection.close()
    assert [finding.subject for finding in examine(lived)] == ["a reference"]


def test_a_damaged_page_is_found_and_nothing_built_on_it(lived):
    assert examine(lived) == []
    with lived.reading() as conn:
        page = conn.execute(text("SELECT rootpage FROM sqlite_schema WHERE name = 'decisions_in_time'")).scalar_one()
    lived.close()
    with lived.sqlite_file.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    assert {finding.subject for finding in examine(lived)} == {"the file"}
