"""Public data sets, where they lie beside the repository (they are never part of it): rows and figures as published."""

from pathlib import Path

import pandas as pd
import pytest

from data.dataset import load_dataset, load_files
from data.mapping import find_mapping
from pipelines.ingest import ingest

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the public data sets are not here")

MAVEN = ["sales_pipeline.csv", "accounts.csv", "products.csv", "sales_teams.csv"]
FILES = {
    "maven-crm": [f"maven-crm/{name}" for name in MAVEN],
    "win-prediction": ["win-prediction/deals_2011-2016.csv"],
    "x-education": ["xeducation-leads/Leads.csv"],
    "bank-marketing": ["bank-marketing/bank-full.csv.gz"],
    "hillstrom": ["hillstrom/hillstrom_even.csv"],
    "open-bandit": ["open-bandit-small/random_men.csv.gz", "open-bandit-small/item_context_men.csv"],
}
OUTCOMES = {
    "maven-crm": {"won": 4_238, "lost": 2_473, "open": 1_589},
    "win-prediction": {"won": 2_152, "lost": 3_807},
    "x-education": {"won": 3_561, "lost": 5_679},
    "bank-marketing": {"won": 5_289, "lost": 39_922},
    "hillstrom": {"won": 4_648, "lost": 27_352},
    "open-bandit": {"won": 46, "lost": 9_954},
}
REPS = {"maven-crm": 35, "win-prediction": 24, "x-education": 0, "bank-marketing": 0, "hillstrom": 3, "open-bandit": 34}


@pytest.fixture(scope="module")
def loaded():
    """Each set as its mapping reads it."""
    return {name: load_files([SHARED / file for file in files], find_mapping(name)) for name, files in FILES.items()}


@pytest.mark.parametrize("name", FILES)
def test_rows_add_up_and_outcomes_are_those_published(loaded, name):
    dataset = loaded[name]
    assert dataset.assignments["outcome"].value_counts().to_dict() == OUTCOMES[name]
    assert len(dataset.roster()) == REPS[name]
    for counts in dataset.counts.values():
        assert counts["read"] == counts["accepted"] + counts["rejected"]
    main = Path(FILES[name][0]).name
    assert dataset.counts[main]["accepted"] == len(dataset.assignments) == len(dataset.leads)
    assert dataset.counts[main]["rejected"] == len(dataset.rejects)


@pytest.mark.parametrize("name", FILES)
def test_what_an_import_writes_is_what_was_read(loaded, name, tmp_path):
    ingest([SHARED / file for file in FILES[name]], name, tmp_path / "out")
    again = load_dataset(tmp_path / "out")
    for table in ("leads", "reps", "assignments"):
        left, right = getattr(again, table), getattr(loaded[name], table)
        if table == "leads":  # an undated set is written in the order that stands for time
            right = right.sort_values("at_days", kind="stable", ignore_index=True) if not again.dated else right
        pd.testing.assert_frame_equal(left, right)


def test_maven_sets_aside_the_deals_that_were_never_engaged(loaded):
    rejects = loaded["maven-crm"].rejects
    assert set(rejects["reason"]) == {"no created_at: engage_date is empty"}
    assert len(rejects) == 500
    raw = (SHARED / "maven-crm" / "sales_pipeline.csv").read_text().splitlines()
    assert all("Prospecting,," in raw[line - 1] for line in rejects["line"])


def test_maven_keeps_the_deals_without_an_account(loaded):
    dataset = loaded["maven-crm"]
    raw = pd.read_csv(SHARED / "maven-crm" / "sales_pipeline.csv")
    assert raw["account"].isna().sum() == 1_425
    kept = raw["account"].isna() & raw["engage_date"].notna()
    assert dataset.leads["company"].isna().sum() == kept.sum() == dataset.leads["industry"].isna().sum()
    assert dataset.leads["product_series"].notna().all()


def test_maven_says_which_product_is_not_in_the_price_list():
    mapping = find_mapping("maven-crm").model_copy(update={"values": {}})
    dataset = load_files([SHARED / file for file in FILES["maven-crm"]], mapping)
    assert any("'GTXPro' (1,480), nearest 'GTX Pro'" in note for note in dataset.notes)
    assert dataset.leads["product_series"].isna().sum() > 0
    assert "technolgy" in set(dataset.leads["industry"])


def test_maven_keeps_closing_date_and_value_out_of_the_leads(loaded):
    dataset = loaded["maven-crm"]
    assert not {"close_date", "close_value", "closed_at", "value", "deal_stage", "sales_agent"} & set(dataset.leads)
    won = dataset.assignments[dataset.assignments["outcome"] == "won"]
    raw = pd.read_csv(SHARED / "maven-crm" / "sales_pipeline.csv")
    assert won["value"].sum() == raw.loc[raw["deal_stage"] == "Won", "close_value"].sum()
    assert dataset.personal_columns == ("company", "subsidiary_of")


def test_maven_alone_without_its_further_files_says_what_is_absent():
    dataset = load_files([SHARED / FILES["maven-crm"][0]], find_mapping("maven-crm"))
    assert len(dataset.reps) == 30  # those with deals that were engaged
    assert any("accounts.csv, products.csv: not given" in note for note in dataset.notes)


def test_the_manager_of_a_bid_can_be_its_rep(tmp_path):
    own = tmp_path / "managers.yaml"
    own.write_text("extends: win-prediction\ncolumns: {rep_id: Manager}\n")
    dataset = load_files([SHARED / FILES["win-prediction"][0]], find_mapping(own))
    assert len(dataset.reps) == 184
    assert "VP" in dataset.leads
    assert "manager" not in dataset.leads


def test_bids_are_dated_by_their_day_and_month(loaded):
    dataset = loaded["win-prediction"]
    assert dataset.dated
    created = dataset.leads["created_at"]
    assert (created.min(), created.max()) == (
        pd.Timestamp("2011-04-19", tz="UTC"),
        pd.Timestamp("2016-12-31", tz="UTC"),
    )
    assert "manager" in dataset.leads
    assert (dataset.leads["deal_cost"].astype(float) == 0).sum() == 245


def test_x_education_goes_by_lead_number_and_reads_select_as_missing(loaded):
    dataset = loaded["x-education"]
    raw = pd.read_csv(SHARED / "xeducation-leads" / "Leads.csv").sort_values("Lead Number")
    assert dataset.assignments["lead_id"].tolist() == raw["Prospect ID"].tolist()
    assert not (dataset.leads == "Select").any().any()
    assert "Tags" in dataset.leads  # to be found by the leakage guard, not by the mapping
    assert all("Asymmetrique" in column for column in dataset.description.post_assignment)


def test_bank_calls_stay_in_the_order_of_the_file(loaded):
    dataset = loaded["bank-marketing"]
    assert dataset.leads["at_days"].tolist() == list(range(45_211))
    assert "Cust_num" not in dataset.leads
    assert dataset.description.post_assignment == ("duration",)


def test_hillstrom_arms_were_given_with_a_third_each(loaded):
    table = loaded["hillstrom"].assignments
    assert set(table["propensity"]) == {1 / 3}
    assert set(table["assigned_by"]) == {"rotation"}
    visits = (table["outcome"] == "won").groupby(table["rep_id"]).mean().round(3).to_dict()
    assert visits == {"Mens E-Mail": 0.182, "No E-Mail": 0.104, "Womens E-Mail": 0.15}


def test_the_open_bandits_random_log_gave_each_item_the_same_chance(loaded):
    table = loaded["open-bandit"].assignments
    assert table["propensity"].to_numpy() == pytest.approx(1 / 34)
    assert not any("affinity" in column for column in loaded["open-bandit"].leads)
