"""Many writers at once: nobody gets the slot that somebody else got, and nothing acknowledged is lost."""

import random
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from data.errors import ConflictError
from data.roster import Rep
from data.store import capacity, counters, decisions, overrides, promotions, roster
from data.store.ledger import Ledger
from pipelines.doctor import examine

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
SCRIPT = Path(__file__).with_name("store_floor.py")


@pytest.fixture
def patient(floor, ledger_url):
    """The floor, with a ledger that waits for its turn: these tests are about who wins, not about being busy."""
    floor.ledger = Ledger.open(ledger_url, lock_timeout_s=30)
    yield floor
    floor.ledger.close()


def at_once(count, work):
    """What `count` threads returned, or raised, when all of them began together."""
    gate, results = threading.Barrier(count), [None] * count

    def run(number):
        gate.wait()
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return results


def writers(url, count, leads, *rep_ids):
    """Writing processes, each ready to begin."""
    started = []
    for number in range(count):
        command = [sys.executable, SCRIPT, url, f"P{number}", str(leads), *rep_ids]
        started.append(
            subprocess.Popen(
                command, cwd=SCRIPT.parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
    for process in started:
        assert process.stdout.readline() == "ready\n"
    return started


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def test_threads_racing_for_the_last_slots_get_exactly_those(patient):
    patient.reps(Rep("R-1", capacity=5), Rep("R-2", daily_limit=3))
    decided = at_once(16, lambda number: patient.decide(f"L-{number}", ("R-1", "R-2")[number % 2]))
    assert sum(each is not None for each in decided[0::2]) == 5
    assert sum(each is not None for each in decided[1::2]) == 3
    assert (patient.load("R-1"), patient.load("R-2")) == ((5, 5), (3, 3))
    assert examine(patient.ledger) == []


def test_processes_racing_for_the_last_slots_get_exactly_those(patient, ledger_url):
    patient.reps(Rep("R-1", capacity=20), Rep("R-2", capacity=90, daily_limit=10))
    racing = writers(ledger_url, 4, 20, "R-1", "R-2")
    [go(process) for process in racing]
    said = "".join(process.communicate()[0] for process in racing).split()
    assert len(said) == 80
    assert sum(each != "full" for each in said) == 30
    assert (patient.load("R-1"), patient.load("R-2")) == ((20, 20), (10, 10))
    assert examine(patient.ledger) == []


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_counter_that_is_read_and_then_written_would_be_overrun(patient, monkeypatch):
    # Proof that the races above can be lost: this taker looks first and writes later.
    patient.reps(Rep("R-1", capacity=1))
    everybody_looked = threading.Barrier(4)

    def naive(tx, rep_id, *, decision_id, local_day, at, kind, force=False, limits=(None, None)):
        free = capacity.loads(tx, {rep_id: local_day})[rep_id].open < 1
        everybody_looked.wait()
        if free:
            counters.settle(tx, [counters.Move(rep_id, decision_id, 1, kind)], at=at)
        return free

    monkeypatch.setattr(counters, "take", naive)
    at_once(4, lambda number: patient.decide(f"L-{number}", "R-1"))
    assert patient.load()[0] == 4


def test_one_key_asked_for_at_once_is_one_decision(patient):
    def ask(number):
        with patient.ledger.writing() as tx:
            decisions.claim(tx, "crm", "L-1")
            found = decisions.find_by_key(tx, "crm", "K-1")
            if found is None:
                assert patient.write(tx, patient.row(decision=f"D-{number}", idempotency_key="K-1"))
                return f"D-{number}"
            return found.decision_id

    answers = at_once(16, ask)
    assert len(set(answers)) == 1, answers
    assert patient.load() == (1, 1)
    assert examine(patient.ledger) == []


def test_one_key_for_sixteen_leads_is_one_decision_and_fifteen_conflicts(patient):
    answers = at_once(16, lambda number: patient.decide(f"L-{number}", idempotency_key="K-1"))
    assert sum(isinstance(each, str) for each in answers) == 1
    assert sum(isinstance(each, ConflictError) for each in answers) == 15
    assert patient.load() == (1, 1)


def test_one_lead_under_sixteen_keys_gets_one_rep(patient):
    def ask(number):
        with patient.ledger.writing() as tx:
            decisions.claim(tx, "crm", "L-1")
            return patient.write(tx, patient.row(decision=f"D-{number}", idempotency_key=f"K-{number}"))

    answers = at_once(16, ask)
    assert sum(each is True for each in answers) == 1
    assert sum(isinstance(each, ConflictError) for each in answers) == 15
    assert patient.load() == (1, 1)


def test_outcomes_told_at_once_and_twice_have_one_effect(patient, store_floor):
    for number in range(12):
        patient.decide(f"L-{number}", ("R-1", "R-2")[number % 2])
    events = [store_floor.event("won", lead=f"L-{number}", value=1.0) for number in range(12)]
    told = at_once(8, lambda number: patient.tell(*events[:: 1 if number % 2 else -1]))
    assert sorted(each for one in told for each in one) == ["accepted"] * 12 + ["duplicate"] * 84
    assert (patient.load("R-1"), patient.load("R-2")) == ((0, 6), (0, 6))
    assert examine(patient.ledger) == []


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_an_outcome_waits_for_the_decision_that_is_being_written(patient):
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with patient.ledger.writing() as tx:
        patient.write(tx, patient.row())
        teller = threading.Thread(target=lambda: patient.tell(kind="won"))
        teller.start()
        while teller.is_alive() and not tx.execute(waiting).scalar_one():
            pass
    teller.join()
    assert patient.state().status == "won"
    assert patient.load() == (0, 1)


def test_batches_that_free_slots_of_the_same_reps_never_wait_for_each_other(patient, store_floor):
    for number in range(16):  # each thread's two leads; every other thread has them the other way round
        patient.decide(f"L-{number:02d}", ("R-1", "R-2", "R-2", "R-1")[number % 4])

    def tell(number):
        for turn in range(6):
            kind = ("won", "reopened")[turn % 2]
            leads = (f"L-{2 * number:02d}", f"L-{2 * number + 1:02d}")
            patient.tell(*(store_floor.event(kind, lead=lead, after=60 + turn) for lead in leads))

    assert at_once(8, tell) == [None] * 8
    assert (patient.load("R-1")[0], patient.load("R-2")[0]) == (8, 8)


def test_an_outcome_that_arrives_with_its_decision_is_never_lost(patient):
    def either(number):
        lead = f"L-{number // 2}"
        return patient.decide(lead) if number % 2 else patient.tell(kind="won", lead=lead)

    results = at_once(12, either)
    assert not [each for each in results if isinstance(each, Exception)], results
    assert {patient.state(f"D-L-{lead}").status for lead in range(6)} == {"won"}
    assert patient.load() == (0, 6)
    assert examine(patient.ledger) == []


def test_managers_and_leads_racing_for_slots_keep_the_books_straight(patient):
    patient.reps(*(Rep(f"R-{number}", capacity=6) for number in range(4)))
    for number in range(8):
        assert patient.decide(f"L-{number}", f"R-{number % 4}")

    def act(number):
        dice, done = random.Random(number), 0
        for turn in range(12):
            rep = f"R-{dice.randrange(4)}"
            try:
                if dice.random() < 0.3:
                    done += patient.decide(f"N-{number}-{turn}", rep) is not None
                    continue
                decision = f"D-L-{dice.randrange(8)}"
                with patient.ledger.writing() as tx:
                    overrides.record(
                        tx,
                        decision,
                        Rep(rep),
                        reason="",
                        actor="boss",
                        expected_version=decisions.get(tx, decision).state.version,
                        at=NINE,
                    )
                done += 1
            except ConflictError:
                pass
        return done

    results = at_once(6, act)
    assert all(isinstance(each, int) for each in results), results
    assert sum(results) > 0
    assert max(patient.load(f"R-{number}")[0] for number in range(4)) <= 6
    assert examine(patient.ledger) == []


def test_two_managers_who_saw_the_same_version_do_not_both_win(patient):
    patient.decide()

    def give(number):
        with patient.ledger.writing() as tx:
            return overrides.record(
                tx, "D-L-1", Rep("R-2"), reason="", actor=str(number), expected_version=1, at=NINE
            )

    results = at_once(6, give)
    assert sum(isinstance(each, ConflictError) for each in results) == 5
    assert patient.state().version == 2


def test_one_sweep_of_many_releases_a_slot(patient):
    patient.decide()

    def sweep(_number):
        with patient.ledger.writing() as tx:
            return capacity.release(tx, "D-L-1", kind="recycled", at=NINE)

    assert sorted(at_once(6, sweep)) == [False] * 5 + [True]
    assert patient.load() == (0, 1)


def test_trainers_who_saw_the_same_champion_do_not_both_promote(patient):
    def promote(number):
        with patient.ledger.writing() as tx:
            return promotions.promote(
                tx,
                version=str(number),
                digest="d",
                expected_previous=None,
                actor="trainer",
                grounds={},
                at=NINE,
            )

    results = at_once(6, promote)
    assert sum(isinstance(each, ConflictError) for each in results) == 5


def test_each_roster_put_at_once_is_a_version_of_its_own(patient):
    with patient.ledger.reading() as conn:
        before = roster.version(conn)
    versions = at_once(6, lambda number: patient.reps(Rep("R-1", capacity=100 + number)))
    assert sorted(versions) == [before + each for each in range(1, 7)]
    assert examine(patient.ledger) == []


@pytest.mark.parametrize("cycle", range(2))
def test_a_killed_writer_loses_nothing_that_it_acknowledged(patient, ledger_url, cycle):
    racing = writers(ledger_url, 2, 10_000, "R-1", "R-2")
    [go(process) for process in racing]
    acknowledged = [process.stdout.readline().strip() for process in racing for _ in range(20 + 7 * cycle)]
    for process in racing:
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines(keepends=True)
        acknowledged += [line.strip() for line in rest if line.endswith("\n")]
        with process:  # closes the pipes
            process.wait()
    assert patient.decide("after the kill", "R-1") is not None  # the lock went with its holder
    with patient.ledger.reading() as conn:
        kept = {each.row.decision_id for each in decisions.search(conn, limit=100_000)[0]}
    assert set(acknowledged) <= kept
    assert patient.load("R-1")[0] + patient.load("R-2")[0] == len(kept)
    assert examine(patient.ledger) == []
