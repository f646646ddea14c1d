"""Assigning a lead: the answer's form, what it adds up to, what is stored, and what a second request gets."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from data.store import decisions, roster
from serving.policy import arms
from serving.policy.exploration import EARN, LEARN
from serving.policy.methods import METHODS, MethodSettings, Situation, State

REPS = [{"rep_id": f"R-{i}", "name": f"Rep {i}"} for i in range(4)]
LEAD = {"industry": "retail", "company_size": 40}
KEYS = [
    "decision_id", "lead_id", "rep_id", "rep_name", "arm", "probability", "baseline_probability", "uplift",
    "lead_score", "grade", "propensity", "reasons", "over", "alternatives", "excluded", "degraded", "duplicate_of",
    "unassigned_reason", "warnings", "contact_by", "decided_at", "model_version", "policy_version",
]  # fmt: skip


def row_of(desk, answer):
    with desk.ledger.reading() as conn:
        return decisions.get(conn, answer.json()["decision_id"]).row


def stored_count(desk):
    with desk.ledger.reading() as conn:
        return len(decisions.search(conn, limit=1000)[0])


def open_leads(desk):
    reps = desk.call("GET", "/v1/reps").json()["reps"]
    return {rep["rep_id"]: rep["open_leads"] for rep in reps}


def test_an_answer_has_every_field_of_the_contract(desk):
    desk.roster(*REPS)
    answer = desk.assign(**LEAD)
    assert answer.status_code == 200
    assert list(answer.json()) == KEYS
    assert answer.headers["content-type"] == "application/json"
    assert "idempotent-replayed" not in answer.headers
    told = answer.json()
    assert told["model_version"] == "7"
    assert told["policy_version"] == "0"
    assert told["decided_at"] == "2026-03-02T09:00:00Z"
    assert told["contact_by"] == "2026-03-02T09:30:00Z"  # grade A: half an hour
    assert told["grade"] == "A"


@pytest.mark.parametrize("lead_id", [f"L-{n}" for n in range(12)])
def test_the_figures_of_an_answer_add_up(desk, lead_id):
    desk.roster(*REPS)
    desk.policy("exploration: learn\n")
    told = desk.assign(lead_id, industry="manufacturing", company_size=300.5).json()
    uplift = told["uplift"]
    assert told["probability"] - told["baseline_probability"] == pytest.approx(uplift["value"], abs=1e-9)
    assert sum(reason["contribution"] for reason in told["reasons"]) == pytest.approx(uplift["value"], abs=1e-9)
    assert uplift["low"] <= uplift["value"] <= uplift["high"]
    assert told["reasons"][-1]["feature"] == "other"
    assert all(reason["text"] for reason in told["reasons"])
    assert 0 < told["propensity"] <= 1
    everyone = [told, *told["alternatives"]]
    assert np.mean([each["probability"] for each in everyone]) == pytest.approx(told["baseline_probability"], abs=2e-6)
    chosen_over = {each["rep_id"]: each["probability"] for each in told["alternatives"]}[told["over"]["rep_id"]]
    assert told["over"]["uplift"] == pytest.approx(told["probability"] - chosen_over, abs=2e-6)
    assert [each["probability"] for each in told["alternatives"]] == sorted(
        (each["probability"] for each in told["alternatives"]), reverse=True
    )


def test_logged_propensities_follow_from_the_logged_inputs(desk):
    desk.roster(*[{**rep, "capacity": 3} for rep in REPS])
    desk.policy("exploration: learn\nholdout: {live: 0.25}\ncontrol: workload\n")
    for number in range(8):
        row = row_of(desk, desk.assign(f"L-{number}", **LEAD))
        assert np.count_nonzero(row.available) >= 1
        state = State(**{name: row.state[name] for name in ("open_leads", "today", "won", "closed")}, at=desk.now)
        with desk.ledger.reading() as conn:
            reps = [rep for rep in roster.read_roster(conn).reps if rep.rep_id in row.candidates]
        situation = Situation(row.lead_snapshot, reps, row.available, row.probability, row.prices, state)
        policy = METHODS["model"](situation, MethodSettings(exploration=LEARN))
        control = METHODS["workload"](situation, MethodSettings())
        np.testing.assert_allclose(row.propensity_policy, policy, atol=1e-12)
        np.testing.assert_allclose(row.propensity_control, control, atol=1e-12)
        np.testing.assert_allclose(row.propensity, 0.25 * control + 0.75 * policy, atol=1e-12)
        held = arms.in_holdout(row.lead_id, seed=1, share=0.25)
        assert (row.arm == "holdout") == held
        drawn = arms.drawn(control if held else policy, arms.fraction("draw", row.seed, row.draw_number))
        assert row.candidates[drawn] == row.rep_drawn == row.rep_id


def test_a_decision_is_stored_as_it_was_answered(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    answer = desk.assign(created_at="2026-03-02T16:00:00+08:00", email="li@example.com", Phone="13800000000", **LEAD)
    told, row = answer.json(), row_of(desk, answer)
    assert (row.rep_id, row.arm, row.grade) == (told["rep_id"], told["arm"], told["grade"])
    assert row.probability_chosen == pytest.approx(told["probability"], abs=1e-6)
    assert row.lead_snapshot == {"lead_id": "L-1", "created_at": "2026-03-02T08:00:00Z", **LEAD}
    assert row.candidates == ("R-0", "R-1", "R-2", "R-3")
    assert row.roster_version == 1
    assert open_leads(desk)[told["rep_id"]] == 1
    looked_up = desk.call("GET", f"/v1/decisions/{told['decision_id']}").json()
    assert {name: looked_up[name] for name in KEYS} == told
    assert looked_up["state"]["status"] == "open"
    assert looked_up["state"]["version"] == 1
    assert looked_up.pop("person") == {"email": "li@example.com", "Phone": "13800000000"}
    assert "example.com" not in json.dumps(looked_up)


def test_the_lead_is_the_key_and_its_open_decision_comes_back_byte_for_byte(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    first = desk.assign(**LEAD)
    again = desk.assign(industry="manufacturing", note="the CRM edited the lead")
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert stored_count(desk) == 1
    assert sum(open_leads(desk).values()) == 1


def test_an_explicit_key_stands_for_one_request(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    key = {"Idempotency-Key": "k-1"}
    first = desk.call("POST", "/v1/assign", {"lead": {"lead_id": "L-1", **LEAD}, "dry_run": False}, headers=key)
    turned = b'{"dry_run": false, "lead": {"company_size": 40, "industry": "retail", "lead_id": "L-1"}}'
    again = desk.call("POST", "/v1/assign", turned, headers=key)
    assert again.content == first.content  # the order of the fields is no difference
    assert again.headers["idempotent-replayed"] == "true"
    other = desk.assign("L-2", headers=key, **LEAD)
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    assert stored_count(desk) == 1


def test_another_client_with_the_same_key_or_lead_decides_for_itself(desk):
    desk.roster(*REPS)
    key = {"Idempotency-Key": "k-1"}
    mine, theirs = desk.assign(headers=key, **LEAD), desk.assign(headers=key, role="other", industry="manufacturing")
    assert mine.status_code == theirs.status_code == 200
    assert mine.json()["decision_id"] != theirs.json()["decision_id"]


def test_a_new_key_for_a_decided_lead_is_a_duplicate_and_takes_no_second_slot(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    first = desk.assign(**LEAD)
    key = {"Idempotency-Key": "retry-9"}
    duplicate = desk.assign(headers=key, **LEAD)
    assert duplicate.json()["duplicate_of"] == first.json()["decision_id"]
    assert duplicate.json()["rep_id"] == first.json()["rep_id"]
    assert sum(open_leads(desk).values()) == 1
    assert desk.assign(headers=key, **LEAD).content == duplicate.content
    assert desk.assign(**LEAD).content == first.content
    assert desk.assign(headers=key, industry="manufacturing").status_code == 422


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "naïve"])
def test_a_key_that_cannot_be_one_is_refused(desk, key):
    desk.roster(*REPS)
    answer = desk.assign(headers={"Idempotency-Key": key.encode("latin-1")}, **LEAD)
    assert answer.status_code == 400
    assert stored_count(desk) == 0


def test_a_dry_run_tells_and_stores_nothing(desk):
    desk.roster(*REPS)
    body = {"lead": {"lead_id": "L-1", **LEAD}, "dry_run": True}
    told = desk.call("POST", "/v1/assign", body, headers={"Idempotency-Key": "k"}).json()
    assert list(told) == KEYS
    assert told["decision_id"] is None
    assert "dry run: nothing was stored" in told["warnings"]
    assert stored_count(desk) == 0
    assert sum(open_leads(desk).values()) == 0
    real = desk.assign(**LEAD).json()
    assert real["rep_id"] == told["rep_id"]  # the draw belongs to the lead


def test_unknown_attributes_are_named_in_the_warnings(desk):
    desk.roster(*REPS)
    told = desk.assign(shoe_size=44, email="a@b.cn", **LEAD).json()
    assert told["warnings"] == ["unknown attribute ignored: shoe_size"]


@pytest.mark.parametrize(
    ("reps", "reason", "excluded"),
    [
        ([], "nobody is eligible", {}),
        ([{"rep_id": "R-0", "active": False}], "nobody is eligible", {"inactive": 1}),
        (
            [{"rep_id": "R-0", "capacity": 0}, {"rep_id": "R-1", "regions": ["south"]}],
            "nobody is free",
            {"at capacity": 1, "another region": 1},
        ),
    ],
)
def test_nobody_to_give_the_lead_to_is_said_and_the_next_request_decides_anew(desk, reps, reason, excluded):
    desk.roster(*reps)
    first = desk.assign(region="north", **LEAD)
    told = first.json()
    assert list(told) == KEYS
    assert (told["rep_id"], told["unassigned_reason"], told["excluded"]) == (None, reason, excluded)
    assert told["propensity"] is None
    assert stored_count(desk) == 1
    desk.roster({"rep_id": "R-9"})
    second = desk.assign(region="north", **LEAD)
    assert second.json()["rep_id"] == "R-9"
    assert "idempotent-replayed" not in second.headers


def test_an_explicit_key_keeps_even_an_answer_that_gave_nobody(desk):
    desk.roster()
    key = {"Idempotency-Key": "k"}
    first = desk.assign(headers=key, **LEAD)
    desk.roster(*REPS)
    again = desk.assign(headers=key, **LEAD)
    assert again.content == first.content
    assert desk.assign(**LEAD).json()["rep_id"] is not None


def test_capacity_is_never_overrun_and_the_excluded_are_counted(desk_on_each):
    desk = desk_on_each
    desk.roster({"rep_id": "R-0", "capacity": 2}, {"rep_id": "R-1", "capacity": 5, "open_count": 4, "daily_limit": 9})
    given = [desk.assign(f"L-{n}", **LEAD).json() for n in range(5)]
    assert sorted(each["rep_id"] or "" for each in given) == ["", "", "R-0", "R-0", "R-1"]
    assert given[-1]["excluded"] == {"at capacity": 2}
    assert given[-1]["baseline_probability"] is not None  # the full are still eligible
    assert open_leads(desk) == {"R-0": 2, "R-1": 5}


def test_a_slot_lost_between_draw_and_reservation_is_drawn_anew(desk, monkeypatch):
    from data.store import capacity

    desk.roster(*[{**rep, "capacity": 1} for rep in REPS])
    before = desk.assign("L-0", **LEAD).json()
    reserve, robbed = capacity.reserve, []

    def after_somebody_quicker(tx, rep, **given):
        if not robbed:  # in this very moment another lead takes the slot
            robbed.append(rep.rep_id)
            assert reserve(tx, rep, **{**given, "decision_id": before["decision_id"]})
        return reserve(tx, rep, **given)

    monkeypatch.setattr(capacity, "reserve", after_somebody_quicker)
    answer = desk.assign(**LEAD)
    row, told = row_of(desk, answer), answer.json()
    gone = row.candidates.index(robbed[0])
    assert row.draw_number == 1
    assert row.rep_id not in (robbed[0], before["rep_id"])
    assert not row.available[gone]
    assert row.propensity[gone] == 0
    assert row.propensity.sum() == pytest.approx(1)
    assert told["propensity"] == pytest.approx(row.propensity[row.candidates.index(row.rep_id)], abs=1e-6)
    assert told["excluded"] == {"at capacity": 2}


def test_without_a_model_the_fallback_decides_and_says_so(desk):
    desk.load(None)
    desk.roster(*REPS)
    told = desk.assign(**LEAD).json()
    assert list(told) == KEYS
    assert told["arm"] == "fallback"
    assert told["degraded"] == "no model has been promoted yet"
    assert told["rep_id"] in {"R-0", "R-1", "R-2", "R-3"}
    assert told["propensity"] == 0.25
    assert told["uplift"] == {"value": None, "low": None, "high": None}
    assert told["probability"] is told["baseline_probability"] is told["lead_score"] is told["grade"] is None
    assert told["reasons"] == []
    assert told["contact_by"] == "2026-03-02T11:00:00Z"


def test_a_newly_promoted_model_decides_the_next_lead(desk, small_model):
    desk.roster(*REPS)
    first = desk.assign("L-1", **LEAD).json()
    desk.load(replace(small_model, verdict="too_little_data"), version="8")
    second = desk.assign("L-2", **LEAD).json()
    assert (first["model_version"], second["model_version"]) == ("7", "8")
    assert second["propensity"] == 0.25
    assert desk.assign("L-1", **LEAD).json() == first


def test_a_lead_that_the_model_cannot_take_still_gets_a_rep(desk, monkeypatch):
    from serving.deciding.scorer import Scorer

    def broken(*_args, **_given):
        raise RuntimeError("li@example.com")

    desk.roster(*REPS)
    monkeypatch.setattr(Scorer, "score", broken)
    told = desk.assign(**LEAD).json()
    assert (told["arm"], told["degraded"]) == ("fallback", "the model could not score this lead")


def test_the_last_good_model_decides_and_says_that_it_is_not_the_promoted_one(desk):
    desk.roster(*REPS)
    desk.loaded = replace(desk.loaded, source="last_good")
    desk.problem = "model version 9 cannot be used: not signed"
    told = desk.assign(**LEAD).json()
    assert told["degraded"] == "model version 9 cannot be used: not signed"
    assert told["model_version"] == "7"
    assert told["probability"] is not None


@pytest.mark.parametrize("verdict", ["no_detectable_rep_effect", "too_little_data"])
def test_where_reps_cannot_be_told_apart_everybody_has_the_same_chance(desk, small_model, verdict):
    desk.load(replace(small_model, verdict=verdict))
    desk.roster(*REPS)
    for number in range(12):
        answer = desk.assign(f"L-{number}", **LEAD)
        told = answer.json()
        assert told["arm"] == "model"
        assert told["propensity"] == 0.25
        assert told["uplift"]["value"] == 0
        assert told["uplift"]["low"] < 0 < told["uplift"]["high"]
        assert told["warnings"] == ["the model cannot tell reps apart: it prefers nobody"]
        assert told["probability"] == told["baseline_probability"]
        assert sum(reason["contribution"] for reason in told["reasons"]) == 0
        assert all(each["uplift"] == 0 for each in told["alternatives"])
        row = row_of(desk, answer)
        np.testing.assert_array_equal(row.propensity, np.full(4, 0.25))
        np.testing.assert_array_equal(row.probability, np.full(4, row.baseline))


def test_an_unconfirmed_verdict_makes_it_a_trial_of_one_half(desk, small_model):
    desk.load(replace(small_model, verdict="unconfirmed"))
    desk.roster(*REPS)
    rows = [row_of(desk, desk.assign(f"L-{number}", **LEAD)) for number in range(40)]
    assert {row.mode for row in rows} == {"trial"}
    assert {row.holdout_share for row in rows} == {0.5}
    assert 8 <= sum(row.arm == "holdout" for row in rows) <= 32
    in_trial = next(row for row in rows if row.arm != "holdout")
    assert in_trial.propensity_policy.min() >= LEARN.uniform / 4
    desk.policy("mode: live\n")
    row = row_of(desk, desk.assign("L-live", **LEAD))
    assert (row.mode, row.holdout_share) == ("live", 0.1)
    assert row.propensity_policy.min() == pytest.approx(EARN.uniform / 4, abs=1e-3)


def test_shadow_decides_and_logs_but_takes_no_capacity(desk):
    desk.roster(*REPS)
    desk.policy("mode: shadow\n")
    answer = desk.assign(**LEAD)
    assert answer.json()["rep_id"] is not None
    assert "shadow mode: the choice of the CRM stands" in answer.json()["warnings"]
    assert row_of(desk, answer).mode == "shadow"
    assert sum(open_leads(desk).values()) == 0


def test_a_drawn_rep_who_is_not_the_best_is_logged_as_exploration(desk):
    desk.roster(*REPS)
    desk.policy("mode: live\nexploration: learn\nholdout: {live: 0}\n")
    rows = [row_of(desk, desk.assign(f"L-{number}", **LEAD)) for number in range(60)]
    for row in rows:
        best = row.propensity_policy[row.candidates.index(row.rep_id)] == row.propensity_policy.max()
        assert row.arm == ("model" if best else "explore")
    assert {"model", "explore"} == {row.arm for row in rows}


def test_a_rule_books_own_method_is_logged_as_a_rule(desk):
    desk.roster(*[{**rep, "capacity": 100} for rep in REPS])
    desk.policy("method: workload\nholdout: {live: 0}\n")
    given = [desk.assign(f"L-{number}", **LEAD).json() for number in range(8)]
    assert {each["arm"] for each in given} == {"rule"}
    assert sorted(open_leads(desk).values()) == [2, 2, 2, 2]


def test_reasons_are_told_in_the_rule_books_language(desk):
    desk.roster(*REPS)
    desk.policy("language: zh\n")
    told = desk.assign(**LEAD).json()
    assert any("\u4e00" <= character <= "\u9fff" for character in told["reasons"][0]["text"])
    assert any("\u4e00" <= character <= "\u9fff" for character in told["over"]["text"])
    desk.roster()
    assert desk.assign("L-2", **LEAD).json()["unassigned_reason"] == "没有符合规则的销售"


def test_nothing_is_decided_after_the_deadline(desk):
    desk.roster(*REPS)
    answer = desk.assign(headers={"X-Request-Deadline-Ms": "0"}, **LEAD)
    assert answer.status_code in (409, 503)
    assert answer.headers["retry-after"]
    assert stored_count(desk) == 0
    assert desk.assign(**LEAD).status_code == 200


def test_a_lead_off_its_hours_waits_for_a_rep_who_works(desk):
    desk.roster({"rep_id": "R-0", "hours": "mon-fri 09:00-18:00"})
    desk.now += timedelta(hours=10)  # 19:00
    told = desk.assign(**LEAD).json()
    assert (told["rep_id"], told["excluded"]) == (None, {"off hours": 1})
    desk.now += timedelta(hours=14)
    assert desk.assign(**LEAD).json()["rep_id"] == "R-0"


def test_prices_are_worked_out_from_what_the_ledger_holds(desk):
    from serving.policy.price_book import ENOUGH

    desk.roster(*REPS)
    for number in range(ENOUGH):
        desk.assign(f"L-{number}", **LEAD)
    told = desk.assign("L-last", **LEAD).json()
    assert not row_of(desk, desk.assign("L-unpriced", **LEAD)).prices.any()
    desk.parts.prices.solve(at=desk.now)
    row = row_of(desk, desk.assign("L-priced", **LEAD))
    best = max([told, *told["alternatives"]], key=lambda each: each["probability"])["rep_id"]
    prices = dict(zip(row.candidates, row.prices, strict=True))
    assert prices[best] == max(prices.values()) > 0  # a star without limits has a price: the ceiling's


@pytest.mark.parametrize("exploration", ["earn", "learn"])
def test_an_answer_says_when_the_price_decided_and_only_then(desk, monkeypatch, exploration):
    desk.roster(*REPS)
    desk.policy(f"mode: live\nexploration: {exploration}\nholdout: {{live: 0.3}}\n")
    told = desk.assign("L-free", **LEAD).json()
    by_probability = sorted([told, *told["alternatives"]], key=lambda each: -each["probability"])
    star, second = (each["rep_id"] for each in by_probability[:2])
    monkeypatch.setattr(desk.parts.prices, "of", lambda ids: np.array([0.5 * (each == star) for each in ids]))
    arms_seen = set()
    for number in range(40):
        told = desk.assign(f"L-{number}", **LEAD).json()
        over, arm = told["over"], told["arm"]
        arms_seen.add(arm)
        # The next after prices is a third rep: without a word about the star, the price would go unmentioned.
        assert over["price_decided"] == (arm == "model")
        assert ("next free slot of" in over["text"]) == over["price_decided"]
        if arm == "model":
            assert (told["rep_id"], over["rep_id"]) == (second, star)
            assert over["uplift"] < 0
    assert {"model", "holdout"} <= arms_seen
