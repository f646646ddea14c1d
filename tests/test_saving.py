"""A saved data set loads as it was, and damage never loses a row without a reason."""

import string

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dataset import dataset_from_tables, load_dataset, save_dataset
from data.description import read_description
from data.errors import InputError

LEADS = """lead_id,created_at,industry,size
L-1,2024-03-01T09:00:00Z,steel,10
L-2,2024-03-02T09:00:00+02:00,paper,20.5
L-3,2024-03-03 09:00,,30
"""
REPS = """rep_id,name,region,capacity
R-1,Ann,north,10
R-2,Bo,south,
"""
ASSIGNMENTS = """lead_id,rep_id,assigned_at,outcome,closed_at,value
L-2,R-2,2024-03-02T10:00:00Z,lost,2024-03-06T10:00:00Z,
L-1,R-1,2024-03-01T10:00:00Z,won,2024-03-05T22:00:00Z,"1,234.5"
L-3,R-1,2024-03-03T10:00:00Z,,,
L-1,R-2,2024-03-01T09:30:00Z,open,,
"""


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, leads__csv=LEADS, reps__csv=REPS, assignments__csv=ASSIGNMENTS)


def test_saving_keeps_what_the_description_says(folder):
    write(
        folder,
        dataset__yaml="target: qualified\nwindow: 45\nexported_at: 2024-05-01\npost_assignment: size\n"
        "currency: EUR\ntime_zone: Asia/Shanghai\n",
    )
    first = load_dataset(folder)
    save_dataset(first, folder / "saved")
    again = load_dataset(folder / "saved").description
    for key in ("target", "window", "exported_at", "post_assignment", "currency", "time_zone", "personal"):
        assert getattr(again, key) == getattr(first.description, key), key
    assert read_description(folder / "saved" / "dataset.yaml").window == 45


def test_saving_never_leaves_two_files_of_one_table(folder):
    dataset = load_dataset(folder)
    target = folder / "saved"
    target.mkdir()
    (target / "leads.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"leads\.parquet lies there already"):
        save_dataset(dataset, target)


# What a cell may hold, quotes, delimiters and line breaks included; never only white space, which is missing.
cells = st.text(alphabet=string.ascii_letters + string.digits + " ,;\"'\n\r\t.-_äßé线索", max_size=12)
names = st.text(alphabet=string.ascii_letters, min_size=1, max_size=8)


@st.composite
def frames(draw):
    n, n_reps = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    start = pd.Timestamp("2024-01-01", tz="UTC")
    created = [start + pd.Timedelta(microseconds=draw(st.integers(0, 10**13))) for _ in range(n)]
    leads = pd.DataFrame({"lead_id": [f"L{i}" for i in range(n)], "created_at": created})
    for column in draw(st.lists(names, max_size=3, unique_by=str.casefold)):
        leads[f"x {column}"] = [draw(cells) for _ in range(n)]
    reps = pd.DataFrame({"rep_id": [f"R{i}" for i in range(n_reps)], "team": [draw(cells) for _ in range(n_reps)]})
    rows = []
    for i in range(draw(st.integers(1, 20))):
        lead = draw(st.integers(0, n - 1))
        assigned = created[lead] + pd.Timedelta(seconds=draw(st.integers(0, 10**6)), microseconds=i)
        outcome = draw(st.sampled_from(["won", "lost", "open", "qualified"]))
        closed = pd.NaT if outcome == "open" else assigned + pd.Timedelta(seconds=draw(st.integers(0, 10**6)))
        chance = draw(st.one_of(st.none(), st.floats(min_value=1e-9, max_value=1)))
        value = draw(st.one_of(st.none(), st.floats(min_value=0, max_value=1e12)))
        rep = f"R{draw(st.integers(0, n_reps - 1))}"
        rows.append((f"L{lead}", rep, assigned, outcome, closed, chance, value, draw(cells)))
    columns = ["lead_id", "rep_id", "assigned_at", "outcome", "closed_at", "propensity", "value", "lost_reason"]
    return leads, reps, pd.DataFrame(rows, columns=columns)


@settings(max_examples=60, deadline=None)
@given(frames())
def test_what_is_saved_is_what_is_loaded(tmp_path_factory, tables):
    dataset = dataset_from_tables(*tables)
    folder = tmp_path_factory.mktemp("saved")
    save_dataset(dataset, folder)
    again = load_dataset(folder)
    for name in ("leads", "reps", "assignments"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(dataset, name))
    assert again.rejects.empty
    assert again.description.personal == dataset.description.personal


def loaded_or_refused(folder):
    """The data set, or None where it was refused in one line."""
    try:
        return load_dataset(folder)
    except InputError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return None


put_in = ["", ",", '"', "\n", "x", "99/99/9999", "-1", "L-1", "R-2", "\ufeff", "，", "won,", '",', ";"]
damage = st.tuples(
    st.sampled_from(["leads", "reps", "assignments"]),
    st.integers(0, 10**6),  # where
    st.sampled_from(put_in),
    st.integers(0, 12),  # characters taken out
)


@settings(max_examples=120, deadline=None)
@given(st.lists(damage, min_size=1, max_size=6))
def test_whatever_is_damaged_rows_read_are_rows_accepted_and_rejected(tmp_path_factory, wounds):
    texts = {"leads": LEADS, "reps": REPS, "assignments": ASSIGNMENTS}
    for table, place, put, taken in wounds:
        text = texts[table]
        cut = place % (len(text) + 1)
        texts[table] = text[:cut] + put + text[cut + taken :]
    folder = tmp_path_factory.mktemp("damaged")
    for table, text in texts.items():
        (folder / f"{table}.csv").write_bytes(text.encode("utf-8"))
    dataset = loaded_or_refused(folder)
    if dataset is None:
        return
    accepted = {"leads.csv": dataset.leads, "reps.csv": dataset.reps, "assignments.csv": dataset.assignments}
    for file, table in accepted.items():
        count = dataset.counts[file]
        assert count["accepted"] == len(table)
        assert count["rejected"] == (dataset.rejects["file"] == file).sum()
        assert count["read"] == count["accepted"] + count["rejected"]
    assert set(dataset.assignments["lead_id"]) <= set(dataset.leads["lead_id"])
    assert not dataset.rejects.duplicated(["file", "line"]).any()
