"""Is the model still right? Drift beside its noise, alarms that reach whoever asked, one retraining at a time."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from data.errors import RefusedError
from data.roster import Rep
from data.settings import Settings
from data.store import endpoints, outbox, promotions
from data.store.endpoints import Endpoint
from data.store.ledger import Ledger
from data.store.lone import alone
from data.store.tables import outbox as messages
from features.columns import Column, ColumnContract
from pipelines import cli
from pipelines.monitor import features_check, monitor
from pipelines.retrain import retrain
from serving.models.bundle import seal
from serving.models.bundle_store import BundleStore
from serving.models.signing import signing_key
from training.drift import drift, profile
from training.model_files import save

CONTRACT = ColumnContract((Column("kind", "category", ("a", "b", "c")), Column("size", "number")), dated=False)


def leads(rng, n, shares=(0.5, 0.3, 0.2), mean=0.0):
    return np.column_stack([rng.choice(3, n, p=shares).astype(float), rng.normal(mean, 1, n)])


def test_an_index_by_hand():
    then = np.column_stack([np.repeat([0.0, 1.0], 100), np.zeros(200)])
    now = np.column_stack([np.repeat([0.0, 1.0], [150, 50]), np.zeros(200)])
    found = {one.feature: one for one in drift(profile(CONTRACT, then), CONTRACT, now)}
    p, q = np.array([150.5, 50.5]) / 201, np.array([0.5, 0.5])
    assert found["kind"].index == pytest.approx(float(np.sum((p - q) * np.log(p / q))))
    assert found["kind"].noise == pytest.approx(2 / 200)
    assert found["kind"].shifted
    assert not found["size"].shifted
    assert found["size"].by_chance == 1.0


def test_without_a_change_the_index_is_its_noise_and_raises_nothing(rng):
    known = profile(CONTRACT, leads(rng, 4_000))
    found = [drift(known, CONTRACT, leads(rng, 300)) for _ in range(200)]
    for feature in ("kind", "size"):
        of = [one for each in found for one in each if one.feature == feature]
        index = np.array([one.index for one in of])
        error = index.std(ddof=1) / np.sqrt(len(index))
        # The training sample is one and the same in all of them: its own part of the noise may be off by a half.
        assert abs(index.mean() - of[0].noise) < 5 * error + 0.5 * of[0].noise
    assert not any(one.shifted for each in found for one in each)


def test_a_change_is_found_and_the_largest_comes_first(rng):
    known = profile(CONTRACT, leads(rng, 4_000))
    found = drift(known, CONTRACT, leads(rng, 500, mean=1.0))
    assert [one.feature for one in found if one.shifted] == ["size"]
    assert found[0].feature == "size"
    rare = leads(rng, 500)
    rare[:, 0] = np.nan  # a column that is no longer filled
    assert "kind" in {one.feature for one in drift(known, CONTRACT, rare) if one.shifted}


@pytest.fixture
def home(tmp_path, small_model):
    """An installation with a champion that knows its training window, and the settings to find it."""
    settings = Settings(home=tmp_path / "home")
    rng = np.random.default_rng(1)
    window = np.column_stack([rng.integers(0, 3, 400), rng.gamma(2, 50, 400), np.zeros(400), np.zeros(400)])
    facts = {"rows": 400, "profile": profile(small_model.contract, window.astype(float)), "trained_until_days": 0.0}
    folder = tmp_path / "bundle"
    save(replace(small_model, facts=facts), folder)
    manifest = seal(folder, signing_key(settings.home), about={"trained_at": "2026-03-01T00:00:00+00:00"})
    BundleStore(settings.home).install(folder)
    ledger = Ledger.open(settings.ledger_url)
    with ledger.writing() as tx:
        promotions.promote(tx, version="1", digest=manifest.digest, expected_previous=None, actor="test",
                           grounds={"grounds": ["first"]}, at=datetime(2026, 3, 1, tzinfo=UTC))  # fmt: skip
    ledger.close()
    return settings


def test_a_quiet_look_raises_nothing(home):
    said = monitor(home, clock=lambda: datetime(2026, 3, 20, tzinfo=UTC))
    assert said["alarms"] == []
    kinds = [check["kind"] for check in said["checks"]]
    assert kinds == ["model", "features", "drift", "calibration", "holdout_against_replay", "draw"]
    assert said["checks"][0]["age_days"] == 19
    json.dumps(said)


def test_features_are_compared_with_the_training_window(home, small_model):
    at = datetime(2026, 3, 20, tzinfo=UTC)
    loaded = BundleStore(home.home)
    ledger = Ledger.open(home.ledger_url)
    with ledger.reading() as conn:
        model = loaded.refresh(promotions.champion(conn), lambda *_: None).model
    ledger.close()
    rng = np.random.default_rng(2)
    same = [
        {"industry": ("manufacturing", "retail", "江苏 trade")[int(rng.integers(3))], "company_size": rng.gamma(2, 50),
         "created_at": at} for _ in range(300)
    ]  # fmt: skip
    assert not features_check(model, same)["raised"]
    changed = [{**lead, "company_size": lead["company_size"] * 20} for lead in same]
    found = features_check(model, changed)
    assert found["raised"]
    assert "company_size" in found["text"]
    assert not features_check(model, same[:50])["raised"]
    assert "before profiles" in features_check(replace(model, facts={}), same)["text"]


def test_what_was_found_stands_in_the_services_metrics(home, desk):
    object.__setattr__(desk.parts, "home", home.home)
    before = desk.http.get("/metrics").text
    assert "leadmatch_outbox_pending 0.0" in before
    assert "leadmatch_alarm" not in before
    monitor(home, clock=lambda: datetime(2026, 3, 2, 8, tzinfo=UTC))
    after = desk.http.get("/metrics").text
    assert 'leadmatch_alarm{check="features"} 0.0' in after
    assert "leadmatch_monitor_age_seconds 3600.0" in after  # the desk's clock says nine
    assert "leadmatch_degraded 0.0" in after


def test_a_log_that_a_reader_keeps_from_being_taken_in_is_told(desk):
    def told():
        lines = desk.http.get("/metrics").text.splitlines()
        [line] = [line for line in lines if line.startswith("leadmatch_ledger_wal_bytes ")]
        return float(line.split()[1])

    wal = desk.ledger.sqlite_file.with_name(desk.ledger.sqlite_file.name + "-wal")
    with desk.ledger.reading() as conn:
        conn.exec_driver_sql("SELECT count(*) FROM reps").all()
        before = told()
        for _ in range(20):
            with desk.ledger.writing() as tx:
                listener(tx)
        assert told() == wal.stat().st_size
        assert told() > before


def test_the_outbox_lag_is_the_age_of_the_oldest_message(desk):
    with desk.ledger.writing() as tx:
        listener(tx)
        outbox.announce(tx, "alarm", at=desk.now - timedelta(seconds=90), data={})
        outbox.announce(tx, "alarm", at=desk.now - timedelta(seconds=30), data={})
    told = desk.http.get("/metrics").text
    assert "leadmatch_outbox_pending 2.0" in told
    assert "leadmatch_outbox_lag_seconds 90.0" in told


def test_an_old_model_is_an_alarm_that_is_told_and_status_one(home, monkeypatch):
    ledger = Ledger.open(home.ledger_url)
    with ledger.writing() as tx:
        listener(tx)
    said = monitor(home, clock=lambda: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=200))
    assert said["alarms"] == ["model"]
    with ledger.reading() as conn:
        (message,) = conn.execute(select(messages)).all()
    assert message.topic == "alarm"
    assert "retrain" in str(message.body)
    ledger.close()
    monkeypatch.setenv("LEADMATCH_HOME", str(home.home))
    told = CliRunner().invoke(cli.app, ["monitor", "--json"])
    assert told.exit_code == 1
    assert json.loads(told.stdout)["alarms"] == ["model"]


def listener(tx):
    made = Endpoint(
        endpoint_id=endpoints.new_id(), kind="webhook", client_id=None, url="https://example.org/hook",
        topics=("alarm",), secret_from="home:ops", private_allowed=False, actor="test",
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip
    endpoints.add(tx, made)


def test_two_retrainings_never_run_at_once(tmp_path):
    settings = Settings(home=tmp_path)
    held = (
        "import sys, pathlib; sys.path.insert(0, '.')\n"
        "from data.store.lone import alone\n"
        f"with alone(pathlib.Path({str(tmp_path / 'retrain.lock')!r}), 'x'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RefusedError, match="A retraining is already running"):
            retrain(settings, data=None)
        other.kill()  # without a goodbye: the system gives the lock back
    with alone(tmp_path / "retrain.lock", "A retraining"):
        pass


def test_retraining_without_decisions_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path))
    said = CliRunner().invoke(cli.app, ["retrain"])
    assert said.exit_code == 2
    assert "no assignment" in said.stderr


def test_retraining_on_too_little_asks_for_the_history_before(tmp_path, monkeypatch, store_floor):
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path))
    ledger = Ledger.open(Settings(home=tmp_path).ledger_url)
    floor = store_floor.Floor(ledger)
    floor.reps(Rep("R-1"), Rep("R-2"))
    for number in range(6):
        floor.decide(f"L-{number}", after=number)
        floor.tell(kind="lost" if number % 2 else "won", lead=f"L-{number}", after=30 + number)
    ledger.close()
    said = CliRunner().invoke(cli.app, ["retrain"])
    assert said.exit_code == 2
    assert "at least 100 are needed. Wait, or give --data with the history before." in said.stderr
    assert "dataset.yaml" not in said.stderr
