"""The rule book in force: routes, waiting leads, sticky owners and limits, as a CRM meets them."""

import json
from datetime import timedelta

import numpy as np
import pytest

from data.store import customers, decisions, personal, roster
from pipelines.doctor import examine
from serving.policy.choice import chances_of, choice_of
from serving.policy.methods import Situation, State
from serving.policy.routes import Routes

REPS = [{"rep_id": f"R-{i}", "name": f"Rep {i}", "team": "north" if i < 2 else "south"} for i in range(4)]
LEAD = {"industry": "retail", "company_size": 40}
ROUTES = """
columns: {leads: [budget]}
holdout: {live: 0}
routes:
  - {name: by hand, when: {budget: {at_least: 5000}}, method: manual_queue}
  - {name: to claim, when: {source: fair}, method: pool}
  - {name: the south, when: {source: web}, method: workload, reps: {team: south}}
  - {name: the best, when: {grade: A, source: phone}, method: performance}
"""


def row_of(desk, answer):
    with desk.ledger.reading() as conn:
        return decisions.get(conn, answer.json()["decision_id"]).row


def open_leads(desk):
    return {rep["rep_id"]: rep["open_leads"] for rep in desk.call("GET", "/v1/reps").json()["reps"]}


@pytest.mark.parametrize(
    ("lead", "arm", "told", "status"),
    [
        ({"budget": 9000}, "manual", "waiting in the manual queue", "queued"),
        ({"source": "fair"}, "pool", "waiting in the pool", "pooled"),
    ],
)
def test_a_lead_that_waits_for_a_person_is_given_to_nobody_and_answered_alike(desk_on_each, lead, arm, told, status):
    desk = desk_on_each
    desk.roster(*REPS)
    desk.policy(ROUTES)
    first = desk.assign(**LEAD, **lead)
    answer = first.json()
    assert (answer["rep_id"], answer["arm"], answer["unassigned_reason"]) == (None, arm, told)
    assert answer["propensity"] is None
    again = desk.assign(**LEAD, **lead)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert sum(open_leads(desk).values()) == 0
    looked_up = desk.call("GET", f"/v1/decisions/{answer['decision_id']}").json()
    assert looked_up["state"]["status"] == status
    assert examine(desk.ledger) == []


def test_a_manager_gives_a_waiting_lead_out(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    desk.policy(ROUTES)
    waiting = desk.assign(**LEAD, budget=9000).json()
    body = {"rep_id": "R-3", "reason": "key account", "version": 1}
    path = f"/v1/decisions/{waiting['decision_id']}/override"
    assert desk.call("POST", path, body, role="manager").json()["state"]["status"] == "open"
    assert open_leads(desk)["R-3"] == 1
    assert examine(desk.ledger) == []


def test_a_route_gives_its_leads_to_its_own_reps_and_tells_why_not_the_others(desk):
    desk.roster(*[{**rep, "capacity": 2} for rep in REPS])
    desk.policy(ROUTES)
    given = [desk.assign(f"L-{n}", **LEAD, source="web") for n in range(6)]
    assert sorted(answer.json()["rep_id"] for answer in given[:4]) == ["R-2", "R-2", "R-3", "R-3"]
    assert given[0].json()["excluded"] == {"outside the route": 2}
    assert given[0].json()["arm"] == "rule"
    assert row_of(desk, given[0]).basis["route"] == "the south"
    # Both of the route's reps are full: the rule book's own method decides among all.
    assert given[4].json()["rep_id"] in ("R-0", "R-1")
    assert given[4].json()["arm"] in ("model", "explore")
    assert "route" not in row_of(desk, given[4]).basis


def test_a_hard_rule_over_any_columns_excludes_with_its_reason(desk):
    desk.roster(*[{**rep, "languages": ["de"] if i else ["en", "zh"]} for i, rep in enumerate(REPS)])
    desk.policy(
        "eligibility:\n  rules:\n    - {why: speaks another language, lead: language, rep: languages}\n"
        "columns: {leads: [language]}\n"
    )
    told = desk.assign(**LEAD, language="ZH").json()
    assert (told["rep_id"], told["excluded"]) == ("R-0", {"speaks another language": 3})
    nobody = desk.assign("L-2", **LEAD, language="fr").json()
    assert (nobody["rep_id"], nobody["excluded"]) == (None, {"speaks another language": 4})


def test_limits_of_the_rule_book_hold_for_reps_who_state_none(desk_on_each):
    desk = desk_on_each
    desk.roster({"rep_id": "R-0"}, {"rep_id": "R-1", "capacity": 3})
    desk.policy("capacity: {open_leads: 1, daily_leads: 2}\n")
    given = [desk.assign(f"L-{n}", **LEAD).json()["rep_id"] for n in range(5)]
    assert sorted(each or "" for each in given) == ["", "", "R-0", "R-1", "R-1"]


def test_the_same_customer_keeps_her_rep(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    first = desk.assign("L-1", **LEAD, phone="+86 138 0013 8000").json()
    for number in range(6):
        told = desk.assign(f"M-{number}", **LEAD, Mobile="13800138000").json()
        assert (told["rep_id"], told["arm"], told["propensity"]) == (first["rep_id"], "sticky", None)
        assert told["probability"] is not None
    assert any(said.startswith("same customer as lead ") for said in told["warnings"])
    assert "8001380" not in json.dumps(told, ensure_ascii=False)
    others = {desk.assign(f"N-{n}", **LEAD, phone=f"+8613900139{n:03}").json()["arm"] for n in range(4)}
    assert "sticky" not in others
    assert examine(desk.ledger) == []


@pytest.mark.parametrize("change", [{"active": False}, {"capacity": 1}, {"absent_from": "2026-03-01T00:00:00Z"}])
def test_a_customer_whose_rep_cannot_take_her_goes_on_to_another(desk, change):
    desk.roster(*REPS)
    first = desk.assign("L-1", **LEAD, email="li@example.com").json()
    desk.call("PATCH", f"/v1/reps/{first['rep_id']}", change, role="manager")
    told = desk.assign("L-2", **LEAD, email="LI@example.com").json()
    assert told["rep_id"] not in (None, first["rep_id"])
    assert told["arm"] != "sticky"


def test_customers_with_several_reps_are_listed(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    first = desk.assign("L-1", **LEAD, email="li@example.com").json()
    desk.call("PATCH", f"/v1/reps/{first['rep_id']}", {"active": False}, role="manager")
    desk.now += timedelta(minutes=1)
    second = desk.assign("L-2", **LEAD, email="li@example.com").json()
    desk.now += timedelta(minutes=1)
    third = desk.assign("L-3", **LEAD, email="li@example.com").json()
    assert third["rep_id"] == second["rep_id"]  # the newest of the two
    assert any("several reps" in said for said in third["warnings"])
    listed = desk.call("GET", "/v1/duplicates", role="manager").json()["customers"]
    assert len(listed) == 1
    assert listed[0]["known_by"] == "email"
    assert [lead["lead_id"] for lead in listed[0]["leads"]] == ["L-3", "L-2", "L-1"]
    assert listed[0]["rep_ids"] == sorted({first["rep_id"], second["rep_id"]})
    assert desk.call("GET", "/v1/duplicates", role="other").json()["customers"] == []
    assert desk.call("GET", "/v1/duplicates", role="rep").status_code == 403


def test_erasing_a_person_forgets_whose_customer_she_was(desk):
    desk.roster(*REPS)
    desk.assign("L-1", **LEAD, email="li@example.com")
    with desk.ledger.writing() as tx:
        personal.erase(tx, "default", "L-1")
    with desk.ledger.reading() as conn:
        assert customers.shared(conn, conflicts_only=False) == []
    assert desk.assign("L-2", **LEAD, email="li@example.com").json()["arm"] != "sticky"


METHODS = """
exploration: learn
holdout: {{live: 0.25}}
method: {method}
control: {control}
newcomers: {{floor: 0.5}}
weights: {{R-0: 3}}
"""


@pytest.mark.parametrize(
    ("method", "control"),
    [("weighted_rotation", "workload"), ("newcomer_growth", "weighted_rotation"), ("weighted_rotation", "model")],
)
def test_the_ledger_holds_all_that_a_decisions_chances_follow_from(desk, method, control):
    hired = ["2020-01-01", "2026-02-01", "2026-02-25", "2019-01-01"]
    desk.roster(*[{**rep, "capacity": 3, "hired_at": day} for rep, day in zip(REPS, hired, strict=True)])
    desk.policy(METHODS.format(method=method, control=control))
    for number in range(8):
        row = row_of(desk, desk.assign(f"L-{number}", **LEAD))
        with desk.ledger.reading() as conn:
            in_force = desk.parts.watch.look(conn)
            people = roster.read_roster(conn, row.roster_version).reps
        reps = [rep for rep in people if rep.rep_id in row.candidates]
        again = again_of(row, in_force.rules, reps)
        for name, chances in zip(("policy", "control"), again, strict=False):
            np.testing.assert_allclose(getattr(row, f"propensity_{name}"), chances, atol=1e-12)
        np.testing.assert_allclose(row.propensity, again[2], atol=1e-12)


def again_of(row, rules, reps):
    """The chances of a logged decision, from the row, the rule book and the roster of their versions alone."""
    from serving.policy.bounds import bounds_of

    way = Routes(rules, reps).way_of(
        row.lead_snapshot, grade=row.grade, lead_score=row.lead_score, expected_value=row.basis.get("expected_value")
    )
    known = row.probability is not None and bool(np.isfinite(row.probability).all())
    distinguishes = row.basis["distinguishes"]
    choice = choice_of(rules, way, mode=row.mode, at=row.decided_at, has_model=known, distinguishes=distinguishes)
    bounds = bounds_of(reps, row.decided_at, rules.newcomers, rules.absence, available=row.available)
    seen = {name: vector for name, vector in row.state.items() if name not in ("least", "most")}
    state = State(**seen, at=row.decided_at, bounds=bounds)
    situation = Situation(row.lead_snapshot, reps, row.available, row.probability, row.prices, state)
    return chances_of(choice, situation)


def test_a_version_beyond_what_a_database_counts_is_not_there(desk_on_each):
    for version in (2**31, 2**63, 10**39):
        assert desk_on_each.call("GET", "/v1/policy", version=version).status_code == 404
    made = desk_on_each.call("POST", "/v1/assign", {"lead": {**LEAD, "lead_id": "L-1"}}).json()
    body = {"rep_id": "R-1", "reason": "asked for", "version": 2**63}
    path = f"/v1/decisions/{made['decision_id']}/override"
    assert desk_on_each.call("POST", path, body, role="manager").status_code == 422
    body = {"text": "", "version": 2**63, "why": "x"}
    assert desk_on_each.call("PUT", "/v1/policy", body, role="manager").status_code == 422
