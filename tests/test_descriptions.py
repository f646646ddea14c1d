"""dataset.yaml: each key does what it says."""

import numpy as np
import pandas as pd

from data.dataset import load_dataset, load_files, save_dataset
from data.description import Description

FLAT = """lead_id,rep_id,created_at,outcome,industry
L-1,R-2,2024-03-01,won,steel
L-2,R-1,2024-03-02,lost,paper
"""


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def reasons(dataset) -> list[str]:
    return [reason.split(":")[0] for reason in dataset.rejects["reason"]]


def test_dataset_yaml_renames_files_columns_and_outcomes(tmp_path):
    write(
        tmp_path,
        kunden__csv="Nr;Angelegt am;Branche\n1;01.03.2024 10:00;Stahl\n2;13.03.2024;Papier\n",
        team__csv="Kürzel;Gebiet\nan;Nord\n",
        vergabe__csv="Nr;Kürzel;Am;Stand;Umsatz\n1;an;02.03.2024;Gewonnen;1.234,50\n2;an;14.03.2024;Offen;\n",
        dataset__yaml="""
files: {leads: kunden.csv, reps: team.csv, assignments: vergabe.csv}
delimiter: semicolon
decimal: ","
time_zone: Europe/Berlin
columns:
  lead_id: Nr
  created_at: Angelegt am
  industry: [Sparte, Branche]
  rep_id: [kürzel]
  assigned_at: Am
  outcome: Stand
  value: Umsatz
  reps: {rep_id: Kürzel, region: Gebiet}
outcomes: {gewonnen: won, Offen: open}
target: won
window: 60
types: {Branche: category}
""",
    )
    dataset = load_dataset(tmp_path)
    assert dataset.leads["created_at"].tolist() == [at("2024-03-01 09:00"), at("2024-03-12 23:00")]
    assert dataset.leads["industry"].tolist() == ["Stahl", "Papier"]
    assert dataset.reps["region"].tolist() == ["Nord"]
    assert dataset.assignments["value"].tolist()[0] == 1234.5
    assert dataset.assignments["outcome"].tolist() == ["won", "open"]
    assert dataset.description.window == 60
    assert dataset.description.types == {"industry": "category"}


def test_without_dates_an_order_stands_for_time(tmp_path):
    text = "number,lead_id,rep_id,outcome\n30,A,R-1,won\n4,B,R-1,lost\n,C,R-1,lost\n100,D,R-2,won\n"
    write(tmp_path, deals__csv=text, dataset__yaml="order_by: Number\noutcome_is_final: true")
    dataset = load_dataset(tmp_path)
    assert not dataset.dated
    assert dataset.leads.set_index("lead_id")["at_days"].to_dict() == {"A": 1, "B": 0, "D": 2}
    assert dataset.assignments["lead_id"].tolist() == ["B", "A", "D"]
    assert dataset.assignments["assigned_at"].isna().all()
    assert "number" not in dataset.leads
    assert reasons(dataset) == ["no Number"]
    write(tmp_path, dataset__yaml="order_by: file")
    assert load_dataset(tmp_path).assignments["lead_id"].tolist() == ["A", "B", "C", "D"]


def test_a_folder_without_dates_goes_by_the_order_of_its_leads(tmp_path):
    write(
        tmp_path,
        leads__csv="lead_id,industry\nB,x\nA,y\n",
        reps__csv="rep_id\nR-1\n",
        assignments__csv="lead_id,rep_id,outcome\nA,R-1,won\nB,R-1,lost\n",
        dataset__yaml="order_by: file",
    )
    dataset = load_dataset(tmp_path)
    assert dataset.assignments["lead_id"].tolist() == ["B", "A"]
    assert dataset.now_days() == 1


def test_data_without_reps_are_the_lead_part_alone(tmp_path):
    write(tmp_path, deals__csv="lead_id,outcome,x\n1,won,a\n2,lost,b\n", dataset__yaml="reps: none\norder_by: file")
    dataset = load_dataset(tmp_path)
    assert dataset.roster() == ()
    assert not dataset.has_reps
    assert dataset.assignments["rep_id"].isna().all()
    save_dataset(dataset, tmp_path / "saved")
    assert not (tmp_path / "saved" / "reps.csv").exists()
    assert load_dataset(tmp_path / "saved").roster() == ()


def test_stated_date_formats_are_the_only_ones(tmp_path):
    write(tmp_path, deals__csv=FLAT.replace("2024-03-02", "05|2024|03"), dataset__yaml="date_formats: '%d|%Y|%m'")
    dataset = load_dataset(tmp_path)
    assert dataset.leads["created_at"].tolist() == [at("2024-03-05")]
    assert reasons(dataset) == ["unreadable date"]


def test_a_column_of_several_may_tell_the_outcome(tmp_path):
    told = ["TRUE,x", "false,Dead", ",x", "?,Dead"]
    rows = "".join(f"{i},R,2024-03-01,{each}\n" for i, each in enumerate(told))
    text = f"lead_id,rep_id,created_at,IsWon,Status\n{rows}"
    write(
        tmp_path,
        deals__csv=text,
        dataset__yaml="outcome_from:\n- {column: [Is Won], values: {true: won, false: open}}\n"
        '- {column: Status, values: {dead: lost, "*": open}}\n',
    )
    dataset = load_dataset(tmp_path)
    assert dataset.assignments["outcome"].tolist() == ["won", "lost", "open", "lost"]
    assert not {"IsWon", "Status"} & set(dataset.leads.columns)


def test_texts_that_mean_missing_are_missing(tmp_path):
    write(
        tmp_path, deals__csv=FLAT.replace("steel", "Select").replace("paper", "NULL"), dataset__yaml="missing: [Select]"
    )
    assert load_dataset(tmp_path).leads["industry"].isna().all()


def test_constants_fill_columns_that_are_not_there(tmp_path):
    write(tmp_path, deals__csv=FLAT, dataset__yaml="constants: {propensity: 0.5, assigned_by: rotation}")
    table = load_dataset(tmp_path).assignments
    assert table["propensity"].tolist() == [0.5, 0.5]
    assert table["assigned_by"].tolist() == ["rotation"] * 2


def test_dropped_columns_are_gone_and_later_ones_stay_named(tmp_path):
    write(
        tmp_path, deals__csv=FLAT.replace("industry", "Last Activity"), dataset__yaml="post_assignment: last_activity"
    )
    dataset = load_dataset(tmp_path)
    assert "Last Activity" in dataset.leads
    write(tmp_path, dataset__yaml="drop: last_activity")
    assert "Last Activity" not in load_dataset(tmp_path).leads


def test_what_the_owner_says_of_a_column_follows_its_new_name(tmp_path):
    write(
        tmp_path,
        deals__csv=FLAT.replace("industry", "Last Activity"),
        dataset__yaml="columns: {activity: Last Activity}\npost_assignment: Last Activity\n"
        "types: {Last Activity: category}\n",
    )
    description = load_dataset(tmp_path).description
    assert description.post_assignment == ("activity",)
    assert description.types == {"activity": "category"}


def test_attributes_of_stated_type_are_read_with_the_files_own_signs(tmp_path):
    text = FLAT.replace(",", ";").replace("industry", "budget;due")
    text = text.replace("steel", "1.234,5;13.3.2024").replace("paper", "viel;bald")
    write(tmp_path, deals__csv=text, dataset__yaml="decimal: ','\ntypes: {budget: number, due: date}")
    dataset = load_dataset(tmp_path)
    assert dataset.leads["budget"].tolist()[0] == 1234.5
    assert dataset.leads["due"].tolist()[0] == at("2024-03-13")
    assert np.isnan(dataset.leads["budget"].tolist()[1])
    assert any("1 values of budget" in note for note in dataset.notes)


def test_a_file_given_beside_a_description_is_read_with_it(tmp_path):
    write(tmp_path, deals__csv=FLAT.replace("won", "Yes"), dataset__yaml="outcomes: {Yes: won}")
    assert load_dataset(tmp_path / "deals.csv").assignments["outcome"].tolist() == ["won", "lost"]


def test_a_lookup_joins_by_key_and_reports_keys_that_are_not_there(tmp_path):
    deals = FLAT.replace("industry", "product").replace("steel", "GTXPro").replace("paper", "MG")
    write(tmp_path, deals__csv=deals, products__csv="product,price\nGTX Pro,10\nMG,20\nMG,30\n")
    description = Description.model_validate(
        {"lookups": {"products.csv": {"key": "product"}}, "files": {"flat": "deals*"}}
    )
    dataset = load_files([tmp_path / "deals.csv", tmp_path / "products.csv"], description)
    assert dataset.leads["price"].tolist()[1] == "20"
    assert any("nearest 'GTX Pro': values: {product: {GTXPro: GTX Pro}}" in note for note in dataset.notes)
    assert dataset.counts["products.csv"] == {"read": 3, "accepted": 2, "rejected": 1}
    mended = description.model_copy(update={"values": {"product": {"GTXPro": "GTX Pro"}}})
    dataset = load_files([tmp_path / "deals.csv", tmp_path / "products.csv"], mended)
    assert dataset.leads["price"].tolist() == ["10", "20"]


def test_a_lookup_by_company_never_says_which(tmp_path):
    deals = FLAT.replace("industry", "account").replace("steel", "Umbra").replace("paper", "Cancity")
    write(tmp_path, deals__csv=deals, accounts__csv="account,sector\nUmbrra,x\nCancity,y\nCancity,y\n")
    description = Description.model_validate(
        {"columns": {"company": "account"}, "lookups": {"accounts.csv": {"key": "account"}}}
    )
    dataset = load_files([tmp_path / "deals.csv", tmp_path / "accounts.csv"], description)
    said = " ".join([*dataset.notes, *dataset.rejects["reason"]])
    assert "1 rows have a company that is not in accounts.csv" in said
    assert not any(name in said for name in ("Umbra", "Umbrra", "Cancity"))


def test_a_second_column_of_the_owner_is_no_attribute(tmp_path):
    text = "lead_id,Owner,Owner Id,created_at,outcome\nL-1,Ann,7,2024-03-01,won\nL-2,Bo,8,2024-03-01,won\n"
    write(tmp_path, deals__csv=text, dataset__yaml="columns: {rep_id: [Owner Id, Owner]}")
    dataset = load_dataset(tmp_path)
    assert dataset.assignments["rep_id"].tolist() == ["7", "8"]
    assert list(dataset.leads.columns) == ["lead_id", "created_at", "at_days"]


def test_a_file_that_fits_two_patterns_holds_reps_first(tmp_path):
    write(tmp_path, deals__csv=FLAT, deals_team__csv="rep_id,region\nR-1,north\nR-2,south\n")
    description = Description.model_validate({"files": {"flat": "deals*", "reps": "*team*"}})
    dataset = load_files([tmp_path / "deals.csv", tmp_path / "deals_team.csv"], description)
    assert dataset.reps["region"].tolist() == ["north", "south"]
