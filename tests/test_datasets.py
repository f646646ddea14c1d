"""Data sets: a folder, a flat file or frames become three checked tables; nothing gets lost without a reason."""

import gzip
from datetime import UTC, datetime

import pandas as pd
import pytest

from data.dataset import PERSONAL, dataset_from_tables, load_dataset
from data.description import Description
from data.errors import InputError
from data.intake.assignment_table import COLUMNS
from data.intake.moments import days
from data.intake.reading import read_source
from data.personal import is_personal
from data.roster import Rep
from data.schema import check_tables

LEADS = """lead_id,created_at,industry,size,email
L-1,2024-03-01T09:00:00Z,steel,10,a@example.com
L-2,2024-03-02T09:00:00+02:00,paper,20.5,b@example.com
L-3,2024-03-03 09:00,,30,
"""
REPS = """rep_id,name,region,skills,capacity,hired_at,active,grade
R-1,Ann,north,steel; paper,10,2020-01-01,true,senior
R-2,Bo,south,,,,no,
R-3,Cy,,,,,,
"""
ASSIGNMENTS = """lead_id,rep_id,assigned_at,outcome,closed_at,value,assigned_by
L-2,R-2,2024-03-02T10:00:00Z,lost,2024-03-06T10:00:00Z,,rule
L-1,R-1,2024-03-01T10:00:00Z,Won,2024-03-05T22:00:00Z,"1,234.5",Manual
L-3,R-1,2024-03-03T10:00:00Z,,,,
L-1,R-2,2024-03-01T09:30:00Z,open,,,rotation
"""
FLAT = """lead_id,rep_id,created_at,outcome,industry
L-1,R-2,2024-03-01,won,steel
L-2,R-1,2024-03-02,lost,paper
"""


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, leads__csv=LEADS, reps__csv=REPS, assignments__csv=ASSIGNMENTS)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def reasons(dataset) -> list[str]:
    return [reason.split(":")[0] for reason in dataset.rejects["reason"]]


def test_a_folder_without_dataset_yaml_loads(folder):
    dataset = load_dataset(folder)
    assert dataset.dated
    assert dataset.leads["lead_id"].tolist() == ["L-1", "L-2", "L-3"]
    assert dataset.leads["created_at"].tolist() == [
        at("2024-03-01 09:00"),
        at("2024-03-02 07:00"),
        at("2024-03-03 09:00"),
    ]
    assert dataset.leads["industry"].tolist()[:2] == ["steel", "paper"]
    assert pd.isna(dataset.leads["industry"][2])
    assert dataset.rejects.empty
    assert dataset.counts["assignments.csv"] == {"read": 4, "accepted": 4, "rejected": 0}


def test_assignments_come_in_time_order_with_their_spells(folder):
    table = load_dataset(folder).assignments
    assert tuple(table.columns) == COLUMNS
    assert table["lead_id"].tolist() == ["L-1", "L-1", "L-2", "L-3"]
    assert table["spell"].tolist() == [0, 1, 0, 0]
    assert table["last_spell"].tolist() == [False, True, True, True]
    assert table["outcome"].tolist() == ["open", "won", "lost", "open"]
    assert table["assigned_by"].tolist() == ["rotation", "manual", "rule", "unknown"]
    assert table["value"].tolist()[1] == 1234.5
    assert table["at_days"].tolist()[0] == days(pd.Series([at("2024-03-01 09:30")]))[0]


def test_the_roster_holds_typed_records(folder):
    ann, bo, cy = load_dataset(folder).roster()
    assert cy.active  # unless the table says otherwise
    assert ann == Rep(
        "R-1", name="Ann", region="north", skills=("steel", "paper"), capacity=10, active=True,
        hired_at=datetime(2020, 1, 1, tzinfo=UTC), attributes={"grade": "senior"},
    )  # fmt: skip
    assert bo == Rep("R-2", name="Bo", region="south", active=False)


def test_now_is_exported_at_else_the_latest_moment(folder):
    latest = days(pd.Series([at("2024-03-06 10:00")]))[0]
    assert load_dataset(folder).now_days() == latest
    write(folder, dataset__yaml="exported_at: 2024-04-01")
    assert load_dataset(folder).now_days() == days(pd.Series([at("2024-04-01")]))[0]


def test_one_flat_file_is_split_into_three_tables(tmp_path):
    for place in (write(tmp_path, deals__csv=FLAT), tmp_path / "deals.csv"):
        dataset = load_dataset(place)
        assert list(dataset.leads.columns) == ["lead_id", "created_at", "at_days", "industry"]
        assert dataset.reps["rep_id"].tolist() == ["R-1", "R-2"]
        assert dataset.assignments["assigned_at"].tolist() == dataset.leads["created_at"].tolist()
        assert dataset.counts == {"deals.csv": {"read": 2, "accepted": 2, "rejected": 0}}
        assert any("created_at stands for it" in note for note in dataset.notes)


def test_the_columns_of_a_flat_file_that_begin_with_rep_describe_the_rep(tmp_path):
    text = FLAT.replace("industry", "rep_region").replace("steel", "north").replace("paper", "south")
    dataset = load_dataset(write(tmp_path, deals__csv=text))
    assert dataset.reps.to_dict(orient="list") == {"rep_id": ["R-1", "R-2"], "region": ["south", "north"]}
    assert "rep_region" not in dataset.leads


def test_a_lead_that_a_flat_file_assigns_at_two_moments_has_two_spells(tmp_path):
    text = """lead_id,rep_id,created_at,assigned_at,outcome,industry
L-1,R-2,2024-03-01,2024-03-05,won,steel
L-1,R-1,2024-03-01,2024-03-02,lost,iron
L-1,R-1,2024-03-01,2024-03-02,lost,iron
"""
    dataset = load_dataset(write(tmp_path, deals__csv=text))
    assert dataset.assignments["rep_id"].tolist() == ["R-1", "R-2"]
    assert dataset.assignments["spell"].tolist() == [0, 1]
    assert dataset.leads["industry"].tolist() == ["iron"]  # as it was at the first assignment
    assert reasons(dataset) == ["duplicate assignment"]


def test_the_file_formats_read_alike(folder, tmp_path_factory):
    plain = load_dataset(folder)
    other = tmp_path_factory.mktemp("other")
    (other / "leads.csv.gz").write_bytes(gzip.compress(LEADS.encode()))
    (other / "reps.csv").write_bytes(REPS.encode("utf-8-sig"))
    pd.read_csv(folder / "assignments.csv", dtype=str).to_parquet(other / "assignments.parquet")
    for name in ("leads", "reps", "assignments"):
        pd.testing.assert_frame_equal(getattr(load_dataset(other), name), getattr(plain, name))


def test_parquet_keeps_its_types(folder):
    frame = pd.read_csv(folder / "leads.csv")
    frame["lead_id"] = [1, 2, 3]
    frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True, format="ISO8601")
    frame["tags"] = [["a", "b"], [], None]
    frame.to_parquet(folder / "leads.parquet")
    (folder / "leads.csv").unlink()
    write(folder, assignments__csv=ASSIGNMENTS.replace("L-", ""))
    leads = load_dataset(folder).leads
    assert leads["lead_id"].tolist() == ["1", "2", "3"]
    assert leads["size"].dtype == float
    assert leads["tags"].tolist()[0] == "a;b"
    assert leads["tags"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_encodings_are_told_apart(tmp_path, encoding):
    text = "lead_id,created_at,行业\nL-1,2024-03-01,制造业与批发零售\nL-2,2024-03-01,信息技术服务\n"
    (tmp_path / "leads.csv").write_bytes(text.encode(encoding))
    assert read_source(tmp_path / "leads.csv").table["行业"].tolist() == ["制造业与批发零售", "信息技术服务"]


def test_an_encoding_can_be_stated(tmp_path):
    (tmp_path / "leads.csv").write_bytes("lead_id,city\nL-1,Köln\nL-2,Zürich\n".encode("cp1252"))
    with pytest.raises(InputError, match="unknown encoding"):
        read_source(tmp_path / "leads.csv")
    assert read_source(tmp_path / "leads.csv", Description(encoding="cp1252")).table["city"][0] == "Köln"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_told_apart(tmp_path, delimiter):
    rows = [["lead_id", "a b", "c"], ["L-1", '"x, y; z"', "1.5"], ["L-2", "-", ""]]
    (tmp_path / "leads.csv").write_text("\n".join(delimiter.join(row) for row in rows))
    table = read_source(tmp_path / "leads.csv").table
    assert table.columns.tolist() == ["lead_id", "a b", "c"]
    assert table["a b"].tolist() == ["x, y; z", "-"]


def test_dates_in_one_order_prove_it_for_the_whole_file(tmp_path):
    text = FLAT.replace("2024-03-01", "03/04/2024").replace("2024-03-02", "25/03/2024")
    dataset = load_dataset(write(tmp_path, deals__csv=text))
    assert dataset.leads["created_at"].tolist() == [at("2024-04-03"), at("2024-03-25")]
    dataset = load_dataset(write(tmp_path, deals__csv=text.replace("25/03", "03/25")))
    assert dataset.leads["created_at"].tolist() == [at("2024-03-04"), at("2024-03-25")]


def test_a_closing_date_without_a_time_is_never_before_the_assignment_of_that_day(tmp_path):
    text = """lead_id,rep_id,created_at,outcome,closed_at
L-1,R-1,2024-03-01 15:00,won,2024-03-01
L-2,R-1,2024-03-01 15:00,won,2024-02-29
L-3,R-1,2024-03-01 15:00,won,2024-03-01 14:00
"""
    dataset = load_dataset(write(tmp_path, deals__csv=text))
    assert dataset.assignments["closed_at"].tolist() == [at("2024-03-01 15:00")]
    assert reasons(dataset) == ["outcome before assignment"] * 2


def test_the_expected_closing_date_of_an_open_deal_is_no_closing_date(tmp_path):
    text = "lead_id,rep_id,created_at,outcome,closed_at\nL-1,R-1,2024-03-01,open,2024-09-01\n"
    dataset = load_dataset(write(tmp_path, deals__csv=text))
    assert dataset.assignments["closed_at"].isna().all()
    assert any("expected one" in note for note in dataset.notes)


def test_unknown_outcomes_are_counted_and_named(tmp_path):
    text = FLAT + "".join(f"L-{i},R-1,2024-03-03,Paused,x\n" for i in range(3, 6))
    dataset = load_dataset(write(tmp_path, deals__csv=text))
    assert any("'Paused' in outcome (3 rows)" in note for note in dataset.notes)
    assert len(dataset.assignments) == 2


def test_columns_of_assignments_are_no_attributes_of_leads(folder):
    write(folder, leads__csv=LEADS.replace("industry", "outcome"))
    dataset = load_dataset(folder)
    assert "outcome" not in dataset.leads
    assert any("belong to the assignments" in note for note in dataset.notes)


def test_personal_columns_are_known_by_name_and_by_content(tmp_path):
    text = FLAT.replace("industry", "E-Mail,reach,Do Not Email").replace("steel", "a@b.example,a@b.example,No")
    dataset = load_dataset(write(tmp_path, deals__csv=text.replace("paper", "c@d.example,13800138000,Yes")))
    assert dataset.personal_columns == ("email", "reach")
    assert {"name", "email", "phone", "company"} == PERSONAL


@pytest.mark.parametrize(
    "column", ["First Name", "mobile", "Company Name", "work_email", "联系电话", "Contact Phone", "姓名"]
)
def test_names_of_personal_columns(column):
    assert is_personal(column)


@pytest.mark.parametrize(
    "column", ["company_size", "HasOptedOutOfEmail", "email_opens", "campaign_name", "contact", "industry"]
)
def test_names_of_other_columns(column):
    assert not is_personal(column)


def test_one_rep_is_enough_to_load(tmp_path):
    assert len(load_dataset(write(tmp_path, deals__csv=FLAT.replace("R-2", "R-1"))).reps) == 1


def test_frames_become_a_data_set(folder):
    from_files = load_dataset(folder)
    frames = [pd.read_csv(folder / f"{name}.csv") for name in ("leads", "reps", "assignments")]
    frames[0]["created_at"] = pd.to_datetime(frames[0]["created_at"], utc=True, format="ISO8601")
    frames[2]["assigned_by"] = frames[2]["assigned_by"].astype("category")
    frames[1]["capacity"] = frames[1]["capacity"].astype("Int64")
    from_frames = dataset_from_tables(*frames)
    pd.testing.assert_frame_equal(from_frames.assignments, from_files.assignments)
    assert from_frames.roster() == from_files.roster()


def test_a_table_out_of_shape_is_named_without_its_values(folder):
    dataset = load_dataset(folder)
    bad = dataset.assignments.assign(propensity=7.5)
    with pytest.raises(ValueError, match=r"assignments .*propensity: less_than_or_equal_to\(1\)") as caught:
        check_tables(dataset.leads, dataset.reps, bad)
    assert "7.5" not in str(caught.value)
    with pytest.raises(ValueError, match="1 assignments name an id that is not in leads"):
        check_tables(dataset.leads[1:2].assign(lead_id="L-1"), dataset.reps, dataset.assignments[1:3])
