"""Kill -9, under load and at every crash point: nothing that was acknowledged is lost, nothing is there twice."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.crash_points import POINTS, arm
from data.store import promotions
from data.store.ledger import Ledger
from data.store.promotions import Promotion
from pipelines.doctor import examine
from serving.models import bundle, signing
from serving.models.bundle_store import BundleStore
from serving.models.child import ChildFailedError
from tests.ports import free_port
from tests.torture.crashes import OF_REQUESTS, crashed_at, died_at
from tests.torture.kills import cycles
from tests.torture.service import Forked, Whole
from training import model_files

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize("count", [10])
def test_kill_9_of_all_workers_under_load_loses_and_doubles_nothing(ledger_url, tmp_path, count):
    port = free_port()
    outcome = cycles(Forked(ledger_url, tmp_path, port), ledger_url, port, count, loaded_s=0.5)
    assert (outcome.violations, outcome.findings) == ([], [])
    assert outcome.acknowledged > count  # they were at work
    assert outcome.cut > 0  # and were hit while they were


def test_kill_9_of_the_whole_service_as_it_is_run(tmp_path):
    url, port = f"sqlite:///{tmp_path}/ledger.db", free_port()
    outcome = cycles(Whole(tmp_path, port, workers=2), url, port, 2, loaded_s=1.0)
    assert (outcome.violations, outcome.findings) == ([], [])
    assert outcome.acknowledged > 0
    assert outcome.cut > 0


@pytest.mark.parametrize("point", OF_REQUESTS)
def test_a_worker_that_ends_at_the_worst_moment_leaves_nothing_half_done(point, ledger_url, tmp_path):
    assert crashed_at(point, ledger_url, tmp_path, free_port()) == []


def promote(url, version, previous):
    ledger = Ledger.open(url)
    with ledger.writing() as tx:
        given = {"actor": "test", "grounds": {}, "at": NOW}
        promotions.promote(tx, version=version, digest=version * 64, expected_previous=previous, **given)
    ledger.close()


def test_a_promotion_that_is_cut_off_did_not_happen_and_can_be_made_again(ledger_url):
    promote(ledger_url, "1", None)
    assert died_at("in_promotion", promote, ledger_url, "2", "1")
    ledger = Ledger.open(ledger_url)
    with ledger.reading() as conn:
        assert promotions.champion(conn).version == "1"
    assert examine(ledger) == []
    ledger.close()
    promote(ledger_url, "2", "1")


def install(home, folder):
    BundleStore(home).install(folder)


@pytest.mark.parametrize("point", ["before_bundle", "before_pointer"])
def test_a_bundle_that_is_cut_off_on_its_way_is_fetched_again(point, small_model, tmp_path):
    home, folders = tmp_path / "home", [tmp_path / "one", tmp_path / "two"]
    digests = []
    for number, folder in enumerate(folders):
        model_files.save(replace(small_model, facts={"number": number}), folder)
        digests.append(bundle.seal(folder, signing.signing_key(home)).digest)
    one, two = (Promotion(n, str(n), digest, None, "test", {}, NOW) for n, digest in enumerate(digests, start=1))
    store = BundleStore(home)
    store.refresh(one, copying(folders))
    work = (install, home, folders[1]) if point == "before_bundle" else (refresh, home, two, folders)
    assert died_at(point, *work)
    restarted = BundleStore(home)
    restarted.refresh(two, fails)
    # before_bundle: it was not kept; before_pointer: it was, and only the list of the last good ones is older
    expected = ("1", "last_good") if point == "before_bundle" else ("2", "promoted")
    assert (restarted.current().version, restarted.current().source) == expected
    again = BundleStore(home)
    again.refresh(two, copying(folders))
    assert (again.current().version, again.current().source) == ("2", "promoted")


def refresh(home, promotion, folders):
    BundleStore(home).refresh(promotion, copying(folders))


def copying(folders):
    return lambda version, to: bundle.copy_files(folders[int(version) - 1], to)


def fails(version, to):
    raise ChildFailedError("the registry is down")


def test_every_named_point_is_passed_in_the_product():
    passed = {
        point for room in ("data", "serving") for file in (ROOT / room).rglob("*.py")
        for point in re.findall(r'crash_at\("(\w+)"\)', file.read_text(encoding="utf-8"))
    }  # fmt: skip
    assert passed == set(POINTS)
    assert len(POINTS) >= 10
    with pytest.raises(ValueError, match="one of before_claim"):
        arm("nowhere")
