"""Mappings: an export of each CRM, by its API names or its labels, becomes the same data set."""

import json
from pathlib import Path

import pandas as pd
import pytest

from data.dataset import load_dataset
from data.errors import InputError
from data.mapping import find_mapping, ready_mappings
from pipelines.ingest import ingest

CRMS = ["salesforce", "hubspot", "zoho", "pipedrive", "odoo", "dynamics-365", "chinese-crm", "frappe-crm", "espocrm"]
PUBLIC = ["maven-crm", "win-prediction", "x-education", "bank-marketing", "hillstrom", "open-bandit"]
FOLDER = Path(__file__).parent / "exports"
PEOPLE = ("Zelda", "Quux", "zelda@secret.example", "13800138000", "Umbra")

# An export of each CRM, in two spellings where it has two: three leads, won or qualified, lost and open, in that order.
EXPORTS = {file.name.removesuffix(".csv"): file.read_text() for file in sorted(FOLDER.glob("*.csv"))}
FIRST = dict.fromkeys(("hubspot", "pipedrive", "odoo", "chinese-crm"), "won")
CASES = [pytest.param(name.split(".")[0], text, id=name) for name, text in EXPORTS.items()]


def read(tmp_path, mapping, text, file="export.csv", **others):
    """The data set that an import writes, and the report that it gives."""
    (tmp_path / file).write_text(text, encoding="utf-8")
    for name, content in others.items():
        (tmp_path / f"{name}.csv").write_text(content, encoding="utf-8")
    files = [tmp_path / file, *(tmp_path / f"{name}.csv" for name in others)]
    report = ingest(files, mapping, tmp_path / "out")
    return load_dataset(tmp_path / "out"), report


def test_there_is_a_mapping_for_each_crm_and_each_public_set():
    assert set(ready_mappings()) == {*CRMS, *PUBLIC}


@pytest.mark.parametrize(("mapping", "text"), CASES)
def test_an_export_becomes_leads_reps_and_outcomes(tmp_path, mapping, text):
    dataset, report = read(tmp_path, mapping, text)
    assert dataset.assignments["outcome"].tolist() == [FIRST.get(mapping, "qualified"), "lost", "open"]
    owners = dataset.assignments["rep_id"].tolist()
    assert owners[0] == owners[2] != owners[1]
    assert len(dataset.reps) == 2
    assert dataset.leads["created_at"].dt.hour.isin([8, 9, 1]).all()
    counts = report.files["export.csv"]
    assert counts["read"] == counts["accepted"] + counts["rejected"] == text.strip().count("\n")
    assert counts["accepted"] == 3


@pytest.mark.parametrize(("mapping", "text"), CASES)
def test_personal_cells_stand_only_in_personal_columns(tmp_path, mapping, text):
    dataset, report = read(tmp_path, mapping, text)
    kept_apart = {*dataset.personal_columns, *dataset.description.post_assignment}
    features = dataset.leads.drop(columns=[c for c in dataset.leads.columns if c in kept_apart])
    shown = features.to_csv() + json.dumps(report.as_dict(), ensure_ascii=False) + dataset.rejects.to_csv()
    assert not [person for person in PEOPLE if person in shown]
    assert {"company", "name"} & set(dataset.personal_columns)


@pytest.mark.parametrize(("mapping", "text"), CASES)
def test_nothing_that_tells_the_owner_or_the_outcome_is_an_attribute(tmp_path, mapping, text):
    dataset, _ = read(tmp_path, mapping, text)
    attributes = dataset.leads.drop(columns=[*dataset.personal_columns, "lead_id", "created_at", "at_days"])
    attributes = attributes.drop(columns=[c for c in dataset.description.post_assignment if c in attributes])
    names = " ".join(attributes.columns).casefold()
    telling = (
        "owner",
        "status",
        "convert",
        "won",
        "lost",
        "负责",
        "状态",
        "成交",
        "跟进",
        "modified",
        "activity",
        "rating",
    )
    assert not [word for word in telling if word in names], names
    for column in attributes:
        assert not set(attributes[column].dropna()) & {"Ann", "Bo", "61", "901", "005A", "张三"}, column


@pytest.mark.parametrize("mapping", CRMS)
def test_every_crm_mapping_warns_that_only_the_last_owner_is_known(mapping):
    assert any("whoever closed them" in note for note in find_mapping(mapping).notes)


def test_the_chinese_mapping_says_that_it_is_unverified(tmp_path):
    _, report = read(tmp_path, "chinese-crm", EXPORTS["chinese-crm.one"])
    assert any("unverified" in note for note in report.notes)


def test_a_chinese_export_in_gb18030_reads_alike(tmp_path):
    (tmp_path / "a").mkdir()
    dataset, _ = read(tmp_path / "a", "chinese-crm", EXPORTS["chinese-crm.one"])
    (tmp_path / "线索.csv").write_bytes(EXPORTS["chinese-crm.one"].encode("gb18030"))
    ingest([tmp_path / "线索.csv"], "chinese-crm", tmp_path / "b")
    pd.testing.assert_frame_equal(load_dataset(tmp_path / "b").leads, dataset.leads)
    assert dataset.assignments["assigned_by"].tolist() == ["rule", "claim", "manual"]
    assert dataset.reps["team"].tolist() == ["华东", "华南"]
    # Nine in the morning in Shanghai.
    assert dataset.leads["created_at"][0] == pd.Timestamp("2024-03-01 01:00", tz="UTC")


def test_a_queue_that_owns_a_lead_is_no_rep(tmp_path):
    dataset, report = read(tmp_path, "salesforce", EXPORTS["salesforce.api"])
    assert report.rejected == {"owner is a queue": 1}
    rejects = pd.read_csv(tmp_path / "out" / "rejects.csv")
    assert rejects.to_dict(orient="records") == [
        {"file": "export.csv", "line": 5, "reason": "owner is a queue: 00G1 is no rep"}
    ]
    assert "00G1" not in dataset.reps["rep_id"].tolist()


def test_a_queue_among_hubspots_owners_is_no_rep(tmp_path):
    owners = "id,email,firstName,lastName,type\n61,x@y.example,Ann,A,PERSON\n62,z@y.example,Q,Q,QUEUE\n"
    dataset, report = read(tmp_path, "hubspot", EXPORTS["hubspot.api"], file="contacts.csv", owners=owners)
    assert dataset.reps["rep_id"].tolist() == ["61"]
    assert "email" not in dataset.reps
    assert report.rejected == {"owner is a queue": 2}
    assert dataset.assignments["lead_id"].tolist() == ["1", "3"]


def test_users_in_a_file_of_their_own_make_the_roster(tmp_path):
    users = "Id,Name,Email,IsActive,TimeZoneSidKey,UserRole.Name\n005A,Ann,a@b.example,true,Europe/Berlin,North\n"
    users += "005B,Bo,b@b.example,false,GMT-5,South\n005C,Cy,c@b.example,true,Asia/Shanghai,South\n"
    dataset, report = read(tmp_path, "salesforce", EXPORTS["salesforce.api"], file="leads.csv", users=users)
    ann, bo, cy = dataset.roster()
    assert (ann.name, ann.team, ann.time_zone, ann.active) == ("Ann", "North", "Europe/Berlin", True)
    assert (bo.time_zone, bo.active) == ("UTC", False)
    assert cy.rep_id == "005C"  # without a lead, yet on the roster
    assert any("1 reps have a time_zone" in note for note in report.notes)


def test_converted_is_not_won(tmp_path):
    lead_only = find_mapping("salesforce")
    assert lead_only.target == "qualified"
    text = """Id,OwnerId,CreatedDate,IsConverted,ConvertedDate,StageName,CloseDate,Amount
1,005A,2024-03-01T09:00:00Z,true,2024-03-02,Closed Won,2024-03-09,100
2,005A,2024-03-01T09:00:00Z,true,2024-03-02,Closed Lost,2024-03-08,50
3,005A,2024-03-01T09:00:00Z,true,2024-03-02,Prospecting,2024-09-01,70
4,005A,2024-03-01T09:00:00Z,false,,,,
"""
    dataset, _ = read(tmp_path, "salesforce", text)
    table = dataset.assignments.set_index("lead_id")
    assert table["outcome"].to_dict() == {"1": "won", "2": "lost", "3": "qualified", "4": "open"}
    assert table["value"]["1"] == 100


def test_a_converted_lead_of_the_same_day_is_no_outcome_before_its_assignment(tmp_path):
    dataset, _ = read(tmp_path, "salesforce", EXPORTS["salesforce.api"])
    first = dataset.assignments.iloc[0]
    assert first["closed_at"] == first["assigned_at"]


def test_columns_that_the_mapping_does_not_name_are_reported_and_kept(tmp_path):
    text = EXPORTS["espocrm.api"].replace("industry", "Favourite Colour")
    dataset, report = read(tmp_path, "espocrm", text)
    assert report.not_recognised == ["Favourite Colour"]
    assert "Favourite Colour" in dataset.leads
    assert report.recognised["lead_id"] == ["id"]


def test_values_that_stand_for_open_by_default_are_reported(tmp_path):
    _, report = read(tmp_path, "salesforce", EXPORTS["salesforce.api"])
    assert any("Status read as open" in note and "'Nurturing' (1)" in note for note in report.notes)


def test_a_mapping_of_ones_own_extends_a_ready_one(tmp_path):
    own = tmp_path / "ours.yaml"
    own.write_text(
        'extends: pipedrive\ncolumns: {rep_id: "Obchod - Vlastník"}\noutcomes: {vyhráno: won, ztraceno: lost}\n'
    )
    text = EXPORTS["pipedrive.labels"].replace("Deal - Owner", "Obchod - Vlastník")
    text = text.replace(",Won,", ",Vyhráno,").replace(",Lost,", ",ztraceno,")
    dataset, _ = read(tmp_path, own, text)
    assert dataset.assignments["outcome"].tolist() == ["won", "lost", "open"]
    assert "Deal - Stage" in dataset.description.post_assignment


def test_mappings_in_a_ring_are_refused(tmp_path):
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.yaml").write_text(f"extends: {other}.yaml\n")
    with pytest.raises(InputError, match="in a ring"):
        find_mapping(tmp_path / "a.yaml")


@pytest.mark.parametrize("written", ["Salesforce", "dynamics365", "maven crm"])
def test_a_mappings_name_may_be_written_loosely(written):
    assert find_mapping(written).name


def test_an_unknown_mapping_is_one_line_with_the_nearest_name():
    with pytest.raises(InputError, match=r"^hubspt: no such mapping, did you mean hubspot\?$"):
        find_mapping("hubspt")


def test_an_import_never_writes_over_what_it_reads(tmp_path):
    (tmp_path / "leads.csv").write_text(EXPORTS["espocrm.api"])
    with pytest.raises(InputError, match=r"leads\.csv: lies in the folder to be written"):
        ingest([tmp_path / "leads.csv"], "espocrm", tmp_path)


def test_the_report_is_plain_values(tmp_path):
    _, report = read(tmp_path, "zoho", EXPORTS["zoho.labels"])
    said = json.loads(json.dumps(report.as_dict()))
    assert said["tables"] == {"leads": 3, "reps": 2, "assignments": 3}
    assert said["outcomes"] == {"qualified": 1, "lost": 1, "open": 1}


def test_a_file_of_something_else_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"no column lead_id \(looked for Id, Lead ID.*'lead_id: YOUR COLUMN'"):
        read(tmp_path, "salesforce", "account,industry\nx,y\n")


def test_a_column_that_is_not_there_is_told_with_the_header_as_it_is(tmp_path):
    with pytest.raises(InputError, match=r"no column lead_id.*its columns are key, name, emailAddress, phoneNumber, a"):
        read(tmp_path, "espocrm", EXPORTS["espocrm.api"].replace("id,", "key,", 1))
