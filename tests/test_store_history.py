"""The ledger comes out as a data set that says who worked each lead, why, and what came of it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from data.dataset import dataset_from_tables
from data.names import ASSIGNMENT_COLUMNS
from data.roster import Rep
from data.store import capacity, keys, overrides
from data.store.history import export_tables

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def export(floor, **options):
    with floor.ledger.reading() as conn:
        return export_tables(conn, **options)


def assignment(floor, lead="L-1"):
    """The lead's only assignment, missing values as None."""
    found = export(floor)[2].set_index("lead_id").loc[[lead]]
    assert len(found) == 1
    row = found.iloc[0]
    return row.astype(object).where(row.notna(), None)


def test_an_empty_ledger_is_an_empty_data_set(floor):
    leads, reps, assignments = export(floor)
    assert (len(leads), len(assignments)) == (0, 0)
    assert list(reps["rep_id"]) == ["R-1", "R-2"]
    assert tuple(assignments.columns) == ASSIGNMENT_COLUMNS


def test_a_lead_comes_out_with_its_attributes_and_without_the_person(floor):
    snapshot = {"source": "web", "size": 12, "tags": ["a", "b"], "created_at": "2026-03-01T10:00:00+02:00"}
    floor.decide(lead_snapshot=snapshot, personal={"name": "Li Na"})
    lead = export(floor)[0].iloc[0]
    assert dict(lead) == {
        "lead_id": "L-1",
        "created_at": pd.Timestamp("2026-03-01T08:00:00Z"),
        "source": "web",
        "size": 12,
        "tags": "a;b",
    }
    assert export(floor, personal=True)[0].iloc[0]["name"] == "Li Na"


def test_what_came_of_a_lead_is_told_with_its_moments(floor):
    floor.decide(policy_version=3)
    floor.tell(kind="contacted", after=5)
    assert assignment(floor)["outcome"] == "open"
    floor.tell(kind="qualified", after=20)
    row = assignment(floor)
    assert (row["outcome"], row["closed_at"]) == ("qualified", NINE + timedelta(minutes=20))
    floor.tell(kind="won", after=30, value=99.5)
    row = assignment(floor)
    assert (row["outcome"], row["closed_at"], row["value"]) == ("won", NINE + timedelta(minutes=30), 99.5)
    assert (row["first_contact_at"], row["policy"]) == (NINE + timedelta(minutes=5), "3")
    floor.tell(kind="reopened", after=40)
    floor.tell(kind="lost", after=50, reason="price")
    row = assignment(floor)
    assert (row["outcome"], row["value"], row["lost_reason"]) == ("lost", None, "price")


QUARTER = np.array([0.25, 0.75])


@pytest.mark.parametrize(
    ("arm", "propensity", "told"),
    [
        ("model", QUARTER, ("model", 0.25)),
        ("explore", QUARTER, ("model", 0.25)),
        ("holdout", QUARTER, ("rotation", 0.25)),
        ("fallback", QUARTER, ("rotation", 0.25)),
        ("fallback", np.array([1.0, 0.0]), ("rule", 1.0)),
        ("fallback", None, ("rule", None)),
        ("rule", None, ("rule", None)),
        ("sticky", QUARTER, ("rule", None)),
        ("pool", None, ("claim", None)),
    ],
)
@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_each_arm_is_told_as_the_reason_for_the_choice(floor, arm, propensity, told):
    floor.decide(arm=arm, propensity=propensity)
    row = assignment(floor)
    assert (row["assigned_by"], row["propensity"]) == told


def test_an_overridden_lead_is_the_manual_choice_of_whoever_works_it(floor):
    floor.decide()
    with floor.ledger.writing() as tx:
        at = NINE + timedelta(minutes=7)
        overrides.record(tx, "D-L-1", Rep("R-2"), reason="", actor="boss", expected_version=1, at=at)
    row = assignment(floor)
    assert (row["rep_id"], row["assigned_by"], row["propensity"], row["assigned_at"]) == ("R-2", "manual", None, at)


def test_a_shadow_decision_tells_the_crms_own_choice(floor):
    floor.decide("L-1", mode="shadow")
    floor.decide("L-2", mode="shadow")
    floor.tell(kind="owner_changed", lead="L-2", rep_id="R-2", after=3)
    assert list(export(floor)[2]["lead_id"]) == ["L-2"]
    row = assignment(floor, "L-2")
    assert (row["rep_id"], row["assigned_by"], row["propensity"]) == ("R-2", "unknown", None)


def test_a_recycled_lead_is_one_row_a_spell_and_only_the_last_tells_its_end(floor):
    floor.decide()
    with floor.ledger.writing() as tx:
        capacity.release(tx, "D-L-1", kind="recycled", at=NINE + timedelta(minutes=30))
    floor.decide(decision="D-2", rep=None, after=35)
    floor.decide(decision="D-3", rep="R-2", after=40)
    floor.tell(kind="won", after=90)
    dataset = dataset_from_tables(*export(floor))
    found = dataset.assignments[["rep_id", "outcome", "spell", "last_spell"]].to_numpy().tolist()
    assert found == [["R-1", "open", 0, False], ["R-2", "won", 1, True]]


def test_a_duplicate_request_is_no_second_spell(floor):
    floor.decide(idempotency_key="K-1")
    floor.decide(idempotency_key="K-2", decision="D-2", duplicate_of="D-L-1")
    assert len(export(floor)[2]) == 1


def test_a_merged_lead_goes_by_the_survivors_id_and_fate(floor):
    floor.decide("L-1")
    floor.tell(kind="merged", lead="L-1", into="L-2", after=10)
    floor.tell(kind="won", lead="L-2", after=20, value=4.0)
    leads, _, assignments = export(floor)
    assert list(leads["lead_id"]) == ["L-2"]
    assert list(assignments[["lead_id", "rep_id", "outcome", "value"]].iloc[0]) == ["L-2", "R-1", "won", 4.0]


def test_a_lead_merged_into_one_that_was_decided_too_is_left_to_that_one(floor):
    floor.decide("L-2", "R-2", lead_snapshot={"source": "survivor"})
    floor.decide("L-1", lead_snapshot={"source": "merged"})
    floor.tell(kind="merged", lead="L-1", into="L-2", after=10)
    leads, _, assignments = export(floor)
    assert list(leads["source"]) == ["survivor"]
    assert list(assignments["rep_id"]) == ["R-2"]


def test_leads_merged_in_a_circle_end_somewhere(floor):
    floor.decide("L-1")
    floor.tell(kind="merged", lead="L-1", into="L-2", after=10)
    floor.tell(kind="merged", lead="L-2", into="L-1", after=11)
    assert len(export(floor)[2]) == 1


def test_two_clients_leads_of_one_id_are_told_apart(floor):
    with floor.ledger.writing() as tx:
        keys.ensure_client(tx, "other", at=NINE)
    floor.decide("L-1")
    floor.decide("L-1", decision="D-2", client_id="other")
    floor.decide("L-3")
    assert sorted(export(floor)[0]["lead_id"]) == ["L-3", "crm/L-1", "other/L-1"]


def test_reps_are_all_who_ever_had_a_lead(floor):
    floor.decide()
    floor.tell(kind="owner_changed", rep_id="stranger")
    floor.reps(Rep("R-2", regions=("a", "b"), attributes={"seniority": 3}))
    reps = export(floor)[1].set_index("rep_id")
    assert dict(reps["active"]) == {"R-1": False, "R-2": True, "stranger": False}
    assert (reps.loc["R-2", "regions"], reps.loc["R-2", "seniority"]) == ("a;b", 3)


def test_an_export_can_begin_at_a_moment_and_runs_over_many_pages(floor, monkeypatch):
    from data.store import history

    monkeypatch.setattr(history, "_PAGE", 3)
    for number in range(10):
        floor.decide(f"L-{number}", after=number)
    assert len(export(floor)[2]) == 10
    assert list(export(floor, since=NINE + timedelta(minutes=6))[0]["lead_id"]) == ["L-6", "L-7", "L-8", "L-9"]


def test_the_data_set_is_accepted_without_a_refused_row(floor):
    for number in range(5):
        floor.decide(f"L-{number}", "R-1" if number % 2 else "R-2", after=number)
    floor.tell(kind="won", lead="L-1", value=10.0)
    floor.tell(kind="lost", lead="L-2", reason="price")
    dataset = dataset_from_tables(*export(floor))
    assert len(dataset.rejects) == 0
    assert (len(dataset.leads), len(dataset.reps), len(dataset.assignments)) == (5, 2, 5)
