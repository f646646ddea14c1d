"""MLflow behind one door: a run, a registered version, aliases, a notebook's model, the files back again."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from data.errors import RegistryError
from data.roster import Rep
from features.columns import SECONDS_A_DAY
from serving.models import bundle
from serving.models.fetch import fetcher, newest_versions
from training import model_files
from training.conversion import RosterModel
from training.metrics import Estimate
from training.notebook import PairScorer
from training.registry import CHALLENGER, CHAMPION, Registry

METRICS = {"log_loss": Estimate(0.4, 0.01), "auc": Estimate(0.7, float("nan"))}
FIGURES = {"reliability.svg": b"<svg/>", "values.json": b"{}"}


@pytest.fixture(scope="module")
def key():
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def sealed(small_model, key, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "any name"
    model_files.save(small_model, folder)
    bundle.seal(folder, key)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _without_settings_of_the_machine():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
            patch.delenv(name, raising=False)
        yield


def log(registry, sealed, key, small_model, **changed):
    given = {
        "parameters": {"trees": 12, "kind": "trees"},
        "metrics": METRICS,
        "data_hash": "d" * 64,
        "digest": bundle.verify(sealed, key.public_key()).digest,
        "figures": FIGURES,
        "bundle": sealed,
        "lead_columns": [column.name for column in small_model.contract.columns],
        "tags": {"verdict": "rep_matters"},
    }
    return registry.log_run(**(given | changed))


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    return Registry(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def run(registry, sealed, key, small_model):
    return log(registry, sealed, key, small_model)


def test_a_run_is_logged_with_its_metrics_and_their_standard_errors(registry, run):
    logged = registry.run(run.run_id)
    assert logged.metrics["log_loss"] == METRICS["log_loss"]
    assert np.isnan(logged.metrics["auc"].standard_error)
    assert logged.parameters == {"trees": "12", "kind": "trees"}
    assert logged.tags["data_hash"] == "d" * 64
    assert logged.tags["verdict"] == "rep_matters"


def test_the_version_knows_its_run_and_its_bundle(registry, run, sealed, key):
    [version] = [one for one in registry.versions() if one.version == run.model_version]
    assert version.run_id == run.run_id
    assert version.digest == bundle.verify(sealed, key.public_key()).digest


def test_figures_lie_with_the_run(registry, run):
    files = list(Path(registry._artifacts).rglob("figures/*"))
    assert {file.name: file.read_bytes() for file in files if run.run_id in file.parts} == FIGURES


def test_a_version_holds_no_pickle_and_no_code(registry, run):
    names = {file.name for file in Path(registry._artifacts).rglob("*") if file.is_file()}
    assert not {name for name in names if name.endswith((".pkl", ".pickle", ".cloudpickle", ".py", ".skops"))}


def test_aliases_follow_what_they_are_told(registry, run, sealed, key, small_model):
    def aliases():
        return {one.version: one.aliases for one in registry.versions()}

    second = log(registry, sealed, key, small_model)
    registry.name_champion(run.model_version)
    registry.name_challenger(second.model_version)
    assert aliases() == {"1": (CHAMPION,), "2": (CHALLENGER,)}
    registry.name_champion(run.model_version)  # once more: another one's challenge stands
    assert aliases() == {"1": (CHAMPION,), "2": (CHALLENGER,)}
    registry.name_champion(second.model_version)  # whoever is champion challenges nobody
    assert aliases() == {"1": (), "2": (CHAMPION,)}
    assert [one.version for one in registry.versions()] == ["2", "1"]


def frame_of_pairs(model):
    leads = pd.DataFrame(
        {
            "industry": ["manufacturing", None, "江苏 trade", "never seen"],
            "company_size": [120.0, np.nan, 7.0, 40.0],
            "created_at": pd.to_datetime(["2026-03-01T09:00Z", "2026-03-02T10:30Z", None, "2020-01-11T00:00Z"]),
        }
    )
    pairs = leads.merge(pd.DataFrame({"rep_id": [rep.rep_id for rep in model.reps]}), how="cross")
    return leads, pairs


def probability_by_roster(model, leads):
    moments = [moment.timestamp() if moment == moment else np.nan for moment in leads["created_at"]]
    at_days = np.array(moments) / SECONDS_A_DAY
    encoded = model.contract.encode(dict(leads), len(leads))
    return RosterModel(model, model.reps).probability(encoded, at_days).ravel()


def test_a_notebook_loads_the_champion_and_scores_a_frame_of_pairs(registry, run, small_model):
    import mlflow

    registry.name_champion(run.model_version)
    leads, pairs = frame_of_pairs(small_model)
    model = mlflow.pyfunc.load_model("models:/leadmatch@champion")
    assert model.predict(pairs) == pytest.approx(probability_by_roster(small_model, leads), abs=1e-12)
    # As read from a CSV file, with a column that the model does not know and another that is not there:
    text = pairs.astype({"company_size": "str"}).assign(colour="red").drop(columns="created_at")
    assert len(model.predict(text)) == len(pairs)
    assert model.predict(text) == pytest.approx(PairScorer(small_model).predict(pairs.drop(columns="created_at")))


def test_a_rep_the_training_never_saw_counts_as_an_average_one(small_model):
    pair = pd.DataFrame({"industry": ["retail"], "company_size": [50.0], "rep_id": ["R-99"]})
    roster = RosterModel(small_model, [Rep("R-99")])
    encoded = small_model.contract.encode(dict(pair), 1)
    expected = roster.probability(encoded, np.array([np.nan]))[0, 0]
    assert PairScorer(small_model).predict(pair) == pytest.approx([expected])


def test_a_pair_without_a_rep_is_refused(small_model):
    with pytest.raises(ValueError, match="rep_id"):
        PairScorer(small_model).predict(pd.DataFrame({"industry": ["retail"], "rep_id": [None]}))


def test_a_download_brings_back_a_bundle_that_verifies(registry, run, sealed, key, tmp_path):
    registry.download(run.model_version, tmp_path / "got")
    assert bundle.verify(tmp_path / "got", key.public_key()) == bundle.verify(sealed, key.public_key())


def test_a_throw_away_process_fetches_the_same(registry, run, sealed, key, tmp_path):
    home = Path(registry._artifacts).parent
    fetcher(home, timeout_s=2.0)(run.model_version, tmp_path)
    assert bundle.verify(tmp_path, key.public_key()) == bundle.verify(sealed, key.public_key())


def test_a_throw_away_process_lists_the_versions_with_their_figures(registry, run, sealed, key, tmp_path):
    listed = newest_versions(Path(registry._artifacts).parent, timeout_s=2.0)
    newest = next(each for each in listed if each["version"] == run.model_version)
    assert newest["run_id"] == run.run_id
    assert newest["verdict"] == "rep_matters"
    assert newest["metrics"]["log_loss"] == {"value": 0.4, "standard_error": 0.01}
    assert newest["metrics"]["auc"]["standard_error"] is None


def test_only_a_bundles_own_names_are_downloaded(registry, sealed, key, small_model, tmp_path):
    made = log(registry, sealed, key, small_model)
    [stored] = [
        file.parent
        for file in Path(registry._artifacts).rglob("manifest.json")
        if made.run_id in (file.parents[2] / "MLmodel").read_text()
    ]
    (stored / "evil.py").write_text("raise SystemExit")
    (stored / "model.pkl").write_bytes(b"\x80")
    registry.download(made.model_version, tmp_path / "got")
    bundle.verify(tmp_path / "got", key.public_key())


def test_a_file_over_the_cap_is_not_downloaded(registry, run, tmp_path, monkeypatch):
    monkeypatch.setattr("training.registry.LARGEST_FILE_BYTES", 100)
    with pytest.raises(RegistryError, match="more than"):
        registry.download(run.model_version, tmp_path / "got")


@pytest.mark.parametrize("version", ["99", "../1", "champion", ""])
def test_a_version_that_is_not_there_is_one_clear_error(registry, run, version, tmp_path):
    with pytest.raises(RegistryError) as caught:
        registry.download(version, tmp_path / "got")
    assert "\n" not in str(caught.value)


def test_an_unsealed_folder_is_not_logged(registry, small_model, key, sealed, tmp_path):
    model_files.save(small_model, tmp_path / "model")
    before = len(registry.versions())
    with pytest.raises(ValueError, match="not sealed"):
        log(registry, sealed, key, small_model, bundle=tmp_path / "model")
    assert len(registry.versions()) == before


def test_a_registry_that_is_down_is_told_at_once(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for scheme in ("http", "postgresql"):
        with pytest.raises(RegistryError, match="cannot be reached") as caught:
            Registry(tmp_path, tracking_uri=f"{scheme}://user:secret@127.0.0.1:{port}/x").versions()
        assert "secret" not in str(caught.value)


def test_a_registry_that_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        registry = Registry(tmp_path, tracking_uri=f"http://127.0.0.1:{port}", timeout_s=1.0)
        done = threading.Event()
        caught = []

        def ask():
            try:
                registry.versions()
            except RegistryError as error:
                caught.append(error)
            done.set()

        threading.Thread(target=ask, daemon=True).start()
        assert done.wait(60)  # left alone, the client waits for minutes
    assert "timed out" in str(caught[0]).lower()


def test_two_homes_have_two_registries(registry, run, tmp_path):
    assert Registry(tmp_path).versions() == []
    assert registry.versions()


def test_the_environment_names_another_store(registry, run, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    assert Registry(tmp_path).versions() == registry.versions()
    assert os.environ["MLFLOW_TRACKING_URI"] == registry.tracking_uri
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_a_store_that_is_no_database_is_one_clear_error(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"not a database, but as long as one's first lines")
    with pytest.raises(RegistryError, match="not an SQLite database"):
        Registry(tmp_path).versions()


def test_a_download_draws_no_progress_bars_from_the_command_line():
    code = (
        "import pipelines.cli; from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR as bars\n"
        "raise SystemExit(bars.get())"
    )
    given = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    assert subprocess.run([sys.executable, "-c", code], env=given, check=False).returncode == 0
