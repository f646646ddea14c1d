"""A model that fails on the leads that come in is rolled back by itself, once, and the ledger says why."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from data.settings import Settings
from data.store import promotions
from serving.deciding.scorer import Scorer
from serving.models import bundle, signing
from serving.models.bundle_store import BundleStore
from serving.models.probation import FEWEST, RECENT, Probation
from serving.running import parts
from serving.running.parts import Upkeep
from training import model_files

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LEAD = {"industry": "retail", "company_size": 40}


def test_a_few_odd_leads_do_not_speak_against_a_model():
    probation = Probation()
    for _ in range(FEWEST - 1):
        probation.note(well=False)
    assert probation.problem() is None
    probation.note(well=False)
    assert probation.problem() == f"{FEWEST} of the last {FEWEST} leads could not be scored"
    for _ in range(RECENT):  # what lies long back does not count
        probation.note(well=True)
    assert probation.problem() is None


def test_a_small_share_of_failures_does_not_speak_against_a_model():
    probation = Probation()
    for number in range(2 * RECENT):
        probation.note(well=number % 25 != 0)
    assert probation.problem() is None


@pytest.fixture
def house(tmp_path, small_model, monkeypatch):
    """An installation with two bundles, of which the second is champion, and its upkeep after one round."""
    monkeypatch.setattr("serving.models.bundle_store.check_in_child", lambda *_: None)  # it has tests of its own
    moved = []
    monkeypatch.setattr(parts, "name_champion", lambda home, version, **_: moved.append(version))
    ready = []
    upkeep = Upkeep(Settings(home=tmp_path), ready.append)
    for number in ("1", "2"):
        promote(tmp_path, small_model, number)
    upkeep._once()
    yield upkeep, ready[0], moved
    ready[0].prices.close()
    ready[0].ledger.close()


def promote(home, model, number, previous=None):
    from data.store.ledger import Ledger

    folder = home / f"model-{number}"
    model_files.save(replace(model, facts={"number": number}), folder)
    digest = bundle.seal(folder, signing.signing_key(home)).digest
    BundleStore(home).install(folder)
    BundleStore(home)._remember(type("Loaded", (), {"digest": digest, "version": number}))
    ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
    with ledger.writing() as tx:
        held = promotions.champion(tx)
        given = {"version": number, "digest": digest, "actor": "test", "grounds": {}, "at": NOW}
        promotions.promote(tx, expected_previous=held and held.version, **given)
    ledger.close()


def decide(running, count):
    """Answers to `count` new leads."""
    from serving.deciding.decide import Ask, digest_of

    told = []
    for _ in range(count):
        lead = {"lead_id": f"L-{decide.next}", **LEAD}
        decide.next += 1
        told.append(running.decider.assign(Ask("default", lead, digest_of(lead))).body.decode())
    return told


decide.next = 0


@pytest.fixture
def roster(house):
    from data.roster import Rep
    from data.store import keys
    from data.store import roster as rosters

    _, running, _ = house
    with running.ledger.writing() as tx:
        keys.ensure_client(tx, "default", at=NOW)
        rosters.put_reps(tx, [Rep(f"R-{number}") for number in range(3)], actor="test", at=NOW)


def failing(version):
    """A Scorer.score that gives no numbers for the model of this version, and works for the others."""
    score = Scorer.score

    def fails(self, lead, *, at):
        scores = score(self, lead, at=at)
        if self.model.facts == {"number": version}:
            scores.probability[:] = np.nan
        return scores

    return fails


def history(running):
    with running.ledger.reading() as conn:
        return promotions.history(conn)


def test_a_model_that_gives_no_numbers_is_rolled_back_and_every_lead_still_gets_a_rep(
    house, roster, monkeypatch, caplog
):
    upkeep, running, moved = house
    monkeypatch.setattr(Scorer, "score", failing("2"))
    answers = decide(running, FEWEST)
    assert all('"arm":"fallback"' in each and '"rep_id":"R-' in each for each in answers)
    upkeep._once()
    last = history(running)[-1]
    assert (last.version, last.previous, last.actor) == ("1", "2", "automatic rollback")
    assert last.grounds["grounds"][1] == f"{FEWEST} of the last {FEWEST} leads could not be scored"
    assert "rolled back" in caplog.text
    assert moved == ["1"]
    upkeep._once()
    assert moved == ["1"]
    (answer,) = decide(running, 1)
    assert '"model_version":"1"' in answer
    assert '"degraded":null' in answer


def test_a_model_that_raises_is_rolled_back_too_and_other_workers_follow_the_ledger(house, roster, monkeypatch):
    upkeep, running, _ = house

    def broken(self, lead, *, at):
        raise ZeroDivisionError

    monkeypatch.setattr(Scorer, "score", broken)
    decide(running, FEWEST)
    upkeep._once()
    assert [one.version for one in history(running)] == ["1", "2", "1"]
    other = BundleStore(upkeep._settings.home)
    assert other.refresh(history(running)[-1], None).version == "1"


def test_a_rollback_is_not_rolled_back_when_it_is_the_leads_that_have_changed(house, roster, monkeypatch):
    upkeep, running, _ = house

    def broken(self, lead, *, at):
        raise ZeroDivisionError

    monkeypatch.setattr(Scorer, "score", broken)
    for _ in range(3):
        decide(running, FEWEST)
        upkeep._once()
    assert [one.version for one in history(running)] == ["1", "2", "1"]


def test_a_person_who_was_quicker_is_not_overruled(house, roster, monkeypatch, small_model):
    upkeep, running, _ = house
    monkeypatch.setattr(Scorer, "score", failing("2"))
    decide(running, FEWEST)
    promote(upkeep._settings.home, small_model, "3", "2")
    upkeep._once()
    assert [one.version for one in history(running)] == ["1", "2", "3"]


def test_the_alias_is_moved_once_the_registry_can_be_reached(house, roster, monkeypatch):
    from serving.models.child import ChildFailedError

    upkeep, running, moved = house
    tries = []

    def down(home, version, *, timeout_s):
        tries.append(version)
        if len(tries) < 3:
            raise ChildFailedError("the registry is down")
        moved.append(version)

    monkeypatch.setattr(parts, "name_champion", down)
    monkeypatch.setattr(Scorer, "score", failing("2"))
    decide(running, FEWEST)
    for _ in range(2):
        with pytest.raises(ChildFailedError):
            upkeep._once()
    assert running.ledger is not None
    assert '"model_version":"1"' in decide(running, 1)[0]  # in force all the same
    upkeep._once()
    assert moved == ["1"]
