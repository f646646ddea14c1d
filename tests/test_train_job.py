"""The main job, end to end: a history becomes a registered champion, which answers alike in batch and over HTTP."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from data.dataset import save_dataset
from data.errors import InputError, RefusedError
from data.roster import Rep
from data.settings import Settings
from data.store import promotions
from data.store.ledger import Ledger
from data.store.roster import put_reps, read_roster
from pipelines import cli, models
from pipelines.champion import champion
from pipelines.check import check
from pipelines.demo import sendable, show
from pipelines.from_ledger import with_ledger
from pipelines.match import match
from pipelines.prepare import prepare
from pipelines.put_roster import put_roster
from pipelines.serve import Running
from pipelines.train import learn, train
from tests.ports import free_port
from training.registry import Registry

CONTRACT = {"model_version", "run_id", "promoted", "grounds", "metrics", "rows", "columns", "potential"}


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A home with a champion trained on a simulated floor: (settings, data folder, what `train --json` said)."""
    folder = tmp_path_factory.mktemp("installation")
    made = CliRunner().invoke(cli.app, ["simulate", "--out", str(folder / "floor"), "--leads", "5000", "--reps", "8"])
    assert made.exit_code == 0, made.output
    settings = Settings(home=folder / "home")
    return settings, folder / "floor", train(folder / "floor", settings=settings)


def test_training_reports_what_the_contract_names(installation):
    said = installation[2]
    assert set(said) >= CONTRACT
    assert set(said["metrics"]) == {"log_loss", "auc", "brier", "ece"}
    assert all(set(metric) == {"value", "standard_error"} for metric in said["metrics"].values())
    assert set(said["rows"]) == {"used", "immature", "rejected"}
    assert said["rows"]["used"] + said["rows"]["immature"] == 5_000
    assert {"name", "email", "phone", "company"} <= {one["column"] for one in said["columns"]["excluded"]}
    assert set(said["potential"]["gain"]) == {"value", "low", "high"}
    assert set(said["value_metrics"]) == {"median_log_error", "r2", "level"}
    json.dumps(said)


def test_the_first_model_becomes_champion_in_ledger_and_registry(installation):
    settings, _, said = installation
    ledger = Ledger.open(settings.ledger_url)
    with ledger.reading() as conn:
        champion = promotions.champion(conn)
    ledger.close()
    assert champion.version == said["model_version"]
    registered = {one.version: one for one in Registry(settings.home).versions()}
    assert registered[champion.version].digest == champion.digest
    assert "champion" in registered[champion.version].aliases


def test_the_same_history_again_gives_the_same_bundle_and_no_new_champion(installation):
    settings, data, said = installation
    again = train(data, settings=settings)
    assert not again["promoted"]
    assert "newer than the champion" in again["grounds"][0]
    digests = {one.version: one.digest for one in Registry(settings.home).versions()}
    assert digests[again["model_version"]] == digests[said["model_version"]]


def test_the_run_is_logged_with_its_page(installation):
    settings, _, said = installation
    pages = [page.read_text(encoding="utf-8") for page in settings.home.rglob("report.html")]
    assert any(ground in page for page in pages for ground in said["grounds"])
    assert all("Could hidden hand-picking explain it?" in page for page in pages)


def test_match_writes_one_row_a_lead_in_the_order_of_the_input(installation, tmp_path, monkeypatch):
    settings, data, _ = installation
    monkeypatch.setenv("LEADMATCH_HOME", str(settings.home))
    leads = pd.read_csv(data / "leads.csv").sample(40, random_state=1)
    leads.to_csv(tmp_path / "new.csv", index=False)
    arguments = ["match", "--data", data, "--leads", tmp_path / "new.csv", "--out", tmp_path / "out.csv", "--json"]
    said = CliRunner().invoke(cli.app, [str(one) for one in arguments])
    assert said.exit_code == 0, said.output
    matched = pd.read_csv(tmp_path / "out.csv")
    assert matched["lead_id"].tolist() == leads["lead_id"].tolist()
    assert list(matched) == [
        "lead_id", "rep_id", "probability", "baseline_probability", "uplift", "uplift_low", "uplift_high",
        "lead_score", "grade", "arm", "propensity", "reason_1", "reason_2", "reason_3", "unassigned_reason",
        "expected_value", "expected_revenue",
    ]  # fmt: skip
    served = matched[matched["rep_id"].notna()]
    assert len(served) == json.loads(said.stdout.splitlines()[-1])["assigned"]
    assert np.allclose(served["probability"] - served["baseline_probability"], served["uplift"], atol=1e-12)
    assert np.allclose(served["probability"] * served["expected_value"], served["expected_revenue"], rtol=1e-12)


def test_match_sets_aside_what_it_cannot_use_and_names_the_columns_that_are_not_there(
    installation, tmp_path, monkeypatch
):
    settings, data, _ = installation
    monkeypatch.setenv("LEADMATCH_HOME", str(settings.home))
    leads = pd.read_csv(data / "leads.csv", dtype=str).head(6).rename(columns={"industry": "indsutry"})
    leads.loc[2, "lead_id"] = leads.loc[0, "lead_id"]
    leads.loc[4, "created_at"] = "soon"
    leads.to_csv(tmp_path / "new.csv", index=False)
    arguments = ["match", "--data", data, "--leads", tmp_path / "new.csv", "--out", tmp_path / "out.csv"]
    for _ in range(2):  # a second run adds nothing to the rejects
        said = CliRunner().invoke(cli.app, [*map(str, arguments), "--json"])
        told = json.loads(said.stdout.splitlines()[-1])
        assert (told["leads"], told["rejected"], told["missing"]) == (4, 2, ["industry"])
        assert told["rejects"] == str(tmp_path / "rejects.csv")
    rejects = pd.read_csv(tmp_path / "rejects.csv")
    assert rejects[["file", "line"]].to_numpy().tolist() == [["new.csv", 4], ["new.csv", 6]]
    assert rejects["reason"].str.contains("duplicate lead_id|created_at").all()
    said = CliRunner().invoke(cli.app, list(map(str, arguments)))
    assert "2 rows of the file cannot be used" in said.stdout
    assert "look at it: industry." in said.stdout


def test_batch_and_http_give_the_same_numbers(installation, desk, tmp_path):
    settings, data, _ = installation
    ledger = Ledger.open(settings.ledger_url)
    model = champion(settings, ledger).model
    ledger.close()
    desk.now = datetime(2026, 7, 1, 3, tzinfo=UTC)
    desk.load(model)
    desk.roster(*[sendable(row) for row in pd.read_csv(data / "reps.csv").to_dict("records")])
    leads = pd.read_csv(data / "leads.csv").head(60)
    leads.to_csv(tmp_path / "new.csv", index=False)
    match(data, tmp_path / "new.csv", tmp_path / "out.csv", settings=settings, at=desk.now, capacity=False)
    matched = pd.read_csv(tmp_path / "out.csv")
    for lead, row in zip(leads.to_dict("records"), matched.to_dict("records"), strict=True):
        body = {"lead": sendable(lead), "rep_ids": [row["rep_id"]]}
        told = desk.call("POST", "/v1/score", body).json()
        (rep,) = told["reps"]
        assert rep["probability"] == pytest.approx(row["probability"], abs=1e-12)
        assert told["baseline_probability"] == pytest.approx(row["baseline_probability"], abs=1e-12)
        for ours, theirs in (("uplift", "value"), ("uplift_low", "low"), ("uplift_high", "high")):
            assert rep["uplift"][theirs] == pytest.approx(row[ours], abs=1e-7)
        assert (told["lead_score"], told["grade"]) == (row["lead_score"], row["grade"])


def test_a_batch_never_exceeds_the_slots_of_a_rep(installation, tmp_path, monkeypatch):
    settings, data, _ = installation
    monkeypatch.setenv("LEADMATCH_HOME", str(settings.home))
    arguments = ["match", "--data", data, "--leads", data / "leads.csv", "--out", tmp_path / "all.parquet"]
    for explore in ("on", "off"):
        said = CliRunner().invoke(cli.app, [str(one) for one in [*arguments, "--explore", explore]])
        assert said.exit_code == 0, said.output
        matched = pd.read_parquet(tmp_path / "all.parquet")
        reps = pd.read_csv(data / "reps.csv").set_index("rep_id")
        slots = reps[["capacity", "daily_limit"]].min(axis=1)
        given = matched["rep_id"].value_counts()
        assert (given <= slots[given.index]).all()
        assert matched["unassigned_reason"].notna().sum() == matched["rep_id"].isna().sum() > 0


def test_a_match_that_cannot_be_written_is_one_line_and_leaves_nothing(installation, tmp_path, monkeypatch):
    settings, data, _ = installation
    monkeypatch.setenv("LEADMATCH_HOME", str(settings.home))
    (tmp_path / "big").mkdir()
    for out, says in (("/proc/e3.csv", "choose another path"), (tmp_path / "big", "name a file")):
        arguments = ["match", "--data", data, "--leads", data / "leads.csv", "--out", out]
        said = CliRunner().invoke(cli.app, [str(one) for one in arguments])
        assert said.exit_code == 2, said.output
        (line,) = said.stderr.splitlines()  # before any step of the work
        assert line.startswith(f"leadmatch: {out}")
        assert says in line
    assert [path.name for path in tmp_path.iterdir()] == ["big"]


def test_two_matches_do_not_write_to_one_file(installation, tmp_path):
    settings, data, _ = installation
    refused = []

    def again(_said):
        with pytest.raises(RefusedError, match="already running"):
            match(data, data / "leads.csv", tmp_path / "out.csv", settings=settings, at=datetime.now(UTC))
        refused.append(True)

    match(data, data / "leads.csv", tmp_path / "out.csv", settings=settings, at=datetime.now(UTC), step=again)
    assert refused
    assert pd.read_csv(tmp_path / "out.csv")["lead_id"].is_unique


def test_a_ledger_without_decisions_adds_nothing(installation):
    from data.dataset import load_dataset

    settings, data, _ = installation
    dataset = load_dataset(data)
    ledger = Ledger.open(settings.ledger_url)
    assert with_ledger(dataset, ledger) is dataset
    ledger.close()


def test_the_ledger_s_later_days_do_not_age_the_history(small_world, floor):
    floor.reps(Rep("R-1"), Rep("R-2"))
    floor.decide("L-now", "R-1", after=60 * 24 * 300)  # months after the history was exported
    alone, joined = prepare(small_world[1]).spells, prepare(with_ledger(small_world[1], floor.ledger)).spells
    assert len(joined) == len(alone)
    assert joined.labels.immature == alone.labels.immature + 1
    assert joined.converted.sum() == alone.converted.sum()


def test_a_second_rollback_goes_further_back(ledger):
    def rise(version, held):
        with ledger.writing() as tx:
            promotions.promote(tx, version=version, digest=version * 8, expected_previous=held, actor="test",
                               grounds={"grounds": ["better"]}, at=datetime(2026, 3, 2, tzinfo=UTC))  # fmt: skip

    def back(settings):
        return models.rollback(settings, ledger, actor="test", at=datetime(2026, 3, 3, tzinfo=UTC))["version"]

    settings = Settings()
    for version, held in (("1", None), ("2", "1"), ("3", "2")):
        rise(version, held)
    with patch.object(models, "Registry"):
        assert [back(settings), back(settings)] == ["2", "1"]
        with pytest.raises(InputError, match="nothing to roll back to"):
            back(settings)


def test_the_present_reps_of_a_data_set_become_the_roster(small_world, ledger, tmp_path):
    world, dataset = small_world
    save_dataset(dataset, tmp_path / "crm")
    made = put_roster(tmp_path / "crm", ledger, actor="test", at=world.exported_at)
    with ledger.reading() as conn:
        assert {rep.rep_id for rep in read_roster(conn).reps} == set(world.rep_ids)
    assert made["reps"] + made["gone"] == len(dataset.reps)


def test_learning_needs_no_registry_and_no_ledger(installation):
    from data.dataset import load_dataset

    trained = learn(load_dataset(installation[1]), seed=0)
    assert trained.model.facts["rows"]["used"] == len(trained.prepared.spells)
    assert trained.model.verdict == trained.potential.verdict


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["check", "--data", "nowhere"], 2, "nowhere"),
        (["train", "--data", "nowhere"], 2, "nowhere"),
        (["import", "nowhere.csv", "--mapping", "salesforce", "--out", "x"], 2, "nowhere.csv"),
        (["import", "nowhere.csv", "--mapping", "sallesforce", "--out", "x"], 2, "salesforce"),
        (["match", "--data", "nowhere", "--leads", "x.csv", "--out", "y.csv"], 2, "train"),
        (["export", "--out", "x"], 2, "no assignment"),
        (["export", "--out", "x", "--since", "yesterday"], 2, "--since"),
        (["keys", "create", "--role", "boss"], 2, "boss"),
        (["keys", "create", "--role", "rep"], 2, "rep"),
        (["keys", "revoke", "nobody"], 2, "nobody"),
        (["model", "show"], 2, "no champion"),
        (["model", "promote", "9"], 2, "9"),
        (["model", "rollback"], 2, "no champion before"),
        (["policy", "check", "nowhere.yaml"], 2, "nowhere.yaml: there is no such file; check the path."),
        (["policy", "check", "."], 2, "cannot be read (Is a directory)"),
        (["policy", "check", "modle.yaml"], 2, "modle.yaml: The rule book cannot be used: line 1: method: "),
        (["check", "--data", "."], 2, "leadmatch: folder: leads, reps, assignments not found"),
        (["hand-over", "R-999", "--why", "x"], 2, "R-999: no such rep"),
        (["match", "--data", ".", "--leads", "x.csv", "--out", "m2.xlsx"], 2, "end in .csv, .csv.gz or .parquet"),
        (["simulate", "--out", "x", "--leads", "0"], 2, "leads"),
    ],
)
def test_wrong_input_is_one_line_and_status_two(arguments, status, says, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "modle.yaml").write_text("method: modle\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "folder")
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path / "home"))
    said = CliRunner().invoke(cli.app, arguments)
    lines = [line for line in said.stderr.splitlines() if line.startswith("leadmatch: ")]
    assert said.exit_code == status
    assert len(lines) == 1
    assert says in lines[0]
    assert "Traceback" not in said.output


@pytest.mark.parametrize(
    ("arguments", "setting", "value", "says"),
    [
        (["model", "list"], "REQUEST_DEADLINE_MS", "abc", "MS: expected a valid integer, came 'abc'; correct it, or"),
        (["demo"], "REQUEST_DEADLINE_MS", "1", "MS: expected greater than or equal to 50, came '1'; correct it, or"),
        (["serve"], "SWEEP_SECONDS", "0", "SECONDS: expected greater than 0, came '0'; correct it, or unset it for"),
        (["keys", "list"], "DATABASE_URL", "postgresql://me:hush", "LEADMATCH_DATABASE_URL is not a database URL"),
        (["keys", "list"], "HOME", "/proc/nope", "/proc/nope cannot be made (No such file or directory): set LEAD"),
        (["demo"], "HOME", "/proc/nope", "/proc/nope cannot be made"),
        (["serve"], "HOME", "/proc/nope", "/proc/nope cannot be made"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(arguments, setting, value, says, tmp_path, monkeypatch):
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(f"LEADMATCH_{setting}", value)
    said = CliRunner().invoke(cli.app, arguments)
    (line,) = said.stderr.splitlines()
    assert said.exit_code == 2
    assert says in line
    assert "hush" not in line


@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize(("port", "says"), [("0", "greater than or equal to 1"), ("70000", "equal to 65535")])
def test_a_port_that_there_is_not_is_refused(command, port, says):
    said = CliRunner().invoke(cli.app, [command, "--port", port])
    assert said.exit_code == 2
    assert "--port: must be" in said.stderr
    assert says in said.stderr


def test_a_key_for_somebody_who_is_not_on_the_roster_says_so(ledger, monkeypatch):
    monkeypatch.setenv("LEADMATCH_DATABASE_URL", ledger.url.render_as_string(hide_password=False))
    create = ["keys", "create", "--role", "rep", "--rep"]
    assert CliRunner().invoke(cli.app, [*create, "R-7"]).stderr == ""  # before there is a roster
    with ledger.writing() as tx:
        put_reps(tx, [Rep("R-1"), Rep("R-2")], actor="test", at=datetime(2026, 3, 2, tzinfo=UTC))
    said = CliRunner().invoke(cli.app, [*create, "R-7"])
    assert said.exit_code == 0
    assert said.stderr.startswith("leadmatch: --rep: 'R-7' is not on the roster yet, which has R-1, R-2;")
    said = CliRunner().invoke(cli.app, [*create, "R-2"])
    assert (said.exit_code, said.stderr) == (0, "")


def test_a_simulated_floor_replaces_a_simulated_one_and_no_other(small_world, tmp_path):
    simulate = ["simulate", "--leads", "300", "--reps", "4", "--out"]
    for _ in range(2):
        assert CliRunner().invoke(cli.app, [*simulate, str(tmp_path / "floor")]).exit_code == 0
    save_dataset(small_world[1], tmp_path / "crm")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "leads.parquet").touch()
    for theirs in ("crm", "bare"):
        said = CliRunner().invoke(cli.app, [*simulate, str(tmp_path / theirs)])
        assert said.exit_code == 2
        assert "holds a data set that was not simulated; choose another folder." in said.stderr


def test_an_empty_home_says_how_to_come_by_a_model(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path))
    assert CliRunner().invoke(cli.app, ["model", "list"]).stdout == "No model yet: leadmatch train --data DIR.\n"


def test_a_database_out_of_reach_is_told_in_whole_sentences(monkeypatch):
    monkeypatch.setenv("LEADMATCH_DATABASE_URL", f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
    said = CliRunner().invoke(cli.app, ["keys", "list"])
    assert said.exit_code == 1
    assert re.search(r"\w\)?\. Try again in 1 s\.$", said.stderr)


def test_every_command_shows_an_example():
    for name in ("simulate", "import", "check", "train", "match", "export", "serve", "doctor"):
        assert f"leadmatch {name}" in CliRunner().invoke(cli.app, [name, "--help"]).stdout.replace("\n", " ")


@pytest.mark.parametrize("ends", [True, False])
def test_a_demo_that_ends_says_how_to_start_its_service_again(ends, capsys):
    uplift = {"value": 0.08, "low": 0.01, "high": 0.15}
    answer = {
        "lead_id": "L-1", "rep_id": "R-001", "rep_name": None, "probability": 0.3, "baseline_probability": 0.22,
        "uplift": uplift, "lead_score": 91, "grade": "A", "reasons": [], "over": None,
    }  # fmt: skip
    made = {"crm": "lm_1", "manager": "lm_2", "manager_link": "a", "rep_link": "b"}
    show([answer], Running(process=None, url="http://127.0.0.1:3001"), made, ends=ends)
    said, again = capsys.readouterr().out, "leadmatch serve --port 3001"
    assert (again in said) == ends
    assert said.find(again) < said.find("Try it:")


def test_a_column_that_its_owner_vouches_for_stays(small_world):
    dataset = small_world[1]
    leads = dataset.leads.assign(last_activity_score=dataset.leads["pages_viewed"])
    for keep, stays in (((), False), (("Last Activity Score",), True)):
        stated = replace(dataset, leads=leads, description=dataset.description.model_copy(update={"keep": keep}))
        names = [column.name for column in prepare(stated).contract.columns]
        assert ("last_activity_score" in names) is stays


def test_refused_rows_are_set_aside_once_however_often_the_data_are_read(small_world, tmp_path):
    save_dataset(small_world[1], tmp_path)
    with (tmp_path / "assignments.csv").open("a", encoding="utf-8") as file:
        file.write("L-nobody,R-001,2026-01-01T00:00:00Z,lost\n")
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    put_roster(tmp_path, ledger, actor="test", at=datetime(2026, 7, 1, tzinfo=UTC))
    ledger.close()
    for _ in range(2):
        assert len(pd.read_csv(tmp_path / "rejects.csv")) == 1
        check(tmp_path)
    rejects = pd.read_csv(tmp_path / "rejects.csv")
    assert len(rejects) == 1
    assert rejects.loc[0, "file"] == "assignments.csv"
    assert rejects.loc[0, "line"] == 3_002
