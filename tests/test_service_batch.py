"""Many leads in one request: matched jointly, answered in order, one's trouble its own."""

import numpy as np
import pytest

from data.store import decisions
from serving.policy.prices import assign_jointly

REPS = [{"rep_id": f"R-{i}"} for i in range(4)]
INDUSTRIES = ["manufacturing", "retail", "江苏 trade"]


def leads(n):
    rng = np.random.default_rng(1)
    return [
        {"lead_id": f"L-{i}", "industry": INDUSTRIES[int(rng.integers(3))], "company_size": float(rng.integers(1, 400))}
        for i in range(n)
    ]


def batch(desk, items, **given):
    return desk.call("POST", "/v1/assign/batch", {"leads": items}, **given)


def test_every_lead_is_answered_in_its_place_and_as_if_alone(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    given = leads(6)
    alone = desk.call("POST", "/v1/assign", {"lead": given[2]})
    answer = batch(desk, given)
    assert answer.status_code == 200
    told = answer.json()["decisions"]
    assert [each["lead_id"] for each in told] == [each["lead_id"] for each in given]
    assert told[2] == alone.json()
    assert list(told[0]) == list(alone.json())
    again = batch(desk, given)
    assert again.content == answer.content  # the leads are the keys


def test_one_leads_mistake_does_not_stop_the_others(desk):
    desk.roster(*REPS)
    told = batch(
        desk,
        [
            {"lead_id": "L-1", "industry": "retail"},
            {"industry": "retail"},
            {"lead_id": "L-3", "created_at": "2026-03-02T09:00:00"},
            {"lead_id": "L-1", "industry": "manufacturing"},
            {"lead_id": "L-5", "nested": {"a": 1}},
            5,
        ],
    ).json()["decisions"]
    assert told[0]["rep_id"]
    assert told[1]["problem"]["status"] == 422
    assert told[1]["problem"]["errors"] == [{"field": "leads[1].lead_id", "problem": "Field required"}]
    assert (told[2]["lead_id"], told[2]["problem"]["errors"][0]["field"]) == ("L-3", "leads[2].created_at")
    assert told[3] == told[0]  # the same lead twice is one decision
    assert told[4]["problem"]["errors"][0]["field"] == "leads[4].nested"
    assert (told[5]["lead_id"], told[5]["problem"]["errors"][0]["field"]) == (None, "leads[5]")


@pytest.mark.parametrize("items", [[], [{"lead_id": f"L-{i}"} for i in range(1_001)], "L-1"])
def test_a_batch_that_is_none_is_refused_as_a_whole(desk, items):
    assert batch(desk, items).status_code == 422


def test_a_batch_does_not_all_go_to_one_rep_and_keeps_everybodys_capacity(desk):
    desk.roster(*[{**rep, "capacity": 15} for rep in REPS])
    told = batch(desk, leads(60)).json()["decisions"]
    counts = np.bincount([int(each["rep_id"][2:]) for each in told], minlength=4)
    assert counts.tolist() == [15, 15, 15, 15]
    more = batch(desk, [{**lead, "lead_id": f"M-{i}"} for i, lead in enumerate(leads(3))]).json()["decisions"]
    assert [each["unassigned_reason"] for each in more] == ["nobody is free"] * 3


def test_a_batch_gains_nearly_what_the_joint_optimum_would(desk):
    desk.roster(*[{**rep, "capacity": 30} for rep in REPS])
    desk.policy("mode: live\nexploration: earn\nholdout: {live: 0}\nprices: {floor: 0, ceiling: 1000}\n")
    given = leads(100)
    told = batch(desk, given).json()["decisions"]
    with desk.ledger.reading() as conn:
        rows = {row.row.lead_id: row.row for row in decisions.search(conn, limit=200)[0]}
    probability = np.array([rows[lead["lead_id"]].probability for lead in given])
    everyone = np.ones(probability.shape, dtype=bool)
    best = assign_jointly(probability, everyone, np.full(4, 30.0))
    optimum = probability[np.arange(100), best].sum() - probability.mean(axis=1).sum()
    gain = sum(each["uplift"]["value"] for each in told)
    alone = probability.max(axis=1).sum() - probability.mean(axis=1).sum()
    assert alone > optimum * 1.1  # capacity binds, so there is something to match jointly
    assert gain > 0.75 * optimum  # exploration costs the rest; one price for the whole batch kept .6


def test_propensities_in_a_batch_are_exact_under_the_batchs_prices(desk):
    desk.roster(*[{**rep, "capacity": 10} for rep in REPS])
    batch(desk, leads(30))
    with desk.ledger.reading() as conn:
        rows = [row.row for row in decisions.search(conn, limit=200)[0]]
    assert any(row.prices.any() for row in rows)
    for row in rows:
        assert row.propensity.sum() == pytest.approx(1)
        assert row.propensity[row.candidates.index(row.rep_id)] > 0


def test_a_batch_without_a_model_is_given_out_by_the_fallback(desk):
    desk.load(None)
    desk.roster(*REPS)
    told = batch(desk, leads(5)).json()["decisions"]
    assert {each["arm"] for each in told} == {"fallback"}
    assert all(each["rep_id"] for each in told)
