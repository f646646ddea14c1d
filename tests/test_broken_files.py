"""Broken files: each is refused in one line that names the file and says what to do, or its row is set aside."""

import gzip
from dataclasses import dataclass

import pandas as pd
import pytest

from data.dataset import load_dataset, load_files
from data.description import Description
from data.errors import InputError

SECRETS = ("Zelda", "Quux", "zelda@secret.example", "13800138000", "Umbra")
LEADS = """lead_id,created_at,industry,name,email,phone,company
L-1,2024-03-01T09:00:00Z,steel,Zelda Quux,zelda@secret.example,13800138000,Umbra Ltd
L-2,2024-03-02T09:00:00Z,paper,Zelda Quux,zelda@secret.example,13800138000,Umbra Ltd
L-3,2024-03-03T09:00:00Z,steel,Zelda Quux,zelda@secret.example,13800138000,Umbra Ltd
"""
REPS = """rep_id,name,region,capacity,hired_at
R-1,Ann,north,10,2020-01-01
R-2,Bo,south,,2021-01-01
"""
ASSIGNMENTS = """lead_id,rep_id,assigned_at,outcome,closed_at,value,propensity
L-1,R-1,2024-03-01T10:00:00Z,won,2024-03-05T10:00:00Z,100,0.5
L-2,R-2,2024-03-02T10:00:00Z,lost,2024-03-06T10:00:00Z,,0.5
L-3,R-1,2024-03-03T10:00:00Z,open,,,0.5
"""


@dataclass
class Broken:
    """One way to break the good folder: files to put in place of its own (None: take away), and what must be said."""

    files: dict[str, str | bytes | None]
    said: list[str]
    line: int = 0  # of the row set aside
    reason: str = ""
    kept: int = 2  # assignments that remain beside a refused row


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def leads(old: str, new: str) -> dict[str, str]:
    return {"leads.csv": replaced(LEADS, old, new)}


def reps(old: str, new: str) -> dict[str, str]:
    return {"reps.csv": replaced(REPS, old, new)}


def assignments(old: str, new: str) -> dict[str, str]:
    return {"assignments.csv": replaced(ASSIGNMENTS, old, new)}


def build(folder, files):
    for name, content in {"leads.csv": LEADS, "reps.csv": REPS, "assignments.csv": ASSIGNMENTS, **files}.items():
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (folder / name).write_bytes(data)
    return folder


def silent_about_people(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


def parquet_bytes(folder):
    pd.read_csv(folder / "leads.csv").to_parquet(folder / "whole.parquet")
    return (folder / "whole.parquet").read_bytes()


WIDE = "lead_id,created_at," + ",".join(f"c{i}" for i in range(2_100)) + "\nL-1,2024-03-01" + "," * 2_100 + "\n"
HEADERLESS = LEADS.split("\n", 1)[1]
LATIN = LEADS.replace("steel", "Möbel").replace("paper", "Käserei").encode("latin-1")
UNKNOWN_COLUMNS = "a,b\nZelda,Quux\nUmbra,Umbra\n"

REFUSED_FILES = {
    "a file of nothing": Broken({"leads.csv": ""}, ["leads.csv", "empty", "export it again"]),
    "only white space": Broken({"leads.csv": " \n\n"}, ["leads.csv", "empty"]),
    "a header alone": Broken({"leads.csv": "lead_id,created_at\n"}, ["leads.csv", "no rows"]),
    "no header": Broken({"leads.csv": HEADERLESS}, ["leads.csv", "line 1 holds data, not column names"]),
    "no column that is known": Broken(
        {"leads.csv": UNKNOWN_COLUMNS}, ["leads.csv", "lead_id", "none of its 2 columns"]
    ),
    "no lead_id": Broken(leads("lead_id,", "key,"), ["leads.csv", "no column lead_id", "key, created_at", "columns:"]),
    "no created_at": Broken(leads("created_at", "day"), ["leads.csv", "no column created_at", "lead_id, day"]),
    "no rep_id in reps": Broken(reps("rep_id", "seller"), ["reps.csv", "no column rep_id", "seller"]),
    "no assigned_at": Broken(assignments("assigned_at", "day"), ["assignments.csv", "no column assigned_at", "day"]),
    "no outcome": Broken(assignments("outcome", "result"), ["assignments.csv", "no column outcome", "result"]),
    "reps missing": Broken({"reps.csv": None}, ["reps not found", "add reps.csv"]),
    "assignments missing": Broken({"assignments.csv": None}, ["leads.csv", "rep_id", "no file of assignments"]),
    "leads missing": Broken({"leads.csv": None}, ["leads not found", "add leads.csv"]),
    "leads twice": Broken({"leads.csv.gz": gzip.compress(LEADS.encode())}, ["several files for leads", "leads.csv.gz"]),
    "binary": Broken({"leads.csv": b"lead_id,created_at\n\x00\x01\x02"}, ["leads.csv", "NUL", "CSV"]),
    "a workbook": Broken({"leads.csv": b"PK\x03\x04\x14\x00 and so on"}, ["leads.csv", "Excel", "save it as CSV"]),
    "an old workbook": Broken({"leads.csv": b"\xd0\xcf\x11\xe0 and so on"}, ["leads.csv", "Excel"]),
    "unknown encoding": Broken({"leads.csv": LATIN}, ["leads.csv", "unknown encoding", "line 2", "encoding:"]),
    "another encoding than stated": Broken(
        {"leads.csv": LATIN, "dataset.yaml": "encoding: utf-8"}, ["leads.csv", "line 2", "not utf-8"]
    ),
    "an encoding that is none": Broken({"dataset.yaml": "encoding: utf-9"}, ["leads.csv", "utf-9", "set encoding:"]),
    "another delimiter than stated": Broken(
        {"dataset.yaml": "delimiter: ';'"}, ["leads.csv", "only one column", "','", "delimiter:"]
    ),
    "a delimiter that nobody uses": Broken(
        {"leads.csv": LEADS.replace(",", "^")}, ["leads.csv", "only one column", "delimiter:"]
    ),
    "more than 2,000 columns": Broken({"leads.csv": WIDE}, ["leads.csv", "2102 columns", "2000"]),
    "a column twice": Broken(leads("industry,name", "industry,industry"), ["leads.csv", "called industry", "rename"]),
    "gzip cut short": Broken(
        {"leads.csv": None, "leads.csv.gz": gzip.compress(LEADS.encode())[:60]}, ["leads.csv.gz", "gzip", "again"]
    ),
    "no gzip at all": Broken({"leads.csv": None, "leads.csv.gz": LEADS}, ["leads.csv.gz", "not gzip"]),
    "no Parquet at all": Broken({"leads.csv": None, "leads.parquet": LEADS}, ["leads.parquet", "Parquet", "again"]),
    "dates in both orders": Broken(
        {
            "leads.csv": LEADS.replace("2024-03-01T09:00:00Z", "13/02/2024").replace(
                "2024-03-02T09:00:00Z", "02/13/2024"
            )
        },
        ["leads.csv", "both orders", "leads.csv line 2", "leads.csv line 3", "day_first"],
    ),
    "dates that fit both orders": Broken(
        {"leads.csv": LEADS.replace("2024-03-01T09:00:00Z", "03/04/2024")},
        ["leads.csv", "line 2", "alike", "day_first"],
    ),
    "every row unusable": Broken(
        {"assignments.csv": ASSIGNMENTS.replace("R-1", "R-8").replace("R-2", "R-9")},
        ["assignments.csv", "none of the 3 rows", "unknown rep", "line 2"],
    ),
    "YAML that is none": Broken({"dataset.yaml": "target: won\nwindow: ["}, ["dataset.yaml", "line 2", "YAML"]),
    "YAML with tabs": Broken({"dataset.yaml": "files:\n\tleads: x.csv"}, ["dataset.yaml", "line 2"]),
    "YAML that is a list": Broken({"dataset.yaml": "- won"}, ["dataset.yaml", "line 1", "target: won"]),
    "a key twice": Broken({"dataset.yaml": "target: won\ntarget: won"}, ["dataset.yaml", "line 2", "line 1"]),
    "a key misspelt": Broken(
        {"dataset.yaml": "currency: EUR\nwindows: 60"}, ["dataset.yaml", "line 2", "'windows'", "'window'"]
    ),
    "a key misspelt within": Broken(
        {"dataset.yaml": "files:\n  lead: a.csv"}, ["dataset.yaml", "line 2", "'lead'", "'leads'"]
    ),
    "a target that is none": Broken(
        {"dataset.yaml": "target: sold"}, ["dataset.yaml", "line 1", "'won' or 'qualified'"]
    ),
    "an outcome that is none": Broken({"dataset.yaml": "outcomes:\n  Won: sold"}, ["dataset.yaml", "line 2", "'won'"]),
    "a window that is none": Broken(
        {"dataset.yaml": "window: two months"}, ["dataset.yaml", "line 1", "'window'", "number"]
    ),
    "a zone that is none": Broken({"dataset.yaml": "time_zone: Europe/Berlim"}, ["dataset.yaml", "Europe/Berlin"]),
    "a type that is none": Broken({"dataset.yaml": "types: {industry: colour}"}, ["dataset.yaml", "'category'"]),
    "a date format that is none": Broken({"dataset.yaml": "date_formats: dd.mm.yyyy"}, ["dataset.yaml", "%d.%m.%Y"]),
    "an export without moment": Broken(
        {"dataset.yaml": "exported_at: yesterday"}, ["dataset.yaml", "exported_at", "2024-12-31"]
    ),
    "a file that is not there": Broken(
        {"dataset.yaml": "files: {leads: kunden.csv}"}, ["dataset.yaml", "kunden.csv", "leads.csv"]
    ),
    "an order that is not there": Broken(
        {"dataset.yaml": "order_by: Lead Number"}, ["leads.csv", "Lead Number", "order_by: file"]
    ),
    "a mapping that is not there": Broken({"dataset.yaml": "extends: salesfarce"}, ["salesfarce", "salesforce"]),
    "columns the wrong way round": Broken(
        {"leads.csv": LEADS.replace("lead_id,", "Key,"), "dataset.yaml": "columns: {Key: lead_id}"},
        ["leads.csv", "no column lead_id", "ours: theirs", "lead_id: Key"],
    ),
}

REFUSED_ROWS = {
    "a lead twice": Broken(leads("L-2,2024", "L-1,2024"), ["leads.csv line 2"], 3, "duplicate lead_id: L-1"),
    "a lead without id": Broken(leads("L-2,", ","), [], 3, "no lead_id"),
    "a lead without date": Broken(leads("2024-03-02T09:00:00Z", ""), [], 3, "no created_at"),
    "a lead with a date that is none": Broken(
        leads("2024-03-02T09:00:00Z", "2024-02-30"), ["'2024-02-30'"], 3, "unreadable date"
    ),
    "a name in the place of a date": Broken(
        leads("2024-03-02T09:00:00Z", "Zelda Quux"), [], 3, "unreadable date: created_at is"
    ),
    "a number in the place of a date": Broken(leads("2024-03-02T09:00:00Z", "13800138000"), [], 3, "unreadable date"),
    "a date before dates": Broken(leads("2024-03-02T09:00:00Z", "0001-01-01"), ["1950"], 3, "unreadable date"),
    "a cell too many": Broken(leads("paper,Zelda", "paper,,Zelda"), ["8 cells", "has 7"], 3, "wrong field count"),
    "a cell too few": Broken(leads("paper,Zelda Quux", "paper"), ["6 cells"], 3, "wrong field count"),
    "a quote too many": Broken(leads("paper,Zelda", 'paper,"Zelda'), [], 3, "malformed quotes"),
    "something after a quote": Broken(leads("paper,", '"paper" mill,'), [], 3, "malformed quotes"),
    "a rep twice": Broken(reps("R-2,Bo", "R-1,Bo"), ["reps.csv line 2"], 3, "duplicate rep_id: R-1", 2),
    "a rep without id": Broken(reps("R-2,", ","), [], 3, "no rep_id", 2),
    "a capacity that is none": Broken(
        reps("R-1,Ann,north,10", "R-1,Ann,north,ten"), ["whole number"], 2, "unreadable number: capacity", 1
    ),
    "less than no capacity": Broken(reps("north,10", "north,-1"), [], 2, "unreadable number: capacity", 1),
    "half a capacity": Broken(reps("north,10", "north,1.5"), [], 2, "unreadable number: capacity", 1),
    "a rep with a date that is none": Broken(reps("2021-01-01", "soon"), [], 3, "unreadable date: hired_at", 2),
    "an unknown lead": Broken(assignments("L-2,R-2", "L-9,R-2"), ["L-9 is not in leads.csv"], 3, "unknown lead"),
    "an unknown rep": Broken(assignments("L-2,R-2", "L-2,R-9"), ["R-9 is not in reps.csv"], 3, "unknown rep"),
    "an assignment without rep": Broken(assignments("L-2,R-2", "L-2,"), [], 3, "no rep_id"),
    "an assignment without date": Broken(assignments("2024-03-02T10:00:00Z", ""), [], 3, "no assigned_at"),
    "an assignment twice": Broken(
        assignments("L-2,R-2,2024-03-02T10:00:00Z,lost,2024-03-06", "L-1,R-2,2024-03-01T10:00:00Z,lost,2024-03-06"),
        ["lead L-1", "assignments.csv line 2"],
        3,
        "duplicate assignment",
    ),
    "an outcome before the assignment": Broken(
        assignments("2024-03-06T10", "2024-03-01T10"), [], 3, "outcome before assignment"
    ),
    "an unknown outcome": Broken(assignments("lost", "paused"), ["'paused'"], 3, "unknown outcome"),
    "an address in the place of an outcome": Broken(
        assignments("lost", "zelda@secret.example"), [], 3, "unknown outcome"
    ),
    "a propensity of nothing": Broken(
        assignments("06T10:00:00Z,,0.5", "06T10:00:00Z,,0"), [], 3, "propensity out of range"
    ),
    "a propensity above one": Broken(
        assignments("06T10:00:00Z,,0.5", "06T10:00:00Z,,1.01"), [], 3, "propensity out of range"
    ),
    "a propensity that is none": Broken(
        assignments("06T10:00:00Z,,0.5", "06T10:00:00Z,,half"), [], 3, "unreadable number"
    ),
    "a value that is none": Broken(assignments("Z,,0.5\nL-3", "Z,a lot,0.5\nL-3"), [], 3, "unreadable number: value"),
    "a value with the other decimal sign": Broken(
        assignments("Z,,0.5\nL-3", 'Z,"1,5",0.5\nL-3'), ["decimal sign '.'"], 3, "unreadable number: value"
    ),
    "a queue in the place of a rep": Broken(
        {**assignments("L-2,R-2", "L-2,00G5"), "dataset.yaml": 'queues: "00G*"'}, ["00G5"], 3, "owner is a queue"
    ),
    "a date in the other order": Broken(
        {**leads("2024-03-02T09:00:00Z", "13/25/2024"), "dataset.yaml": "day_first: true"},
        ["'13/25/2024'", "day first"],
        3,
        "unreadable date",
    ),
    "a month above twelve": Broken(
        {**leads("2024-03-02T09:00:00Z", "03/25/2024"), "dataset.yaml": "day_first: true"},
        ["'03/25/2024'"],
        3,
        "unreadable date",
    ),
}


def said_of(folder) -> str:
    with pytest.raises(InputError) as caught:
        load_dataset(folder)
    return str(caught.value)


def test_the_good_folder_is_good(tmp_path):
    dataset = load_dataset(build(tmp_path, {}))
    assert len(dataset.leads) == len(dataset.assignments) == 3
    assert dataset.rejects.empty


@pytest.mark.parametrize("case", REFUSED_FILES.values(), ids=REFUSED_FILES.keys())
def test_a_refused_file_is_one_line_that_says_what_to_do(tmp_path, case):
    message = said_of(build(tmp_path, case.files))
    assert "\n" not in message
    assert len(message) < 500
    assert silent_about_people(message), message
    for words in case.said:
        assert words in message, message


@pytest.mark.parametrize("case", REFUSED_ROWS.values(), ids=REFUSED_ROWS.keys())
def test_a_refused_row_is_set_aside_with_file_line_and_reason(tmp_path, case):
    dataset = load_dataset(build(tmp_path, case.files))
    file = next(name for name in case.files if name.endswith(".csv"))
    first = dataset.rejects[dataset.rejects["file"] == file].iloc[0]
    assert first["line"] == case.line
    assert first["reason"].startswith(case.reason)
    for words in case.said:
        assert words in first["reason"]
    assert len(dataset.assignments) == case.kept
    everything = " ".join([*dataset.rejects["reason"], *dataset.notes])
    assert "\n" not in everything
    assert silent_about_people(everything), everything
    for name, count in dataset.counts.items():
        assert count["read"] == count["accepted"] + count["rejected"] == 3 - (name == "reps.csv")


def test_an_assignment_of_a_refused_lead_says_so(tmp_path):
    dataset = load_dataset(build(tmp_path, leads("2024-03-02T09:00:00Z", "someday")))
    reasons = dict(zip(dataset.rejects["file"], dataset.rejects["reason"], strict=True))
    assert reasons["assignments.csv"] == "unknown lead: L-2 was refused in leads.csv"


def test_a_parquet_file_cut_short_is_refused(tmp_path):
    whole = parquet_bytes(build(tmp_path, {}))
    for name in ("leads.csv", "whole.parquet"):
        (tmp_path / name).unlink()
    (tmp_path / "leads.parquet").write_bytes(whole[: len(whole) // 2])
    message = said_of(tmp_path)
    assert "leads.parquet: is not readable as Parquet" in message
    assert "\n" not in message


def test_a_row_of_a_parquet_file_is_named_by_its_number(tmp_path):
    frame = pd.read_csv(build(tmp_path, {}) / "leads.csv")
    frame.loc[1, "created_at"] = "someday"
    frame.to_parquet(tmp_path / "leads.parquet")
    (tmp_path / "leads.csv").unlink()
    rejects = load_dataset(tmp_path).rejects
    assert (rejects.iloc[-1]["file"], rejects.iloc[-1]["line"]) == ("leads.parquet", 2)


def test_lines_are_counted_through_cells_of_several_lines(tmp_path):
    text = LEADS.replace("steel,Zelda Quux", '"steel\nand\niron",Zelda Quux', 1).replace(
        "2024-03-03T09:00:00Z", "someday"
    )
    rejects = load_dataset(build(tmp_path, {"leads.csv": text})).rejects
    assert rejects[rejects["file"] == "leads.csv"]["line"].tolist() == [6]


def test_a_stray_quote_costs_only_its_own_line(tmp_path):
    rows = "".join(f"L-{i},2024-03-01,{'x' if i != 7 else chr(34) + 'x'}\n" for i in range(1, 60))
    files = {"leads.csv": f"lead_id,created_at,industry\n{rows}"}
    dataset = load_dataset(build(tmp_path, files))
    assert dataset.counts["leads.csv"] == {"read": 59, "accepted": 58, "rejected": 1}
    assert dataset.rejects[dataset.rejects["file"] == "leads.csv"]["line"].tolist() == [8]


def test_a_path_that_is_not_there_is_one_line(tmp_path):
    assert "no such folder" in said_of(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"deals\.csv: there is no such file"):
        load_files([tmp_path / "deals.csv"], Description())


def test_a_file_whose_table_cannot_be_told_is_refused(tmp_path):
    folder = build(tmp_path, {"extra.csv": LEADS, "other.csv": LEADS})
    with pytest.raises(InputError, match=r"extra\.csv, other\.csv: which table") as caught:
        load_files([folder / "extra.csv", folder / "other.csv"], Description())
    assert "\n" not in str(caught.value)
